//! Sockets: messages to connected clients, and which users are present.
//!
//! The trait, its limits and its grant; `presence` counts the users of this host, `leases` are shared with other hosts. The
//! socket trigger has the server, its messages out and in.

mod grant;
pub mod leases;
pub mod presence;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use grant::Grant;

use crate::sessions::Ending;

/// The largest payload that is sent, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// The most targets of one emit.
pub const MAX_TARGETS: usize = 1_000;
/// The longest name of a room, in bytes.
pub const MAX_ROOM: usize = 128;
/// The longest wait for a client's acknowledgement.
pub const MAX_ACK_TIME: Duration = Duration::from_secs(10);

/// Why a call on sockets failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Outside a limit; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The other hosts are not reached; this host's sockets got it.
    #[error("the other hosts' sockets are not reached: {0}")]
    Unavailable(String),
}

/// The receivers of an emit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// All sockets of a user.
    User(String),
    /// All sockets in a room.
    Room(String),
    /// One socket.
    Socket(String),
}

/// The connected clients of all hosts.
#[async_trait]
pub trait Sockets: Send + Sync + 'static {
    /// Sends to all targets; a socket that is targeted twice gets it once. Sequential emits of one caller arrive in order.
    /// While other hosts can't be reached, this host's sockets get it. A socket whose buffer is full is closed: its client
    /// connects again and reads what it missed.
    async fn emit(&self, targets: &[Target], event: &str, payload: &RawValue) -> Result<(), Error>;
    /// Sends to one socket and waits for its acknowledgement; none when it did not come in time.
    async fn emit_with_ack(
        &self,
        socket: &str,
        event: &str,
        payload: &RawValue,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error>;
    /// Adds a socket to a room; a socket that is gone is ignored.
    async fn join(&self, socket: &str, room: &str) -> Result<(), Error>;
    /// Removes a socket from a room.
    async fn leave(&self, socket: &str, room: &str) -> Result<(), Error>;
    /// From now on the socket counts for its user's presence.
    async fn appear(&self, user: &str, socket: &str) -> Result<(), Error>;
    /// Whether a socket of the user counts for presence.
    async fn online(&self, user: &str) -> Result<bool, Error>;
    /// Disconnects the sockets of sessions that ended.
    async fn end(&self, user: &str, ending: &Ending);
}

/// Checks the name of a room that comes from a component.
pub fn check_room(room: &str) -> Result<(), Error> {
    if (1..=MAX_ROOM).contains(&room.len()) && room.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::Invalid(format!("a room takes 1 to {MAX_ROOM} printable ASCII characters without spaces")))
}
