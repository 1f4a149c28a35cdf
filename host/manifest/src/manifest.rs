//! The manifest: a component's triggers, grants and limits.
//!
//! Written as `component.toml`, embedded in the `.wasm` as the custom section `devconnect:manifest`. This file parses and
//! checks it, and touches nothing else. `source_span` finds the line and column of an error.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::asset_rules::AssetRules;
use crate::grants::Grants;
use crate::limits::Limits;
use crate::schedule::ScheduleTrigger;
use crate::source_span::{Problem, at};
use crate::trigger::{EventTrigger, HttpTrigger, PresenceTrigger, SocketTrigger};

/// The name of the custom section of a component that holds its manifest.
pub const SECTION: &str = "devconnect:manifest";
/// The largest manifest, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Why a manifest is refused. The text has the position and what to write instead.
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
    /// The component has a manifest where one was to be added.
    #[error("it has a manifest already")]
    AlreadyThere,
    /// The TOML or a value in it is wrong; the text has line and column.
    #[error("its manifest is wrong: {0}")]
    Malformed(String),
    /// What it says of its routes is wrong.
    #[error("what it says of its routes (the custom section `devconnect:openapi`) is wrong: {0}")]
    Description(String),
    /// Its files are wrong, or don't fit its manifest.
    #[error("its files (the custom section `devconnect:assets`) are wrong: {0}")]
    Assets(String),
    /// The manifest contradicts itself.
    #[error("its manifest contradicts itself: {0}")]
    Contradiction(String),
}

/// The manifest of a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Its name and version.
    pub component: About,
    /// Its HTTP routes.
    #[serde(default)]
    pub http: Vec<HttpTrigger>,
    /// The socket events that it handles.
    #[serde(default)]
    pub socket: Vec<SocketTrigger>,
    /// It handles presence changes.
    pub presence: Option<PresenceTrigger>,
    /// The topics that it subscribes to.
    #[serde(default)]
    pub event: Vec<EventTrigger>,
    /// Its schedules.
    #[serde(default)]
    pub schedule: Vec<ScheduleTrigger>,
    /// Its files, which the host serves.
    pub assets: Option<AssetRules>,
    /// Its grants; nothing is granted by default.
    #[serde(default)]
    pub grants: Grants,
    /// The limits of one call.
    #[serde(default)]
    pub limits: Limits,
}

/// A component's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct About {
    /// 1 to 64 of `a-z 0-9 -`, beginning with a letter.
    pub name: String,
    /// For people; the host identifies versions by their hash.
    pub version: String,
    /// One line for the operator.
    #[serde(default)]
    pub description: String,
}

