//! The triggers of a manifest: routes, socket events, presence, topics. It parses and checks them, and touches nothing else.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::source_span::{Problem, at};

/// One route of a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpTrigger {
    /// `GET`, `POST`, …; `GET` answers `HEAD` too.
    pub method: Method,
    /// Static segments, `{name}` for one segment, and at the end `{*name}` for the rest.
    pub path: String,
    /// Who may call.
    #[serde(default)]
    pub session: SessionRule,
    /// Request headers that the component gets, lower-case; never `cookie` and `authorization`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The rule for the body.
    #[serde(default)]
    body: Option<BodyRule>,
}

impl HttpTrigger {
    /// The rule for the body. That of a `GET` means nothing (RFC 9110, section 9.3.1), unless the manifest says otherwise.
    pub fn body(&self) -> BodyRule {
        self.body.unwrap_or(if self.method == Method::Get { BodyRule::None } else { BodyRule::Json })
    }

    /// Whether another version's route is the same: method, path and session rule, which the host needs before the call.
    pub fn is_same_route(&self, other: &Self) -> bool {
        (self.method, self.path.as_str(), self.session) == (other.method, other.path.as_str(), other.session)
    }

    /// Whether the other route lets in and shows nothing that this one does not: of the same method and path, it is as open or
    /// less, and asks for no other headers.
    pub(super) fn includes(&self, other: &Self) -> bool {
        (self.method, self.path.as_str()) == (other.method, other.path.as_str())
            && self.session.openness() >= other.session.openness()
            && self.body() >= other.body()
            && other.headers.iter().all(|header| self.headers.contains(header))
    }
}

/// One socket event that a component handles. Sockets always have a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SocketTrigger {
    /// Its name: 1 to 64 printable ASCII characters; not a name that Socket.IO reserves.
    pub event: String,
}

/// A component that handles presence changes. It has no settings yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PresenceTrigger {}

/// A component's subscription to a topic. All of its topics are one consumer group, which has the component's name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EventTrigger {
    /// The topic, as the application names it.
    pub topic: String,
    /// Only events of these types; an empty list means all. Events without a type are always delivered.
    #[serde(default)]
    pub types: BTreeSet<String>,
    /// Where the component starts when it is deployed for the first time; the same for all of its topics.
    #[serde(default)]
    pub from: From,
    /// How many events of one key are delivered in one call at most, 1 to [`EventTrigger::MOST_BATCHED`].
    #[serde(default = "EventTrigger::one")]
    pub batch: u32,
    /// After how many attempts an event is a dead letter, 1 to [`EventTrigger::MOST_ATTEMPTS`].
    #[serde(default = "EventTrigger::attempts")]
    pub attempts: u32,
}

/// Where a consumer group without committed offsets starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// At the end: only new events.
    #[default]
    Latest,
    /// At the oldest event of the topic.
    Earliest,
}

impl From {
    /// As the manifest writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            From::Latest => "latest",
            From::Earliest => "earliest",
        }
    }
}

/// The methods of routes. The host answers `HEAD` and `OPTIONS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "RFC 9110, section 9.3")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Its name in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// The method of a request; `HEAD` counts as `GET`.
    pub fn of(method: &http::Method) -> Option<Self> {
        match method.as_str() {
            "GET" | "HEAD" => Some(Method::Get),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "PATCH" => Some(Method::Patch),
            "DELETE" => Some(Method::Delete),
            _ => None,
        }
    }

    /// Whether the method may change state: then the host checks the `Origin`.
    pub fn changes_state(self) -> bool {
        self != Method::Get
    }
}

/// Whether a route requires a session. The host checks it before it calls the component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionRule {
    /// Without a session: 401. The safe default.
    #[default]
    Required,
    /// The component gets the identity when there is a session.
    Optional,
    /// Sessions are not checked.
    None,
    /// Operators only: the route is not public, but on the operator's listener, under `/v1/app`.
    Operator,
}

