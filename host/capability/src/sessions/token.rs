//! Tokens: signed, verified, and hashed for the cache. HS256 only; `alg: none` and every other algorithm is refused.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::sessions::{Identity, hs256};

/// The longest token that is signed or read, in bytes: about what browsers accept as a cookie.
const MAX_TOKEN: usize = 4_096;

/// A token. Its text is for the cookie only: its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text that goes to the client.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its hex SHA-256.
    pub fn hash(&self) -> String {
        hash(&self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Whether a text has the form of a token: three parts of base64url. Only the keys tell whether it is one.
pub fn has_form_of_token(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut parts = text.splitn(4, '.');
    let first = [parts.next(), parts.next(), parts.next()];
    text.len() <= MAX_TOKEN && parts.next().is_none() && first.into_iter().all(|part| part.is_some_and(is_part))
}

/// A token's hex SHA-256.
pub(super) fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// The claims of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `jti`.
    pub id: String,
    /// The user's id.
    pub subject: String,
    /// `exp`, in seconds since 1970.
    pub expires: u64,
}

impl Claims {
    pub(super) fn identity(&self) -> Identity {
        Identity { subject: self.subject.as_str().into(), session: self.id.as_str().into(), expires: self.expires }
    }
}

/// The claims of a token whose signature is good, and from when on they hold.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) claims: Claims,
    /// `nbf`, in seconds since 1970.
    begins: u64,
}

impl Signed {
    /// Whether the claims hold at `now`, in milliseconds since 1970.
    pub(super) fn holds(&self, now: u64) -> bool {
        self.begins <= now / 1_000 && now / 1_000 < self.claims.expires
    }
}

/// The keys of one secret.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// The keys of `secret`.
    pub fn new(secret: &[u8]) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is checked against the host's clock, which a test can set.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret), validation }
    }

    /// A token; times in seconds since 1970. One that no host would read is an error.
    pub(super) fn sign(
        &self,
        subject_claim: &str,
        subject: &str,
        claims: &[(String, String)],
        id: &str,
        issued: u64,
        expires: u64,
    ) -> Result<Token, String> {
        let mut all = Map::new();
        all.insert(subject_claim.to_owned(), subject.into());
        all.extend(claims.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        all.insert("jti".into(), id.into());
        all.insert("iat".into(), issued.into());
        all.insert("exp".into(), expires.into());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &all, &self.encoding);
        match token {
            Ok(token) if token.len() > MAX_TOKEN => {
                Err(format!("the session's token has {} bytes; at most {MAX_TOKEN} are allowed", token.len()))
            }
            Ok(token) => Ok(Token(token)),
            Err(error) => Err(format!("a token can't be signed: {error}")),
        }
    }

    /// What a token says that these keys signed. Whether that holds by now is not checked.
    pub(super) fn verify(&self, token: &str, subject_claim: &str) -> Option<Signed> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &self.decoding, &self.validation).ok()?.claims;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        let begins = match claims.get("nbf") {
            None => 0,
            Some(begins) => begins.as_u64()?,
        };
        let claims = Claims { id: text("jti")?, subject: text(subject_claim)?, expires: claims.get("exp")?.as_u64()? };
        Some(Signed { claims, begins })
    }

    /// The claims of a token that is valid at `now` (milliseconds since 1970).
    #[cfg(test)]
    pub(super) fn read(&self, token: &str, subject_claim: &str, now: u64) -> Option<Claims> {
        self.verify(token, subject_claim).filter(|signed| signed.holds(now)).map(|signed| signed.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn token(keys: &Keys) -> String {
        let claims = [("mail".to_owned(), "a@b.c".to_owned())];
        keys.sign("_id", "42", &claims, "s1", NOW / 1_000, NOW / 1_000 + 60).unwrap().reveal().to_owned()
    }

    #[test]
    fn the_form_of_a_token_is_known() {
        assert!(has_form_of_token(&token(&Keys::new(b"secret"))));
        for text in [
            "",
            "null",
            "a.b",
            "a.b.",
            ".b.c",
            "a.b.c.d",
            "a.b.c ",
            "a.b c.d",
            "é.b.c",
            &format!("a.b.{}", "c".repeat(5_000)),
        ] {
            assert!(!has_form_of_token(text), "{text}");
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let keys = Keys::new(b"secret");
        let token = token(&keys);
        let claims = keys.read(&token, "_id", NOW).unwrap();
        assert_eq!((claims.subject.as_str(), claims.id.as_str()), ("42", "s1"));
        assert!(keys.read(&token, "_id", NOW + 60_000).is_none());
        assert!(keys.read(&token, "uid", NOW).is_none());
    }

    /// Attack (JWT): forged and unsigned tokens. Outcome: they are none.
    #[test]
    fn forged_and_unsigned_tokens_are_none() {
        let keys = Keys::new(b"secret");
        assert!(keys.read(&token(&Keys::new(b"other")), "_id", NOW).is_none());
        let payload = token(&keys).split('.').nth(1).unwrap().to_owned();
        // {"alg":"none"}
        for forged in [format!("eyJhbGciOiJub25lIn0.{payload}."), payload.clone(), "a.b.c".into(), String::new()] {
            assert!(keys.read(&forged, "_id", NOW).is_none(), "{forged}");
        }
        assert!(keys.read(&"x".repeat(5_000), "_id", NOW).is_none());
    }

    /// Attack (JWT): a token that is signed and whose times are in the future, or are no times. Outcome: it is none.
    #[test]
    fn a_token_of_another_time_is_none() {
        let keys = Keys::new(b"secret");
        let now = NOW / 1_000;
        let read = |times: Value| {
            let mut claims = Map::from_iter([("_id".to_owned(), "42".into()), ("jti".to_owned(), "s1".into())]);
            claims.extend(times.as_object().cloned().unwrap());
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.encoding).unwrap();
            keys.read(&token, "_id", NOW).is_some()
        };
        assert!(read(serde_json::json!({ "exp": now + 1 })));
        assert!(read(serde_json::json!({ "exp": now + 1, "nbf": now })));
        for times in [
            serde_json::json!({}),
            serde_json::json!({ "exp": now }),
            serde_json::json!({ "exp": -1 }),
            serde_json::json!({ "exp": 1e300 }),
            serde_json::json!({ "exp": (now + 1).to_string() }),
            serde_json::json!({ "exp": null }),
            serde_json::json!({ "exp": now + 1, "nbf": now + 1 }),
            serde_json::json!({ "exp": now + 1, "nbf": "yesterday" }),
            serde_json::json!({ "exp": now + 1, "nbf": null }),
        ] {
            assert!(!read(times.clone()), "{times}");
        }
    }

    #[test]
    fn a_token_that_would_not_be_read_is_not_signed() {
        let claims = [("mail".to_owned(), "a".repeat(4_000))];
        assert!(Keys::new(b"secret").sign("_id", "42", &claims, "s1", 1, 2).is_err());
        assert!(Keys::new(b"secret").sign("_id", &"4".repeat(1 << 20), &[], "s1", 1, 2).is_err());
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let keys = Keys::new(b"secret");
        let token = keys.sign("_id", "42", &[], "s1", 1, 2).unwrap();
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
