//! Which cache keys a component may touch.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::pattern::covers;
use crate::text;

/// What a grant allows with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum KeyAccess {
    /// Reading.
    #[serde(rename = "r")]
    Read,
    /// Writing without reading.
    #[serde(rename = "w")]
    Write,
    /// Both.
    #[serde(rename = "rw")]
    ReadWrite,
    /// Naming the key in a commit that makes its value stale, and nothing else.
    #[serde(rename = "stale")]
    Stale,
}

impl KeyAccess {
    /// Whether this access includes `wanted`. Who may write a value may also make it stale.
    pub fn includes(self, wanted: KeyAccess) -> bool {
        match self {
            KeyAccess::ReadWrite => true,
            KeyAccess::Write => matches!(wanted, KeyAccess::Write | KeyAccess::Stale),
            KeyAccess::Read | KeyAccess::Stale => self == wanted,
        }
    }

    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyAccess::Read => "r",
            KeyAccess::Write => "w",
            KeyAccess::ReadWrite => "rw",
            KeyAccess::Stale => "stale",
        }
    }
}

/// Key patterns and what may be done under them, as in `"user:*" = "rw"`.
///
/// `*` is as in [`covers`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Grant(BTreeMap<String, KeyAccess>);

impl Grant {
    /// Refuses a key that is not covered; the error is the manifest line that would cover it.
    pub fn check(&self, key: &str, wanted: KeyAccess) -> Result<(), String> {
        if self.0.iter().any(|(pattern, access)| access.includes(wanted) && covers(pattern, key)) {
            return Ok(());
        }
        let (key, wanted) = (text::quoted(key), wanted.as_str());
        Err(format!("not granted; in component.toml: [grants.cache] {key} = \"{wanted}\""))
    }

    /// What is granted, by pattern.
    pub fn granted(&self) -> impl Iterator<Item = (&str, KeyAccess)> {
        self.0.iter().map(|(pattern, access)| (pattern.as_str(), *access))
    }

    /// The patterns, for checks at deployment.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [KeyAccess; 4] = [KeyAccess::Read, KeyAccess::Write, KeyAccess::ReadWrite, KeyAccess::Stale];

    #[test]
    fn a_refusal_prints_the_line_that_would_allow_it() {
        for wanted in ALL {
            let error = Grant::default().check("user:1", wanted).unwrap_err();
            let line = error.split_once("[grants.cache] ").unwrap().1;
            let granted: Grant = toml::from_str(line).unwrap();
            assert_eq!(granted.check("user:1", wanted), Ok(()), "{error}");
            assert!(granted.check("user:2", wanted).is_err());
        }
    }

    #[test]
    fn an_access_allows_what_it_includes_and_nothing_else() {
        for (access, allowed) in [
            (KeyAccess::Read, vec![KeyAccess::Read]),
            (KeyAccess::Write, vec![KeyAccess::Write, KeyAccess::Stale]),
            (KeyAccess::ReadWrite, ALL.to_vec()),
            (KeyAccess::Stale, vec![KeyAccess::Stale]),
        ] {
            let grant = Grant(BTreeMap::from([("a:*".into(), access)]));
            for wanted in ALL {
                assert_eq!(grant.check("a:1", wanted).is_ok(), allowed.contains(&wanted), "{access:?} {wanted:?}");
                assert!(grant.check("b:1", wanted).is_err());
            }
        }
    }
}
