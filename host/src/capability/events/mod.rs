//! Events: what happened, kept in order per key and told to whoever subscribed.
//!
//! An event enters only inside a document commit, so no event is without its document. The log's engines are beside
//! this file; consuming is the business of `trigger/event`.

mod embedded;
pub(crate) mod host;
mod mongodb;
mod outbox;
mod partition;

pub use embedded::{EmbeddedLog, append};
pub(crate) use mongodb::{OUTBOX_INDEXES, check_outbox_names, enqueue};
pub use outbox::{Outbox, SHARDS, Waiting, shard};
pub use partition::partition;

use async_trait::async_trait;

/// The largest value of an event, in bytes.
pub const MAX_VALUE: usize = 256 << 10;

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique; consumers use it to have an effect once.
    pub id: String,
    /// The topic's name without any prefix.
    pub topic: String,
    /// Order holds among events of one key.
    pub key: String,
    /// The type that subscriptions choose by.
    pub kind: String,
    /// The value as it goes out.
    pub value: Vec<u8>,
    /// Further headers: schema version, trace context.
    pub headers: Vec<(String, String)>,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition, from 0.
    pub partition: u32,
    /// Its place in the partition, from 0, without gaps.
    pub offset: u64,
    /// The event.
    pub event: Event,
}

/// Why the log did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is outside a limit or names an unknown topic.
    #[error("{0}")]
    Invalid(String),
    /// The log's store did not answer.
    #[error("the event log is not available: {0}")]
    Unavailable(String),
}

/// The reading side of a log of events.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Records of one partition from `offset` on, at most `max`, in order.
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error>;
    /// The offset after the newest record of each partition of a topic.
    async fn ends(&self, topic: &str) -> Result<Vec<u64>, Error>;
    /// The offset a consumer group goes on from, 0 when it never committed.
    async fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<u64, Error>;
    /// Durably remembers that a group has finished everything before `offset`.
    async fn commit_offset(&self, group: &str, topic: &str, partition: u32, offset: u64) -> Result<(), Error>;
}
