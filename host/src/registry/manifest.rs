//! The manifest: what a component answers to, what it may reach and how much it may use.
//!
//! Written by the component's author as `component.toml`, embedded in the `.wasm` as the custom section
//! `devconnect:manifest`. Pure data: this file parses and checks it, and touches nothing else.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::schedule::ScheduleTrigger;
use crate::capability::{cache, documents, sockets};
use crate::engine::Limits;

/// The name of the custom section of a component that holds its manifest.
pub const SECTION: &str = "devconnect:manifest";
/// The largest manifest, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Why a manifest is refused. The text says where and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a component, or its sections can't be read.
    #[error("this is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// A component without a manifest.
    #[error(
        "there is no manifest in it (the custom section `{SECTION}`); build it with `cargo xtask build-components`"
    )]
    Missing,
    /// More than one manifest, or one inside a nested module or component.
    #[error("its manifest is not the only one, at the top of the component: {0}")]
    Ambiguous(&'static str),
    /// The TOML or a value in it is wrong; the text has line and column.
    #[error("its manifest is wrong: {0}")]
    Malformed(String),
    /// The manifest contradicts itself.
    #[error("its manifest contradicts itself: {0}")]
    Contradiction(String),
}

/// Everything a component says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Its name and version.
    pub component: About,
    /// The HTTP requests it answers.
    #[serde(default)]
    pub http: Vec<HttpTrigger>,
    /// The messages of sockets that it answers.
    #[serde(default)]
    pub socket: Vec<SocketTrigger>,
    /// It is told when users come and go.
    pub presence: Option<PresenceTrigger>,
    /// The events that it is told.
    #[serde(default)]
    pub event: Vec<EventTrigger>,
    /// The times at which it has something to do.
    #[serde(default)]
    pub schedule: Vec<ScheduleTrigger>,
    /// What it may reach. Nothing, unless it says so.
    #[serde(default)]
    pub grants: Grants,
    /// How much it may use for one call.
    #[serde(default)]
    pub limits: Limits,
}

/// A component's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct About {
    /// 1 to 64 of `a-z 0-9 -`, beginning with a letter.
    pub name: String,
    /// For people; the host tells versions apart by their hash.
    pub version: String,
    /// One line for the operator.
    #[serde(default)]
    pub description: String,
}

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

/// What a component may reach: the sum of what each capability's room calls a grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grants {
    /// Cache keys by pattern.
    pub cache: cache::Grant,
    /// Collections by name.
    pub documents: documents::Grant,
    /// Topics it may publish to.
    pub events: BTreeSet<String>,
    /// What it may do with sockets.
    pub sockets: sockets::Grant,
    /// What it may do with sessions.
    pub sessions: BTreeSet<SessionUse>,
    /// It may hash and verify passwords.
    pub passwords: bool,
    /// Secrets it may sign and verify with, by name.
    pub signing: BTreeSet<String>,
    /// Settings it may read, by name.
    pub config: BTreeSet<String>,
    /// It may send mails.
    pub mail: bool,
}

/// One use of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionUse {
    /// Begin one.
    Open,
    /// End some.
    End,
    /// Look at the living ones.
    List,
}

impl SessionUse {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionUse::Open => "open",
            SessionUse::End => "end",
            SessionUse::List => "list",
        }
    }
}

