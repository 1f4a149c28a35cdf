//! Which cache keys a component may touch.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Access, text};

/// Key patterns and what may be done under them, as in `"user:*" = "rw"`.
///
/// `*` stands for one or more characters other than `:`, so that a pattern says exactly what it covers:
/// `user:*` is not `user:1:last_seen`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Grant(BTreeMap<String, Access>);

impl Grant {
    /// Refuses a key that is not covered; the error is the manifest line that would cover it.
    pub fn check(&self, key: &str, wanted: Access) -> Result<(), String> {
        if self.0.iter().any(|(pattern, access)| access.includes(wanted) && covers(pattern, key)) {
            return Ok(());
        }
        let (key, wanted) = (text::quoted(key), wanted.as_str());
        Err(format!("not granted; in component.toml: [grants.cache] {key} = \"{wanted}\""))
    }

    /// Each granted use, as a line for an operator.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(pattern, access)| {
            let uses = [(Access::Read, "read"), (Access::Write, "write")].into_iter();
            let uses = uses.filter(|(used, _)| access.includes(*used));
            uses.map(move |(_, used)| format!("{used} the cache keys {pattern}"))
        })
    }

    /// The patterns, for checks at deployment.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Segment by segment: both have the same number of `:`, and each segment matches.
pub fn covers(pattern: &str, key: &str) -> bool {
    let mut patterns = pattern.split(':');
    let mut segments = key.split(':');
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
            _ => return false,
        }
    }
}

/// `*` at most once in a segment; it stands for at least one character.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == segment,
        Some((head, tail)) => {
            segment.len() > head.len() + tail.len() && segment.starts_with(head) && segment.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_exactly_what_it_says() {
        assert!(covers("user:*", "user:1"));
        assert!(!covers("user:*", "user:1:last_seen"));
        assert!(!covers("user:*", "user:"));
        assert!(covers("user:*:last_seen", "user:1:last_seen"));
        assert!(!covers("user:*:last_seen", "user:1:last_login"));
        assert!(covers("rate_*:x", "rate_limit:x"));
        assert!(!covers("session:*", "user:1"));
    }

    #[test]
    fn a_refusal_prints_the_line_that_would_allow_it() {
        let error = Grant::default().check("user:1", Access::Read).unwrap_err();
        assert!(error.contains("[grants.cache] \"user:1\" = \"r\""), "{error}");
    }

    #[test]
    fn reading_does_not_include_writing() {
        let grant = Grant(BTreeMap::from([("a:*".into(), Access::Read)]));
        assert!(grant.check("a:1", Access::Read).is_ok());
        assert!(grant.check("a:1", Access::Write).is_err());
        assert!(grant.check("a:1", Access::ReadWrite).is_err());
    }
}
