//! Leases: which hosts say that a user is there, and until when.
//!
//! A host that has a socket of a user holds a lease and renews it while it has one. What a host that died leaves behind
//! ends by itself; whoever looks for ended leases gets each such user once, and tells. Of two hosts that come or go at
//! once exactly one is the first or the last.

mod embedded;
mod redis;

use std::time::Duration;

use async_trait::async_trait;

pub use embedded::Embedded;
pub use redis::InRedis;

/// The leases can't be had: what other hosts say is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// The leases of all hosts that share them.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// The length of a lease.
    fn length(&self) -> Duration;
    /// `host` has a socket of the user; true when nobody said so before. A host that died and whose end nobody has told
    /// still counts as one that says so.
    async fn claim(&self, user: &str, host: &str) -> Result<bool, Away>;
    /// `host` has no socket of the user any more; true when no other host has one.
    async fn release(&self, user: &str, host: &str) -> Result<bool, Away>;
    /// `host` still has sockets of these users; answers the ones of whom nothing is known any more.
    async fn renew(&self, users: &[String], host: &str) -> Result<Vec<String>, Away>;
    /// Whether a host says that the user is there.
    async fn held(&self, user: &str) -> Result<bool, Away>;
    /// Some users whose last lease has ended by itself. Each is answered to one caller, which tells that they went and
    /// then releases them; when it dies before, another caller gets them after the length of a lease.
    async fn ended(&self, host: &str) -> Result<Vec<String>, Away>;
}