impl Manifest {
    /// Parses the TOML of a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::Malformed(format!("{} bytes, at most {MAX_BYTES} are allowed", text.len())));
        }
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| ManifestError::Malformed(error.to_string().trim_end().to_owned()))?;
        manifest.check().map_err(|problem| problem.in_text(text))?;
        Ok(manifest)
    }

    /// A route whose session rule differs in another version: method and path.
    pub fn other_session_rule(&self, other: &Self) -> Option<String> {
        let has_other = |route: &&HttpTrigger| {
            let same = |there: &&HttpTrigger| (there.method, &there.path) == (route.method, &route.path);
            other.http.iter().find(same).is_some_and(|there| there.session != route.session)
        };
        self.http.iter().find(has_other).map(|route| format!("{} {}", route.method.as_str(), route.path))
    }

    fn check(&self) -> Result<(), Problem> {
        let name = &self.component.name;
        let valid = (1..=64).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !valid {
            let why =
                format!("component.name is {name:?}; it takes 1 to 64 of a-z, 0-9 and -, beginning with a letter");
            return Err(Problem::malformed(at!["component", "name"], why));
        }
        // An operator's terminal shows them.
        for (field, text) in [("version", &self.component.version), ("description", &self.component.description)] {
            if text.chars().any(char::is_control) {
                let why = format!("component.{field} is {text:?}; it takes one line without control characters");
                return Err(Problem::malformed(at!["component", field], why));
            }
        }
        self.check_triggers()?;
        self.assets.as_ref().map_or(Ok(()), AssetRules::check)?;
        self.grants.check()?;
        self.limits.check().map_err(|(field, why)| Problem::malformed(at!["limits", field], why))
    }

    fn check_triggers(&self) -> Result<(), Problem> {
        let twice = |at, what: String| Err(Problem::contradiction(at, format!("{what} is there twice")));
        let mut routes = BTreeSet::new();
        for (number, trigger) in self.http.iter().enumerate() {
            trigger.check().map_err(|problem| problem.within(at!["http", number]))?;
            if !routes.insert((trigger.method, trigger.path.as_str())) {
                return twice(at!["http", number, "path"], format!("{} {}", trigger.method.as_str(), trigger.path));
            }
        }
        let mut events = BTreeSet::new();
        for (number, trigger) in self.socket.iter().enumerate() {
            trigger.check().map_err(|problem| problem.within(at!["socket", number]))?;
            if !events.insert(trigger.event.as_str()) {
                return twice(at!["socket", number, "event"], format!("the socket event {:?}", trigger.event));
            }
        }
        let mut topics = BTreeSet::new();
        for (number, trigger) in self.event.iter().enumerate() {
            trigger.check().map_err(|problem| problem.within(at!["event", number]))?;
            if !topics.insert(trigger.topic.as_str()) {
                let why = format!("the topic {:?} is there twice; list all its types once", trigger.topic);
                return Err(Problem::contradiction(at!["event", number, "topic"], why));
            }
            if self.event.first().is_some_and(|first| first.from != trigger.from) {
                let why = "a component is one group of consumers: `from` is the same for all of its topics".to_owned();
                return Err(Problem::contradiction(at!["event", number, "from"], why));
            }
        }
        let mut crons = BTreeSet::new();
        for (number, trigger) in self.schedule.iter().enumerate() {
            if !crons.insert(trigger.cron.as_str()) {
                return twice(at!["schedule", number, "cron"], format!("the schedule {:?}", trigger.cron.as_str()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::{From, SessionRule};

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
        assert_eq!(error, ManifestError::Contradiction("line 9, column 8: GET /a is there twice".into()));
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
        for path in
            ["", "a", "/a//b", "/a?b", "/a b", "/a/../b", "/..", "/./a", "/a\0", "/a\nb", "/\u{e9}", "/\u{202e}a"]
        {
            let text = format!("[[http]]\nmethod = \"GET\"\npath = {}\n", toml::Value::from(path));
            assert!(matches!(with(&text), Err(ManifestError::Malformed(_))), "{path:?}");
        }
    }

    #[test]
    fn what_a_terminal_shows_has_no_control_characters() {
        for (version, description, field) in
            [("1\\u001b[8m", "a", "version"), ("1", "a\\nb", "description"), ("1", "\\u009b8m", "description")]
        {
            let text = format!("[component]\nname = 'a'\nversion = \"{version}\"\ndescription = \"{description}\"\n");
            let error = Manifest::parse(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("component.{field} is ")) && error.contains("control"), "{error}");
        }
    }

    #[test]
    fn names_that_nothing_can_have_are_not_granted() {
        for (lines, line, why) in [
            ("[grants.cache]\n'' = 'r'", 5, "the pattern \"\""),
            ("[grants.cache]\n'a' = 'r'\n'user: *' = 'r'", 6, "the pattern \"user: *\""),
            ("[grants.cache]\n\"user:\\u0000\" = 'r'", 5, "printable ASCII"),
            ("[grants.cache]\n\"\\u202euser:*\" = 'r'", 5, "printable ASCII"),
            ("[grants.cache]\n'us\u{435}r:*' = 'r'", 5, "printable ASCII"),
            ("[grants.sockets]\nrooms = ['a', '']", 5, "the pattern \"\""),
            ("[grants.sockets]\nemit = ['disconnect']", 5, "Socket.IO's own"),
            ("[grants.sockets]\nemit = ['a b']", 5, "1 to 64 printable ASCII"),
            ("[grants]\nconfig = ['']", 5, "the setting \"\""),
            ("[grants]\nconfig = [\"a\\nb\"]", 5, "the setting \"a\\nb\""),
        ] {
            let error = with(lines).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&format!("line {line}, ")), "{lines}: {error}");
        }
        let long = "x".repeat(513);
        for lines in [
            format!("[grants.cache]\n{long} = 'r'"),
            format!("[grants.sockets]\nrooms = ['{long}']"),
            format!("[grants]\nconfig = ['{long}']"),
        ] {
            assert!(matches!(with(&lines), Err(ManifestError::Malformed(_))), "{lines}");
        }
    }
}
