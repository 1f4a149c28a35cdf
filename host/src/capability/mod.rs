//! Capabilities: everything a component can reach, a room each.
//!
//! A room's `mod.rs` has the trait and the limits, `grant` what a manifest may say, `host.rs` the WIT glue and nothing
//! else; engines stand beside them. No room knows a trigger, and none knows the product.

pub mod cache;
mod circuit;
pub mod clocks;
pub mod config;
pub mod documents;
pub mod events;
pub mod generations;
pub mod invalidations;
pub mod log;
pub mod mail;
pub mod passwords;
pub mod random;
pub mod redis;
pub mod sessions;
pub mod signing;
pub mod sockets;
pub mod unit;

use std::sync::Arc;

use serde::Deserialize;

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Up,
    /// It did not answer a moment ago, for this reason.
    Degraded(String),
    /// It has not answered for a while, for this reason.
    Down(String),
}

impl Health {
    /// What [`Health::name`] may say.
    pub const NAMES: [&str; 3] = ["up", "degraded", "down"];

    /// One of [`Health::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded(_) => "degraded",
            Self::Down(_) => "down",
        }
    }
}

/// What may be done with a thing that is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Access {
    /// Looking.
    #[serde(rename = "r")]
    Read,
    /// Changing without looking.
    #[serde(rename = "w")]
    Write,
    /// Both.
    #[serde(rename = "rw")]
    ReadWrite,
}

impl Access {
    /// Whether who has this may do that.
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

/// The engines behind the capabilities, made once per process and shared by every call.
pub struct Capabilities {
    /// Small values that may vanish.
    pub cache: Arc<dyn cache::Cache>,
    /// The truth.
    pub documents: Arc<dyn documents::Documents>,
    /// Which effects of events are read.
    pub generations: Arc<generations::Generations>,
    /// Connected clients.
    pub sockets: Arc<dyn sockets::Sockets>,
    /// Log-ins.
    pub sessions: Arc<sessions::Sessions>,
    /// What commits make stale in the cache.
    pub invalidations: Arc<invalidations::Invalidations>,
    /// Password hashing.
    pub passwords: passwords::Passwords,
    /// Secrets for use.
    pub signing: signing::Signing,
    /// The operator's settings.
    pub config: config::Settings,
    /// The time.
    pub clock: Arc<dyn clocks::Clock>,
}