impl Manifest {
    /// The manifest of a component, from the one file that deploys.
    pub fn of_component(wasm: &[u8]) -> Result<Self, ManifestError> {
        let mut found = None;
        let mut depth = 0_u32;
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            use wasmparser::Payload;
            match payload.map_err(|error| ManifestError::NotAComponent(error.to_string()))? {
                Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => {
                    return Err(ManifestError::NotAComponent(
                        "it is a core module; turn it into a component first".into(),
                    ));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if section.name() == SECTION => {
                    if depth > 0 {
                        return Err(ManifestError::Ambiguous("one is nested inside it"));
                    }
                    if found.replace(section.data()).is_some() {
                        return Err(ManifestError::Ambiguous("there are two"));
                    }
                }
                _ => {}
            }
        }
        let bytes = found.ok_or(ManifestError::Missing)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ManifestError::Malformed(format!("not UTF-8 from byte {}", error.valid_up_to())))?;
        Self::parse(text)
    }

    /// A manifest from its TOML.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::Malformed(format!("{} bytes, at most {MAX_BYTES} are allowed", text.len())));
        }
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| ManifestError::Malformed(error.to_string().trim_end().to_owned()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let name = &self.component.name;
        let valid = (1..=64).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !valid {
            return Err(ManifestError::Malformed(format!(
                "component.name is {name:?}; it takes 1 to 64 of a-z, 0-9 and -, beginning with a letter"
            )));
        }
        let mut routes = BTreeSet::new();
        for trigger in &self.http {
            trigger.check()?;
            if !routes.insert((trigger.method, trigger.path.as_str())) {
                return Err(ManifestError::Contradiction(format!(
                    "{} {} is there twice",
                    trigger.method.as_str(),
                    trigger.path
                )));
            }
        }
        let mut events = BTreeSet::new();
        for trigger in &self.socket {
            trigger.check()?;
            if !events.insert(trigger.event.as_str()) {
                return Err(ManifestError::Contradiction(format!(
                    "the socket event {:?} is there twice",
                    trigger.event
                )));
            }
        }
        let mut topics = BTreeSet::new();
        for trigger in &self.event {
            trigger.check()?;
            if !topics.insert(trigger.topic.as_str()) {
                let topic = &trigger.topic;
                return Err(ManifestError::Contradiction(format!(
                    "the topic {topic:?} is there twice; list all its types once"
                )));
            }
        }
        if self.event.iter().any(|trigger| self.event.first().is_some_and(|first| first.from != trigger.from)) {
            return Err(ManifestError::Contradiction(
                "a component is one group of consumers: `from` is the same for all of its topics".into(),
            ));
        }
        let mut crons = BTreeSet::new();
        if let Some(twice) = self.schedule.iter().find(|trigger| !crons.insert(trigger.cron.as_str())) {
            let cron = twice.cron.as_str();
            return Err(ManifestError::Contradiction(format!("the schedule {cron:?} is there twice")));
        }
        self.grants.documents.check().map_err(ManifestError::Contradiction)?;
        self.limits.check().map_err(ManifestError::Malformed)
    }
}

