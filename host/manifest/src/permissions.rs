//! Permissions: what a version of a component may see or do, a line of text each, and what changes from one version to another.
//!
//! One function turns a manifest into its permissions, and one decides which permission includes which. Touches nothing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use capability::cache::KeyAccess;
use capability::sessions::SessionUse;
use capability::{Access, pattern};

use crate::manifest::Manifest;
use crate::trigger::{BodyRule, EventTrigger, HttpTrigger, Method};

/// One thing that a version of a component may see or do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission<'a> {
    /// It answers a route.
    Route(&'a HttpTrigger),
    /// It answers a socket event.
    SocketEvent(&'a str),
    /// It is called when users come and go.
    PresenceChanges,
    /// It gets the events of a topic.
    Topic(&'a EventTrigger),
    /// It is called at these times.
    Schedule(&'a str),
    /// A call may use more than by default: the name and the value of a limit.
    Limit(&'static str, u32),
    /// Reading under a pattern of cache keys.
    ReadKeys(&'a str),
    /// Writing under it.
    WriteKeys(&'a str),
    /// Naming such keys in commits that make them stale.
    StaleKeys(&'a str),
    /// Reading a collection without these fields.
    ReadCollection(&'a str, &'a BTreeSet<String>),
    /// Writing a collection without these fields.
    WriteCollection(&'a str, &'a BTreeSet<String>),
    /// A private field of a collection.
    PrivateField(&'a str, &'a str),
    /// Publishing to a topic.
    Publish(&'a str),
    /// Sending an event to sockets.
    Emit(&'a str),
    /// Using the rooms of a pattern.
    Rooms(&'a str),
    /// Counting sockets for presence, and asking who is present.
    CountPresence,
    /// A use of sessions.
    Sessions(SessionUse),
    /// Hashing and verifying passwords.
    Passwords,
    /// Signing with a secret.
    Sign(&'a str),
    /// Reading a setting.
    Setting(&'a str),
    /// Sending mails.
    Mail,
    /// Serving pages that run scripts on the host's origin.
    Pages,
    /// Serving files of its own under a path, pages with scripts among them.
    Files(&'a str),
    /// Answering paths under this one that lead to nothing else with a file.
    Fallback(&'a str, &'a str),
    /// A header of its files that is not the default: its name and value.
    FileHeader(&'a str, &'a str),
}

impl Permission<'_> {
    /// Whether who has this permission has the other one as well. A route is wider the more strangers it lets in, a subscription
    /// the more events it gets, a pattern the more names it covers, a collection the fewer fields are left out.
    fn includes(&self, other: &Permission<'_>) -> bool {
        match (*self, *other) {
            (Permission::Route(this), Permission::Route(other)) => this.includes(other),
            (Permission::Topic(this), Permission::Topic(other)) => this.includes(other),
            (Permission::Limit(this, most), Permission::Limit(other, value)) => this == other && most >= value,
            (Permission::ReadKeys(this), Permission::ReadKeys(other))
            | (Permission::WriteKeys(this), Permission::WriteKeys(other))
            | (Permission::WriteKeys(this) | Permission::StaleKeys(this), Permission::StaleKeys(other))
            | (Permission::Rooms(this), Permission::Rooms(other)) => pattern::includes(this, other),
            (Permission::ReadCollection(this, hidden), Permission::ReadCollection(other, others))
            | (Permission::WriteCollection(this, hidden), Permission::WriteCollection(other, others)) => {
                this == other && hidden.is_subset(others)
            }
            (Permission::Files(this), Permission::Files(other)) => assets::is_below(other, this),
            // The component may change the file, too.
            (Permission::Fallback(this, _), Permission::Fallback(other, _)) => this == other,
            (this, other) => this == other,
        }
    }
}

/// The line of the permission. What it is about comes first; its value, where it has one, is behind the first comma.
impl fmt::Display for Permission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Permission::Route(route) => {
                write!(f, "{} {}, session {}", route.method.as_str(), route.path, route.session.as_str())?;
                match (route.body(), route.method) {
                    (BodyRule::Any, _) => f.write_str(", any body")?,
                    (BodyRule::Json, Method::Get) => f.write_str(", JSON body")?,
                    (BodyRule::None, method) if method != Method::Get => f.write_str(", no body")?,
                    _ => {}
                }
                list(f, "headers", route.headers.iter().collect::<BTreeSet<_>>())
            }
            Permission::SocketEvent(event) => write!(f, "answer the socket event {}", shown(event)),
            Permission::PresenceChanges => f.write_str("be told who comes and goes"),
            Permission::Topic(trigger) => {
                write!(f, "get events of the topic {}", shown(&trigger.topic))?;
                if trigger.types.is_empty() {
                    f.write_str(", all types")?;
                }
                list(f, "types", &trigger.types)?;
                write!(f, ", from {}", trigger.from.as_str())?;
                if trigger.batch != EventTrigger::one() {
                    write!(f, ", batch {}", trigger.batch)?;
                }
                if trigger.attempts != EventTrigger::attempts() {
                    write!(f, ", attempts {}", trigger.attempts)?;
                }
                Ok(())
            }
            Permission::Schedule(cron) => write!(f, "run at \"{}\" (UTC)", cron.escape_default()),
            Permission::Limit(name, value) => write!(f, "limits.{name}, up to {value}"),
            Permission::ReadKeys(keys) => write!(f, "read the cache keys {}", shown(keys)),
            Permission::WriteKeys(keys) => write!(f, "write the cache keys {}", shown(keys)),
            Permission::StaleKeys(keys) => write!(f, "make stale the cache keys {}", shown(keys)),
            Permission::ReadCollection(name, hidden) => {
                write!(f, "read the collection {}", shown(name))?;
                list(f, "except", hidden)
            }
            Permission::WriteCollection(name, hidden) => {
                write!(f, "write the collection {}", shown(name))?;
                list(f, "except", hidden)
            }
            Permission::PrivateField(name, field) => {
                write!(f, "see the private field {}.{}", shown(name), shown(field))
            }
            Permission::Publish(topic) => write!(f, "publish to the topic {}", shown(topic)),
            Permission::Emit(event) => write!(f, "send {} to sockets", shown(event)),
            Permission::Rooms(rooms) => write!(f, "use the rooms {}", shown(rooms)),
            Permission::CountPresence => f.write_str("count and ask who is present"),
            Permission::Sessions(used) => write!(f, "{} sessions", used.as_str()),
            Permission::Passwords => f.write_str("hash and verify passwords"),
            Permission::Sign(secret) => write!(f, "sign with the secret {}", shown(secret)),
            Permission::Setting(name) => write!(f, "read the setting {}", shown(name)),
            Permission::Mail => f.write_str("send mails"),
            Permission::Pages => f.write_str("serve pages with scripts"),
            Permission::Files(prefix) => write!(f, "serve files under {}, pages with scripts too", shown(prefix)),
            Permission::Fallback(prefix, file) => {
                write!(f, "answer what is nothing under {}, with the file {}", shown(prefix), shown(file))
            }
            Permission::FileHeader(name, value) => write!(f, "send the header {name} with its files, {value}"),
        }
    }
}

/// Names behind a word; nothing where there are none.
fn list<'a>(f: &mut fmt::Formatter<'_>, word: &str, names: impl IntoIterator<Item = &'a String>) -> fmt::Result {
    for (number, name) in names.into_iter().enumerate() {
        if number == 0 {
            write!(f, ", {word}")?;
        }
        write!(f, " {}", shown(name))?;
    }
    Ok(())
}

/// A name in a line. One that could be taken for another one, or for a line of its own, is quoted, in ASCII.
fn shown(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.escape_default()))
    }
}

/// What changes in what a component may see or do, from one version to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    lines: Vec<String>,
    widens: bool,
}

impl Difference {
    /// A line each: behind `+` what is new, behind `-` what is gone. A value that changes has both.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether anything is new that nothing of the version before includes.
    pub fn widens(&self) -> bool {
        self.widens
    }
}

impl Manifest {
    /// All that this version may see or do, a line each: its triggers, its grants, and its limits above the defaults.
    pub fn permission_lines(&self) -> BTreeSet<String> {
        lines(&self.permissions())
    }

    /// Only its grants, a line each.
    pub fn grant_lines(&self) -> BTreeSet<String> {
        lines(&self.granted())
    }

    /// What changes when this version comes after another one or, without one, is the first.
    pub fn difference(&self, before: Option<&Self>) -> Difference {
        let (new, old) = (self.permissions(), before.map(Self::permissions).unwrap_or_default());
        let widens = new.iter().any(|permission| !old.iter().any(|known| known.includes(permission)));
        let (new, old) = (lines(&new), lines(&old));
        let gone = old.difference(&new).map(|line| (line, '-'));
        let added = new.difference(&old).map(|line| (line, '+'));
        let mut changed: Vec<(&String, char)> = gone.chain(added).collect();
        // Both lines of a value that changes are together, the old one first.
        changed.sort_by_key(|&(line, sign)| (line.split(',').next(), Reverse(sign)));
        Difference { lines: changed.into_iter().map(|(line, sign)| format!("{sign} {line}")).collect(), widens }
    }

    /// All that this version may see or do.
    pub(super) fn permissions(&self) -> Vec<Permission<'_>> {
        let mut all: Vec<Permission<'_>> = self.http.iter().map(Permission::Route).collect();
        all.extend(self.socket.iter().map(|trigger| Permission::SocketEvent(&trigger.event)));
        all.extend(self.presence.as_ref().map(|_| Permission::PresenceChanges));
        all.extend(self.event.iter().map(Permission::Topic));
        all.extend(self.schedule.iter().map(|trigger| Permission::Schedule(trigger.cron.as_str())));
        if let Some(assets) = &self.assets {
            all.push(Permission::Files(&assets.prefix));
            all.extend(assets.fallback.iter().map(|(under, file)| Permission::Fallback(under, file)));
            all.extend(assets.headers.iter().map(|(name, value)| Permission::FileHeader(name, value)));
        }
        all.extend(self.limits.above_defaults().map(|(name, value)| Permission::Limit(name, value)));
        all.extend(self.granted());
        all
    }

    /// Its grants.
    fn granted(&self) -> Vec<Permission<'_>> {
        let grants = &self.grants;
        let mut all = Vec::new();
        for (keys, access) in grants.cache.granted() {
            if access.includes(KeyAccess::Read) {
                all.push(Permission::ReadKeys(keys));
            }
            if access.includes(KeyAccess::Write) {
                all.push(Permission::WriteKeys(keys));
            } else if access.includes(KeyAccess::Stale) {
                all.push(Permission::StaleKeys(keys));
            }
        }
        for (name, grant) in grants.documents.granted() {
            if grant.access.includes(Access::Read) {
                all.push(Permission::ReadCollection(name, &grant.except));
            }
            if grant.access.includes(Access::Write) {
                all.push(Permission::WriteCollection(name, &grant.except));
            }
            all.extend(grant.private.iter().map(|field| Permission::PrivateField(name, field)));
        }
        all.extend(grants.events.iter().map(|topic| Permission::Publish(topic)));
        all.extend(grants.sockets.emit.iter().map(|event| Permission::Emit(event)));
        all.extend(grants.sockets.rooms.iter().map(|rooms| Permission::Rooms(rooms)));
        all.extend(grants.sockets.presence.then_some(Permission::CountPresence));
        all.extend(grants.sessions.iter().map(|used| Permission::Sessions(*used)));
        all.extend(grants.passwords.then_some(Permission::Passwords));
        all.extend(grants.signing.iter().map(|secret| Permission::Sign(secret)));
        all.extend(grants.config.iter().map(|name| Permission::Setting(name)));
        all.extend(grants.mail.then_some(Permission::Mail));
        all.extend(grants.pages.then_some(Permission::Pages));
        all
    }
}

fn lines(permissions: &[Permission<'_>]) -> BTreeSet<String> {
    permissions.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[component]\nname = 'a'\nversion = '1'\n";
    /// A value of each kind that has an order.
    const BASE: &str = "
[[http]]
method = 'GET'
path = '/a'
session = 'optional'
headers = ['x']

[[event]]
topic = 't'
types = ['A', 'B']
batch = 10
attempts = 10

[grants.documents]
users = { access = 'rw', except = ['about', 'mail'] }

[grants.cache]
'u:*' = 'w'

[grants.sockets]
rooms = ['team:*']

[limits]
cpu-ms = 1000
memory-kib = 64
";

    fn manifest(lines: &str) -> Manifest {
        Manifest::parse(&format!("{HEAD}{lines}")).unwrap()
    }

    #[test]
    fn a_manifest_has_a_line_for_all_that_it_asks_for() {
        let lines = manifest(
            "
[[http]]
method = 'POST'
path = '/a/{id}'
session = 'none'
headers = ['x', 'accept']
body = 'any'
[[http]]
method = 'GET'
path = '/b'
[[socket]]
event = 'typing'
[presence]
[[event]]
topic = 't'
from = 'earliest'
[[event]]
topic = 'u'
types = ['B', 'A']
from = 'earliest'
batch = 50
attempts = 3
[[schedule]]
cron = '0 8 * * MON'
[grants]
events = ['t']
sessions = ['end']
passwords = true
signing = ['unsubscribe']
config = ['public-url']
mail = true
pages = true
[grants.documents]
users = { access = 'r', except = ['mail', 'about'], private = ['password'] }
counters = { access = 'w' }
[grants.cache]
'a:*' = 'rw'
'b' = 'stale'
[grants.sockets]
emit = ['chat']
rooms = ['team:*']
presence = true
[limits]
cpu-ms = 60_000
body-kib = 256
host-calls = 10
[assets]
dir = 'dist'
fallback = { '/app' = 'app.html' }
headers = { x-robots-tag = 'none' }
",
        );
        let expected = [
            "GET /b, session required",
            "POST /a/{id}, session none, any body, headers accept x",
            "answer the socket event typing",
            "answer what is nothing under /app, with the file app.html",
            "be told who comes and goes",
            "count and ask who is present",
            "end sessions",
            "get events of the topic t, all types, from earliest",
            "get events of the topic u, types A B, from earliest, batch 50, attempts 3",
            "hash and verify passwords",
            "limits.cpu-ms, up to 60000",
            "make stale the cache keys b",
            "publish to the topic t",
            "read the cache keys a:*",
            "read the collection users, except about mail",
            "read the setting public-url",
            "run at \"0 8 * * MON\" (UTC)",
            "see the private field users.password",
            "send chat to sockets",
            "send mails",
            "send the header x-robots-tag with its files, none",
            "serve files under /, pages with scripts too",
            "serve pages with scripts",
            "sign with the secret unsubscribe",
            "use the rooms team:*",
            "write the cache keys a:*",
            "write the collection counters",
        ];
        assert_eq!(lines.permission_lines().into_iter().collect::<Vec<_>>(), expected);
        assert!(lines.grant_lines().is_subset(&lines.permission_lines()));
        // All of them are new in a first version. Nothing is in one that is the same, or that asks for nothing.
        let first = lines.difference(None);
        assert!(first.widens() && first.lines().len() == expected.len());
        assert_eq!(lines.difference(Some(&lines)), Difference::default());
        assert_eq!(manifest("").difference(None), Difference::default());
        let last = manifest("").difference(Some(&lines));
        assert!(!last.widens() && last.lines().iter().all(|line| line.starts_with("- ")));
    }

    #[test]
    fn each_new_line_widens() {
        for line in [
            "[[http]]\nmethod = 'GET'\npath = '/b'\nsession = 'operator'",
            "[[http]]\nmethod = 'POST'\npath = '/a'",
            "[[socket]]\nevent = 'typing'",
            "[presence]",
            "[[event]]\ntopic = 'message-events'\ntypes = ['A']",
            "[[schedule]]\ncron = '0 8 * * MON'",
            "[grants]\nevents = ['a']",
            "[grants]\nsessions = ['end']",
            "[grants]\npasswords = true",
            "[grants]\nsigning = ['unsubscribe']",
            "[grants]\nconfig = ['public-url']",
            "[grants]\nmail = true",
            "[grants]\npages = true",
            "[assets]\ndir = 'dist'",
        ] {
            let difference = manifest(&format!("{BASE}\n{line}")).difference(Some(&manifest(BASE)));
            assert!(difference.widens() && difference.lines().len() == 1, "{line}: {difference:?}");
            assert!(!manifest(BASE).difference(Some(&manifest(&format!("{BASE}\n{line}")))).widens(), "{line}");
        }
    }

    #[test]
    fn a_value_is_compared_by_what_it_allows() {
        const WIDER: bool = true;
        const NARROWER: bool = false;
        for (from, to, widens) in [
            ("session = 'optional'", "session = 'none'", WIDER),
            ("session = 'optional'", "session = 'required'", NARROWER),
            ("session = 'optional'", "session = 'operator'", NARROWER),
            ("headers = ['x']", "headers = ['x', 'y']", WIDER),
            ("headers = ['x']", "headers = []", NARROWER),
            ("headers = ['x']", "headers = ['x']\nbody = 'any'", WIDER),
            ("types = ['A', 'B']", "types = []", WIDER),
            ("types = ['A', 'B']", "types = ['A', 'B', 'C']", WIDER),
            ("types = ['A', 'B']", "types = ['A']", NARROWER),
            ("topic = 't'", "topic = 't'\nfrom = 'earliest'", WIDER),
            ("batch = 10", "batch = 11", WIDER),
            ("batch = 10", "batch = 9", NARROWER),
            ("attempts = 10", "attempts = 11", WIDER),
            ("attempts = 10", "", NARROWER),
            ("access = 'rw'", "access = 'r'", NARROWER),
            ("access = 'rw'", "access = 'w'", NARROWER),
            ("except = ['about', 'mail']", "except = ['about']", WIDER),
            ("except = ['about', 'mail']", "except = ['about', 'age', 'mail']", NARROWER),
            ("except = ['about', 'mail']", "except = ['about', 'mail'], private = ['password']", WIDER),
            ("'u:*' = 'w'", "'u:*' = 'rw'", WIDER),
            ("'u:*' = 'w'", "'u:*' = 'stale'", NARROWER),
            ("'u:*' = 'w'", "'u:a*' = 'w'", NARROWER),
            ("'u:*' = 'w'", "'u:1' = 'stale'", NARROWER),
            ("'u:*' = 'w'", "'*:*' = 'w'", WIDER),
            ("team:*", "team:a*", NARROWER),
            ("team:*", "*:*", WIDER),
            ("rooms = ['team:*']", "rooms = ['team:*']\nemit = ['chat']", WIDER),
            ("rooms = ['team:*']", "rooms = ['team:*']\npresence = true", WIDER),
            ("[grants.cache]", "counters = { access = 'w' }\n[grants.cache]", WIDER),
            ("cpu-ms = 1000", "cpu-ms = 1001", WIDER),
            ("cpu-ms = 1000", "cpu-ms = 999", NARROWER),
            ("cpu-ms = 1000", "", NARROWER),
        ] {
            assert_eq!(BASE.matches(from).count(), 1, "{from}");
            let (before, after) = (manifest(BASE), manifest(&BASE.replace(from, to)));
            let difference = after.difference(Some(&before));
            assert_eq!(difference.widens(), widens, "{from} to {to}: {difference:?}");
            assert!(!difference.lines().is_empty(), "{from} to {to}");
            // Either way one of the two is the wider one.
            assert_eq!(before.difference(Some(&after)).widens(), !widens, "{to} to {from}");
        }
        let with = |lines: &str| manifest(&format!("[assets]\ndir = 'dist'\n{lines}"));
        for (before, after, widens) in [
            ("prefix = '/app'", "prefix = '/'", WIDER),
            ("prefix = '/app'", "prefix = '/app/x'", NARROWER),
            ("prefix = '/app'", "prefix = '/apple'", WIDER),
            ("", "fallback = { '/' = 'a.html' }", WIDER),
            ("fallback = { '/' = 'a.html' }", "fallback = { '/' = 'b.html' }", NARROWER),
            ("", "headers = { x-robots-tag = 'none' }", WIDER),
            ("headers = { x-robots-tag = 'all' }", "headers = { x-robots-tag = 'none' }", WIDER),
        ] {
            assert_eq!(with(after).difference(Some(&with(before))).widens(), widens, "{before} to {after}");
        }
        // What is neither is accepted both ways.
        for (from, to) in [
            ("types = ['A', 'B']", "types = ['A', 'C']"),
            ("topic = 't'", "topic = 'u'"),
            ("path = '/a'", "path = '/b'"),
            ("'u:*' = 'w'", "'u:*' = 'r'"),
            ("'u:*' = 'w'", "'u:*:x' = 'w'"),
            ("team:*", "team"),
        ] {
            let (before, after) = (manifest(BASE), manifest(&BASE.replace(from, to)));
            assert!(after.difference(Some(&before)).widens(), "{from} to {to}");
            assert!(before.difference(Some(&after)).widens(), "{to} to {from}");
        }
    }

    #[test]
    fn what_is_below_the_default_of_a_limit_asks_for_nothing() {
        let more = manifest(&BASE.replace("memory-kib = 64", "memory-kib = 16_384"));
        assert_eq!(more.difference(Some(&manifest(BASE))), Difference::default());
    }

    #[test]
    fn a_value_that_changes_has_both_lines_together() {
        let new = "session = 'none'\nbody = 'any'";
        let after = manifest(&BASE.replace("session = 'optional'", new).replace("rooms = ['team:*']", "emit = ['b']"));
        let difference = after.difference(Some(&manifest(BASE)));
        assert_eq!(
            difference.lines(),
            [
                "- GET /a, session optional, headers x",
                "+ GET /a, session none, any body, headers x",
                "+ send b to sockets",
                "- use the rooms team:*",
            ]
        );
    }

    #[test]
    fn no_name_looks_like_another_one_or_like_a_line_of_its_own() {
        let lines = manifest(
            "[[event]]\ntopic = \"t\\n+ nothing\"\ntypes = ['']\n\
             [grants.documents]\nusers = { access = 'r', except = [\"em\\u0430il\", \"\\u202eliame\"] }\n",
        );
        assert_eq!(
            lines.permission_lines().into_iter().collect::<Vec<_>>(),
            [
                "get events of the topic \"t\\n+ nothing\", types \"\", from latest",
                "read the collection users, except \"em\\u{430}il\" \"\\u{202e}liame\"",
            ]
        );
    }
}
