//! What a component may do with sockets.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::pattern::covers;
use crate::text::quoted;

/// As in `sockets = { emit = ["chat"], rooms = ["team:*"], presence = true }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// The events that it may emit.
    pub emit: BTreeSet<String>,
    /// The rooms that it may use, as patterns; `*` is as in a cache key.
    pub rooms: BTreeSet<String>,
    /// Whether it may count a socket for its user's presence, and query who is present.
    pub presence: bool,
}

impl Grant {
    /// Refuses an event that is not granted; the error is the manifest line that would grant it.
    pub fn check_emit(&self, event: &str) -> Result<(), String> {
        if self.emit.contains(event) {
            return Ok(());
        }
        Err(format!("not granted; in component.toml: [grants.sockets] emit = [{}]", quoted(event)))
    }

    /// Refuses a room that is not granted; the error is the manifest line that would grant it.
    pub fn check_room(&self, room: &str) -> Result<(), String> {
        if self.rooms.iter().any(|pattern| covers(pattern, room)) {
            return Ok(());
        }
        Err(format!("not granted; in component.toml: [grants.sockets] rooms = [{}]", quoted(room)))
    }

    /// Refuses presence when it is not granted; the error is the manifest line that would grant it.
    pub fn check_presence(&self) -> Result<(), String> {
        if self.presence {
            return Ok(());
        }
        Err("not granted; in component.toml: [grants.sockets] presence = true".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_prints_its_line() {
        let grant: Grant = toml::from_str("emit = [\"chat\"]\nrooms = [\"team:*\"]").unwrap();
        assert!(grant.check_emit("chat").is_ok());
        assert!(grant.check_emit("other").unwrap_err().contains("[grants.sockets] emit = [\"other\"]"));
        assert!(grant.check_room("team:1").is_ok());
        assert!(grant.check_room("user:1").unwrap_err().contains("rooms = [\"user:1\"]"));
        assert!(grant.check_presence().unwrap_err().contains("presence = true"));
    }
}