impl HttpTrigger {
    fn check(&self) -> Result<(), ManifestError> {
        let path = &self.path;
        if !path.starts_with('/') || path.len() > 256 || path.contains(['?', '#', ' ', '\\']) || path.contains("//") {
            return Err(ManifestError::Malformed(format!(
                "the path {path:?} must begin with /, be at most 256 long and have no ?, #, space, \\ or empty segment"
            )));
        }
        for header in &self.headers {
            if matches!(header.as_str(), "cookie" | "authorization") {
                return Err(ManifestError::Contradiction(format!(
                    "{path} asks for the header {header:?}, which carries the session's token; ask for `session` instead"
                )));
            }
            if header.is_empty() || header.chars().any(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
                return Err(ManifestError::Malformed(format!("{header:?} is not a header name in lower case")));
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

    fn check(&self) -> Result<(), ManifestError> {
        for (name, value, most) in
            [("batch", self.batch, Self::MOST_BATCHED), ("attempts", self.attempts, Self::MOST_ATTEMPTS)]
        {
            if !(1..=most).contains(&value) {
                let topic = &self.topic;
                return Err(ManifestError::Malformed(format!(
                    "{name} of the topic {topic:?} takes 1 to {most}, not {value}"
                )));
            }
        }
        Ok(())
    }
}

impl SocketTrigger {
    /// What the protocol and its clients use themselves.
    const RESERVED: [&str; 7] =
        ["connect", "connect_error", "disconnect", "disconnecting", "error", "newListener", "removeListener"];

    fn check(&self) -> Result<(), ManifestError> {
        let event = self.event.as_str();
        if Self::RESERVED.contains(&event) {
            return Err(ManifestError::Contradiction(format!(
                "the socket event {event:?} is Socket.IO's own; choose another name"
            )));
        }
        if !(1..=64).contains(&event.len()) || !event.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ManifestError::Malformed(format!(
                "the socket event {event:?} takes 1 to 64 printable ASCII characters without spaces"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[component]\nname = \"auth\"\nversion = \"1.0.0\"\n";

    fn with(more: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(&format!("{LEAST}{more}"))
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let manifest = with("").unwrap();
        assert_eq!(manifest.grants, Grants::default());
        assert!(manifest.http.is_empty());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = with("[grants]\ncahce = {}\n").unwrap_err().to_string();
        assert!(error.contains("cahce") && error.contains("line 5"), "{error}");
    }

    #[test]
    fn a_route_asks_for_a_session_unless_it_says_otherwise() {
        let manifest = with("[[http]]\nmethod = \"GET\"\npath = \"/a\"\n").unwrap();
        assert_eq!(manifest.http[0].session, SessionRule::Required);
    }

    #[test]
    fn the_same_route_twice_is_a_contradiction() {
        let route = "[[http]]\nmethod = \"GET\"\npath = \"/a\"\n";
        let error = with(&format!("{route}{route}")).unwrap_err();
        assert_eq!(error, ManifestError::Contradiction("GET /a is there twice".into()));
    }

    #[test]
    fn the_token_can_not_be_asked_for() {
        let error = with("[[http]]\nmethod = \"GET\"\npath = \"/a\"\nheaders = [\"cookie\"]\n").unwrap_err();
        assert!(matches!(error, ManifestError::Contradiction(_)));
    }

    #[test]
    fn socket_events_are_named_once_and_not_after_the_protocol() {
        let event = |name: &str| format!("[[socket]]\nevent = {name:?}\n");
        assert_eq!(with(&event("chat:typing")).unwrap().socket[0].event, "chat:typing");
        assert!(matches!(with(&event("disconnect")), Err(ManifestError::Contradiction(_))));
        assert!(matches!(with(&event("a").repeat(2)), Err(ManifestError::Contradiction(_))));
        for name in ["", "a b", "é", &"a".repeat(65)] {
            assert!(matches!(with(&event(name)), Err(ManifestError::Malformed(_))), "{name}");
        }
        assert!(with("[presence]\n").unwrap().presence.is_some());
    }

    #[test]
    fn a_topic_is_named_once_and_tells_how_it_is_consumed() {
        let manifest = with("[[event]]\ntopic = \"t\"\ntypes = [\"A\"]\n").unwrap();
        let trigger = &manifest.event[0];
        assert_eq!((trigger.from, trigger.batch, trigger.attempts), (From::Latest, 1, 8));
        assert!(trigger.takes("A") && trigger.takes("") && !trigger.takes("B"));
        for (lines, why) in [
            ("topic = \"t\"\n[[event]]\ntopic = \"t\"", "the topic \"t\" is there twice"),
            ("topic = \"t\"\n[[event]]\ntopic = \"u\"\nfrom = \"earliest\"", "`from` is the same for all"),
            ("topic = \"t\"\nbatch = 0", "batch of the topic \"t\" takes 1 to 100, not 0"),
            ("topic = \"t\"\nattempts = 101", "attempts of the topic \"t\" takes 1 to 100, not 101"),
            ("topic = \"t\"\nfrom = \"now\"", "expected `latest` or `earliest`"),
        ] {
            let error = with(&format!("[[event]]\n{lines}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{lines}: {error}");
        }
    }

    #[test]
    fn bad_names_and_paths_are_refused() {
        for name in ["", "Auth", "1auth", "a b", "../x", &"a".repeat(65)] {
            let text = format!("[component]\nname = {name:?}\nversion = \"1\"\n");
            assert!(matches!(Manifest::parse(&text), Err(ManifestError::Malformed(_))), "{name}");
        }
        for path in ["", "a", "/a//b", "/a?b", "/a b"] {
            let text = format!("[[http]]\nmethod = \"GET\"\npath = {path:?}\n");
            assert!(matches!(with(&text), Err(ManifestError::Malformed(_))), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Manifest::parse(&text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
            wasm.extend(bytes);
            let _ = Manifest::of_component(&wasm);
        }
    }
}
