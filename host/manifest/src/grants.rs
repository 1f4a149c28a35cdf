//! The grants of a manifest, also as lines of text, so that an operator sees what a version adds.

use std::collections::BTreeSet;

use serde::Deserialize;

use capability::sessions::SessionUse;
use capability::{cache, documents, sockets};

/// What a component may reach: a grant per capability.
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
    /// Its answers may be pages that run scripts on the host's origin: they can do whatever their visitor may, at every
    /// component. Other pages are sandboxed (`Content-Security-Policy: sandbox`).
    pub pages: bool,
}

impl Grants {
    /// Each single grant as a line of text, the same in every version.
    pub fn lines(&self) -> BTreeSet<String> {
        let mut lines: BTreeSet<String> = self.cache.lines().chain(self.documents.lines()).collect();
        lines.extend(self.sockets.lines());
        lines.extend(self.events.iter().map(|topic| format!("publish to the topic {topic}")));
        lines.extend(self.sessions.iter().map(|used| format!("{} sessions", used.as_str())));
        lines.extend(self.signing.iter().map(|name| format!("sign with the secret {name}")));
        lines.extend(self.config.iter().map(|name| format!("read the setting {name}")));
        lines.extend(self.passwords.then(|| "hash and verify passwords".to_owned()));
        lines.extend(self.mail.then(|| "send mails".to_owned()));
        lines.extend(self.pages.then(|| "serve pages with scripts".to_owned()));
        lines
    }

    /// What this grants and `other` does not.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let mut beyond: Vec<String> = self.lines().difference(&other.lines()).cloned().collect();
        let left_out: BTreeSet<(&str, &str)> = self.documents.left_out().collect();
        let shown = other.documents.left_out().filter(|field| !left_out.contains(field));
        let shown = shown.filter(|(name, _)| self.documents.collections().any(|collection| collection == *name));
        beyond.extend(shown.map(|(name, field)| format!("see the field {name}.{field}")));
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(toml: &str) -> Grants {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn what_is_wider_is_named_line_by_line() {
        let narrow = grants(
            "events = [\"a\"]\ndocuments.users = { access = \"r\", except = [\"about\"] }\ncache.\"u:*\" = \"r\"",
        );
        assert_eq!(narrow.beyond(&narrow), Vec::<String>::new());
        assert_eq!(Grants::default().beyond(&narrow), Vec::<String>::new());
        for (wide, beyond) in [
            ("documents.users = { access = \"rw\", except = [\"about\"] }", "write the collection users"),
            ("documents.users = { access = \"r\" }", "see the field users.about"),
            (
                "documents.users = { access = \"r\", except = [\"about\"], private = [\"password\"] }",
                "see the private field users.password",
            ),
            ("documents.other = { access = \"w\" }", "write the collection other"),
            ("cache.\"u:*\" = \"rw\"", "write the cache keys u:*"),
            ("events = [\"b\"]", "publish to the topic b"),
            ("sockets.emit = [\"chat\"]", "send chat to sockets"),
            ("sockets.rooms = [\"team:*\"]", "use the rooms team:*"),
            ("sockets.presence = true", "count and ask who is present"),
            ("sessions = [\"end\"]", "end sessions"),
            ("signing = [\"unsubscribe\"]", "sign with the secret unsubscribe"),
            ("config = [\"public-url\"]", "read the setting public-url"),
            ("passwords = true", "hash and verify passwords"),
            ("mail = true", "send mails"),
            ("pages = true", "serve pages with scripts"),
        ] {
            assert_eq!(grants(wide).beyond(&narrow), [beyond], "{wide}");
        }
    }
}