impl SessionRule {
    /// As the manifest writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            SessionRule::Required => "required",
            SessionRule::Optional => "optional",
            SessionRule::None => "none",
            SessionRule::Operator => "operator",
        }
    }

    /// How open a route is to strangers: a larger number is more open.
    fn openness(self) -> u8 {
        match self {
            SessionRule::Operator => 0,
            SessionRule::Required => 1,
            SessionRule::Optional => 2,
            SessionRule::None => 3,
        }
    }
}

/// The rule for a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyRule {
    /// None is expected: one that comes is not read, whatever it is.
    None,
    /// Empty, or `application/json` (otherwise 415).
    Json,
    /// Any body.
    Any,
}

impl HttpTrigger {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let path = &self.path;
        let printable = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\'));
        let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
        if !path.starts_with('/') || path.len() > 256 || !printable || dots || path.contains("//") {
            let why = format!(
                "the path {path:?} must begin with /, be at most 256 printable ASCII characters and have no ?, #, space, \\, \
                 `.`, `..` or empty segment"
            );
            return Err(Problem::malformed(at!["path"], why));
        }
        for (number, header) in self.headers.iter().enumerate() {
            if matches!(header.as_str(), "cookie" | "authorization") {
                let why = format!(
                    "{path} asks for the header {header:?}, which carries the session's token; ask for `session` instead"
                );
                return Err(Problem::contradiction(at!["headers", number], why));
            }
            if header.is_empty() || header.chars().any(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
                let why = format!("{header:?} is not a header name in lower case");
                return Err(Problem::malformed(at!["headers", number], why));
            }
        }
        Ok(())
    }
}

impl EventTrigger {
    /// The most events of one call.
    pub const MOST_BATCHED: u32 = 100;
    /// The most attempts of an event.
    pub const MOST_ATTEMPTS: u32 = 100;

    /// The `batch` of a subscription that does not give it.
    pub(super) fn one() -> u32 {
        1
    }

    /// The `attempts` of a subscription that does not give it.
    pub(super) fn attempts() -> u32 {
        8
    }

    /// Whether the other subscription gets nothing that this one does not: of the same topic, it has no other types, starts no
    /// earlier, and gets no more in one call or in more attempts.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let all_types = self.types.is_empty();
        self.topic == other.topic
            && (all_types || (!other.types.is_empty() && other.types.is_subset(&self.types)))
            && self.from >= other.from
            && self.batch >= other.batch
            && self.attempts >= other.attempts
    }

    /// Whether events of this type are delivered.
    pub fn takes(&self, kind: &str) -> bool {
        self.types.is_empty() || kind.is_empty() || self.types.contains(kind)
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        for (name, value, most) in
            [("batch", self.batch, Self::MOST_BATCHED), ("attempts", self.attempts, Self::MOST_ATTEMPTS)]
        {
            if !(1..=most).contains(&value) {
                let topic = &self.topic;
                let why = format!("{name} of the topic {topic:?} takes 1 to {most}, not {value}");
                return Err(Problem::malformed(at![name], why));
            }
        }
        Ok(())
    }
}

impl SocketTrigger {
    /// The names that the protocol and its clients reserve.
    const RESERVED: [&str; 7] =
        ["connect", "connect_error", "disconnect", "disconnecting", "error", "newListener", "removeListener"];

    pub(super) fn check(&self) -> Result<(), Problem> {
        let event = self.event.as_str();
        if Self::RESERVED.contains(&event) {
            let why = format!("the socket event {event:?} is Socket.IO's own; choose another name");
            return Err(Problem::contradiction(at!["event"], why));
        }
        if !(1..=64).contains(&event.len()) || !event.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!("the socket event {event:?} takes 1 to 64 printable ASCII characters without spaces");
            return Err(Problem::malformed(at!["event"], why));
        }
        Ok(())
    }
}
