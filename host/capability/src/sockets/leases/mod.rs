//! Leases: which hosts have sockets of a user, and until when that is certain.
//!
//! A host that has a socket of a user holds a lease and renews it while it has one. The leases of a host that died expire;
//! [`Leases::ended`] returns each such user to one host, which reports them offline. Of two hosts that claim or release at
//! once exactly one is the first or the last.

mod in_process;

use std::time::Duration;

use async_trait::async_trait;

pub use in_process::InProcess;

/// The prefix of the keys that leases have in a store which is the components' cache as well: a user's id follows.
pub const KEY_PREFIX: &str = "presence:";
/// The key of the users with a lease, in such a store.
pub const INDEX_KEY: &str = "presences";

/// The leases are not available: the sockets of other hosts are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// The leases of all hosts that share them.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// The length of a lease.
    fn length(&self) -> Duration;
    /// `host` has a socket of the user; true when no host held a lease before. A host that died counts until the user was
    /// reported offline.
    async fn claim(&self, user: &str, host: &str) -> Result<bool, Away>;
    /// `host` has no socket of the user any more; true when no other host has one.
    async fn release(&self, user: &str, host: &str) -> Result<bool, Away>;
    /// `host` still has sockets of these users; returns those whose lease does not exist any more.
    async fn renew(&self, users: &[String], host: &str) -> Result<Vec<String>, Away>;
    /// Whether a host holds a lease of the user.
    async fn held(&self, user: &str) -> Result<bool, Away>;
    /// Some users whose last lease has expired. Each is returned to one caller, which reports them offline and then releases
    /// them; when it dies before, another caller gets them after the length of a lease.
    async fn ended(&self, host: &str) -> Result<Vec<String>, Away>;
}
