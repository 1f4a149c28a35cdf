//! Known tokens: their signatures were good before, so that a request costs no HMAC, no JSON and no hash.
//!
//! In memory only, and bounded. What is known never changes with time: whether a token holds by now, and whether its session
//! lives, is asked each time.

use std::sync::Arc;

use moka::policy::EvictionPolicy;

use crate::sessions::token::{self, Keys, Signed};
use crate::sessions::{Identity, SessionRules};

/// The most memory that all known tokens take together, in bytes: those of about 10,000 sessions.
const CAPACITY: u64 = 8 << 20;
/// What one takes besides its texts, about.
const OVERHEAD: usize = 256;

/// A token whose signature is good.
pub(super) struct Known {
    pub(super) signed: Signed,
    /// Whose it is.
    pub(super) identity: Identity,
    /// The token's hex SHA-256.
    pub(super) hash: String,
    /// Where the cache has whether its session lives.
    pub(super) cache_key: String,
}

/// The tokens of one pair of keys. They are compared as a whole: no hash of two tokens is trusted to differ.
pub(super) struct KnownTokens(moka::sync::Cache<Arc<str>, Arc<Known>>);

impl Default for KnownTokens {
    fn default() -> Self {
        let tokens = moka::sync::Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru());
        Self(tokens.weigher(|token: &Arc<str>, known: &Arc<Known>| weight(token, known)).build())
    }
}

impl KnownTokens {
    /// What a token says that `keys` signed and that holds at `now`, in milliseconds since 1970.
    pub(super) fn read(&self, token: &str, keys: &Keys, rules: &SessionRules, now: u64) -> Option<Arc<Known>> {
        if let Some(known) = self.0.get(token) {
            if !known.signed.holds(now) {
                self.0.invalidate(token);
                return None;
            }
            return Some(known);
        }
        let signed = keys.verify(token, &rules.subject_claim).filter(|signed| signed.holds(now))?;
        let (hash, identity) = (token::hash(token), signed.claims.identity());
        let known = Arc::new(Known { signed, identity, cache_key: rules.cache_key_of(&hash), hash });
        self.0.insert(token.into(), known.clone());
        Some(known)
    }
}

fn weight(token: &str, known: &Known) -> u32 {
    let claims = &known.signed.claims;
    let texts = token.len() + 2 * (claims.id.len() + claims.subject.len()) + known.hash.len() + known.cache_key.len();
    u32::try_from(texts + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds since 1970.
    const NOW: u64 = 1_700_000_000_000;

    fn rules() -> SessionRules {
        toml::from_str(
            r#"
            cookie = "sid"
            cookie-age = 60
            token-age = 60
            subject-claim = "_id"
            secret = "SECRET"
            refusal = "no"
            collection = "sessions"
            cache-key = "session:{hash}"
            cache-age = 60
            fields = { id = "i", subject = "s", hash = "h", created = "c", expires = "e", revoked = "r" }
            "#,
        )
        .unwrap()
    }

    fn token(keys: &Keys, subject: &str) -> String {
        let token = keys.sign("_id", subject, &[], "s1", NOW / 1_000, NOW / 1_000 + 60).unwrap();
        token.reveal().to_owned()
    }

    /// Attack (JWT): a forged token, before and after the good one is known. Outcome: it is none.
    #[test]
    fn a_token_that_is_known_makes_no_other_one_good() {
        let (keys, known, rules) = (Keys::new(b"secret"), KnownTokens::default(), rules());
        let (good, forged) = (token(&keys, "42"), token(&Keys::new(b"other"), "42"));
        for _ in 0..2 {
            assert!(known.read(&forged, &keys, &rules, NOW).is_none());
            let read = known.read(&good, &keys, &rules, NOW).unwrap();
            assert_eq!((read.signed.claims.subject.as_str(), read.hash.as_str()), ("42", &*token::hash(&good)));
            assert_eq!(read.cache_key, format!("session:{}", read.hash));
            let payload = good.rsplit_once('.').unwrap().0;
            for changed in [format!("{payload}."), format!("{good}="), format!(" {good}"), good.to_uppercase()] {
                assert!(known.read(&changed, &keys, &rules, NOW).is_none(), "{changed:?}");
            }
        }
    }

    #[test]
    fn a_known_token_ends_with_its_time() {
        let (keys, known, rules) = (Keys::new(b"secret"), KnownTokens::default(), rules());
        let token = token(&keys, "42");
        assert!(known.read(&token, &keys, &rules, NOW + 59_999).is_some());
        for _ in 0..2 {
            assert!(known.read(&token, &keys, &rules, NOW + 60_000).is_none());
        }
        // A clock that was set back.
        assert!(known.read(&token, &keys, &rules, NOW).is_some());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let (keys, known, rules) = (Keys::new(b"secret"), KnownTokens::default(), rules());
        let subject = "4".repeat(2_000);
        for number in 0..4_000 {
            assert!(known.read(&token(&keys, &format!("{number}{subject}")), &keys, &rules, NOW).is_some());
        }
        known.0.run_pending_tasks();
        assert!(known.0.weighted_size() <= CAPACITY);
    }
}
