//! The application's rules for its sessions, and what a manifest may be granted of them.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The form of sessions on the wire, in the store and in the cache.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionRules {
    /// The cookie's name. The host alone sets it.
    pub cookie: String,
    /// How long a browser keeps the cookie, in seconds.
    pub cookie_age: u64,
    /// How long a token is valid, in seconds.
    pub token_age: u64,
    /// The claim that carries the user's id.
    pub subject_claim: String,
    /// Further claims that a component may put into a token.
    #[serde(default)]
    pub claims: BTreeSet<String>,
    /// The environment variable of the signing secret.
    pub secret: String,
    /// The body of a 401, as plain text.
    pub refusal: String,
    /// The collection of sessions.
    pub collection: String,
    /// The names of their fields.
    pub fields: SessionFields,
    /// The cache key of a session; `{hash}` is the hex SHA-256 of its token.
    pub cache_key: String,
    /// How long a session is cached, in seconds.
    pub cache_age: u64,
}

impl SessionRules {
    /// The cache key of the session whose token has this hash.
    pub(super) fn cache_key_of(&self, hash: &str) -> String {
        self.cache_key.replace("{hash}", hash)
    }
}

/// The names of a session document's fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionFields {
    /// The token's `jti`.
    pub id: String,
    /// The user's id; stored as an ObjectId where it parses as one.
    pub subject: String,
    /// The token's hash, by which its cache entry is found when another session ends this one.
    pub hash: String,
    /// A date.
    pub created: String,
    /// A date.
    pub expires: String,
    /// A date, or not there.
    pub revoked: String,
}

/// One use of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionUse {
    /// Begin one.
    Open,
    /// End some.
    End,
    /// List the valid ones.
    List,
}

impl SessionUse {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionUse::Open => "open",
            SessionUse::End => "end",
            SessionUse::List => "list",
        }
    }
}
