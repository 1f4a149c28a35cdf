//! Capabilities: everything that a component can reach, a module each.
//!
//! A module has the trait that a store implements, the limits, the grant that a manifest may have, and the logic that is
//! the same on every store: operators of documents, the unit of work, the relay of events, sessions, presence.
//! It may touch tokio and BSON, and `files` the paths that it is given. It knows no wasmtime, no server's driver, no trigger and
//! nothing of the product.

#![forbid(unsafe_code)]

pub mod abort;
pub mod budget;
pub mod cache;
pub mod circuit;
pub mod clocks;
pub mod deletion;
pub mod documents;
pub mod events;
pub mod fetch;
pub mod files;
pub mod generations;
pub mod health;
pub mod hosts;
pub mod invalidations;
pub mod mail;
pub mod passwords;
pub mod pattern;
pub mod pending_invalidations;
pub mod random;
pub mod refusals;
pub mod retention;
pub mod sessions;
pub mod settings;
pub mod signing;
pub mod sockets;
pub mod text;
pub mod unit_of_work;

use std::sync::Arc;

use serde::Deserialize;

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Access {
    /// Reading.
    #[serde(rename = "r")]
    Read,
    /// Writing without reading.
    #[serde(rename = "w")]
    Write,
    /// Both.
    #[serde(rename = "rw")]
    ReadWrite,
}

impl Access {
    /// Whether this access includes `wanted`.
    pub fn includes(self, wanted: Access) -> bool {
        self == Access::ReadWrite || self == wanted
    }

    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Read => "r",
            Access::Write => "w",
            Access::ReadWrite => "rw",
        }
    }
}

/// The stores behind the capabilities, opened once per process and shared by every call.
pub struct Capabilities {
    /// Small values that may vanish at any time.
    pub cache: Arc<dyn cache::Cache>,
    /// Documents, the source of truth.
    pub documents: Arc<dyn documents::Documents>,
    /// Which generations of effects are served.
    pub generations: Arc<generations::Generations>,
    /// Connected clients.
    pub sockets: Arc<dyn sockets::Sockets>,
    /// Log-ins.
    pub sessions: Arc<sessions::Sessions>,
    /// The cache entries that commits make stale.
    pub invalidations: Arc<invalidations::Invalidations>,
    /// Password hashing.
    pub passwords: passwords::Passwords,
    /// Secrets for use.
    pub signing: signing::Signing,
    /// Requests to servers of others.
    pub fetch: fetch::Fetch,
    /// The operator's settings.
    pub config: settings::Settings,
    /// The time.
    pub clock: Arc<dyn clocks::Clock>,
    /// Counts what limits refuse.
    pub refusals: Arc<refusals::Refusals>,
    /// Counts what was deleted because it was too old.
    pub deleted: Arc<retention::Deleted>,
}

/// The collections of the host's own that the capabilities write.
pub fn collections() -> Vec<(String, documents::Collection)> {
    let plain = [generations::COLLECTION, documents::MARKERS, invalidations::COLLECTION];
    let plain = plain.into_iter().map(|name| (name.to_owned(), documents::Collection::default()));
    let by_time = documents::Index { fields: vec!["at".to_owned()], unique: false, where_exists: Vec::new() };
    let letters = documents::Collection { indexes: vec![by_time], ..documents::Collection::default() };
    let indexed = [(events::SETTLED_LETTERS, letters), (mail::COLLECTION, mail::collection())];
    plain.chain(indexed.map(|(name, collection)| (name.to_owned(), collection))).collect()
}
