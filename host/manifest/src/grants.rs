//! The grants of a manifest: what a component may reach. It parses and checks them, and touches nothing else.

use std::collections::BTreeSet;

use serde::Deserialize;

use capability::sessions::SessionUse;
use capability::{cache, documents, fetch, pattern, sockets};

use crate::source_span::{Problem, at};
use crate::trigger::SocketTrigger;

/// The longest name of a setting.
const MAX_SETTING: usize = 128;

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
    /// Servers of others that it may send requests to.
    pub fetch: fetch::Grant,
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
    /// Refuses patterns and names that nothing can have, and those that read as something else than they are.
    pub(super) fn check(&self) -> Result<(), Problem> {
        for keys in self.cache.patterns() {
            let checked = pattern::check(keys, cache::MAX_KEY);
            checked.map_err(|why| Problem::malformed(at!["grants", "cache", keys], format!("grants.cache: {why}")))?;
        }
        for rooms in &self.sockets.rooms {
            let checked = pattern::check(rooms, sockets::MAX_ROOM);
            let at = || at!["grants", "sockets", "rooms"];
            checked.map_err(|why| Problem::malformed(at(), format!("grants.sockets.rooms: {why}")))?;
        }
        for event in &self.sockets.emit {
            let checked = SocketTrigger { event: event.clone() }.check();
            checked.map_err(|problem| problem.within(at!["grants", "sockets", "emit"]))?;
        }
        for name in &self.config {
            if !(1..=MAX_SETTING).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                let why =
                    format!("the setting {name:?} takes 1 to {MAX_SETTING} printable ASCII characters without spaces");
                return Err(Problem::malformed(at!["grants", "config"], why));
            }
        }
        self.fetch.check().map_err(|(part, why)| Problem::contradiction(at!["grants", "fetch", part], why))?;
        self.documents.check().map_err(|why| Problem::contradiction(at!["grants", "documents"], why))
    }
}
