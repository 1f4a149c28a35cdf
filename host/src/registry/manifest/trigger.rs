//! What of a manifest brings calls to a component: routes, socket events, presence, topics.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::place::{Problem, at};

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
    /// Request headers that the component gets to see, lower-case. Cookies and `authorization` never.
    #[serde(default)]
    pub headers: Vec<String>,
    /// What a body has to be.
    #[serde(default)]
    pub body: BodyRule,
}

impl HttpTrigger {
    /// Whether another version's route is this one: who has it decides nothing else before the call.
    pub(in crate::registry) fn is_same_route(&self, other: &Self) -> bool {
        (self.method, self.path.as_str(), self.session) == (other.method, other.path.as_str(), other.session)
    }
}

/// One event of sockets that a component answers. Sockets always have a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SocketTrigger {
    /// Its name, as clients send it: 1 to 64 printable ASCII characters, and none that Socket.IO itself uses.
    pub event: String,
}

/// A component that is told when users come and go. There is nothing to say about it yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PresenceTrigger {}

/// Events of one topic that a component is told. All of its topics are one group of consumers, which has its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EventTrigger {
    /// The topic, as the application names it.
    pub topic: String,
    /// Only events of these types; none listed: all. One that does not say its type comes whatever is listed.
    #[serde(default)]
    pub types: BTreeSet<String>,
    /// Where the component begins when it is deployed for the first time; the same for all of its topics.
    #[serde(default)]
    pub from: From,
    /// How many events of one key may come in one call, 1 to [`EventTrigger::MOST_BATCHED`].
    #[serde(default = "EventTrigger::one")]
    pub batch: u32,
    /// After how many tries an event is a dead letter, 1 to [`EventTrigger::MOST_ATTEMPTS`].
    #[serde(default = "EventTrigger::attempts")]
    pub attempts: u32,
}

/// Where a group of consumers begins that has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// With what is published from then on.
    #[default]
    Latest,
    /// With the oldest event that the topic has.
    Earliest,
}

/// The methods a route can have. `HEAD` and `OPTIONS` are the host's.
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
    /// As it stands in a request.
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

    /// The host checks the `Origin` of everything that may change state.
    pub fn changes_state(self) -> bool {
        self != Method::Get
    }
}

/// Whether a route wants a session. The host checks it before the component is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionRule {
    /// Without one: 401. The safe default.
    #[default]
    Required,
    /// The component gets an identity when there is one.
    Optional,
    /// Sessions are not looked at.
    None,
    /// Operators only: the route is not there for the world. It is on the operator's side, under `/v1/app`.
    Operator,
}

/// What a request's body has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyRule {
    /// Empty, or `application/json` (otherwise 415).
    #[default]
    Json,
    /// Whatever the client sends.
    Any,
}

impl HttpTrigger {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let path = &self.path;
        if !path.starts_with('/') || path.len() > 256 || path.contains(['?', '#', ' ', '\\']) || path.contains("//") {
            let why = format!(
                "the path {path:?} must begin with /, be at most 256 long and have no ?, #, space, \\ or empty segment"
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
    /// The most tries.
    pub const MOST_ATTEMPTS: u32 = 100;

    fn one() -> u32 {
        1
    }

    fn attempts() -> u32 {
        8
    }

    /// Whether events of this type are told.
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
    /// What the protocol and its clients use themselves.
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
