//! Which cache keys a component may touch.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Access;
use crate::pattern::covers;

/// Key patterns and what may be done under them, as in `"user:*" = "rw"`.
///
/// `*` is as in [`pattern`](crate::pattern).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Grant(BTreeMap<String, Access>);

impl Grant {
    /// Refuses a key that is not covered; the error is the manifest line that would cover it.
    pub fn check(&self, key: &str, wanted: Access) -> Result<(), String> {
        if self.0.iter().any(|(pattern, access)| access.includes(wanted) && covers(pattern, key)) {
            return Ok(());
        }
        Err(format!("not granted; in component.toml: [grants.cache] {key:?} = \"{}\"", wanted.as_str()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
