//! Events: a log in order per key, delivered to the subscribed components.
//!
//! An event is appended only in a document commit, so no event is without its document. The stores that keep the log are
//! crates of their own; where the log is another server, `relay` moves the events of the `outbox` into it. The event trigger
//! consumes.

pub mod letter;
mod outbox;
mod partition;
mod relay;
mod subscription;

pub use outbox::{Committed, Outbox, SHARDS, Shards, Waiting, shard};
pub use partition::partition;
pub use relay::{Health, Relay, RelayOptions, Status};
pub use subscription::{Next, Start, Subscription, TopicPartition};

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;

use crate::retention::Retention;
use crate::text;

/// The largest value of an event, in bytes.
pub const MAX_VALUE: usize = 256 << 10;

/// The suffix of a topic's dead-letter topic, which has the events that a consumer could not process.
pub const DEAD_LETTERS: &str = ".dlq";

/// The header of an event that is published again for one component; its value is the component's name.
pub const REPLAY_FOR: &str = "replay-for";
/// The host's own collection of the dead letters that were replayed or dropped.
pub const SETTLED_LETTERS: &str = "host-dead-letters";

/// An event to be appended to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique; consumers use it to apply an event once.
    pub id: String,
    /// The topic's name without any prefix.
    pub topic: String,
    /// Events of one key are ordered.
    pub key: String,
    /// The type that subscriptions choose by.
    pub kind: String,
    /// The encoded value.
    pub value: Vec<u8>,
    /// Further headers: schema version, trace context.
    pub headers: Vec<(String, String)>,
    /// Milliseconds since 1970.
    pub at: u64,
}

impl Event {
    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        self.id.len() + self.topic.len() + self.key.len() + self.kind.len() + self.value.len() + headers
    }
}

/// An event with its position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition, from 0.
    pub partition: u32,
    /// Its offset in the partition; a later record has a larger one.
    pub offset: u64,
    /// The event.
    pub event: Event,
}

/// Why the log refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is outside a limit or names an unknown topic.
    #[error("{0}")]
    Invalid(String),
    /// The log's store did not answer.
    #[error("the event log is not available: {0}")]
    Unavailable(String),
}

/// The writing side of a log that is another store than the documents': a relay appends to it.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends events and returns for each, in their order, whether the log has it durably. The events of a key are appended
    /// in order and without a gap: after one that fails, none of its key is appended. One that failed may be in the log all
    /// the same and has to be sent again. An event that is not acknowledged at `by` fails.
    async fn append(&self, events: Vec<Event>, by: Instant) -> Vec<Result<(), Error>>;

    /// Whether the log accepts events now; called while there are none to append.
    async fn answers(&self) -> Result<(), Error>;

    /// Resolves when opening the log has ended, whether the log is there or away. What is asked earlier fails, and says
    /// nothing about the log.
    async fn opened(&self) {}
}

/// The reading side of a log of events.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// The records of a partition from `offset` on, at most `max` and maybe fewer, in order. None at its end.
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error>;

    /// The offset of the oldest record of each partition of a topic, and the one after the newest. Both are the same in a
    /// partition without records.
    async fn bounds(&self, topic: &str) -> Result<Vec<(u64, u64)>, Error>;

    /// The offset after the newest record of each partition of a topic.
    async fn end_offsets(&self, topic: &str) -> Result<Vec<u64>, Error> {
        Ok(self.bounds(topic).await?.into_iter().map(|(_, end)| end).collect())
    }

    /// Deletes the events that at the time `now`, in milliseconds since 1970, are older than they are kept and that every
    /// consumer has finished; returns how many. A log that is another server does so by itself.
    async fn delete_old(&self, _now: u64, _retention: &Retention) -> Result<u64, Error> {
        Ok(0)
    }

    /// The committed offset of a group in each partition of a topic; none where it has none.
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<u64>>, Error>;

    /// Joins a group, which shares the partitions of these topics among its members. In a topic where the group has no
    /// committed offsets, it starts at `start`, and that is stored; a partition that such a topic got later, at its oldest event.
    async fn subscribe(&self, group: &str, topics: &[String], start: Start) -> Result<Box<dyn Subscription>, Error>;
}

/// How many partitions a topic has; its dead-letter topic has as many.
pub fn partitions(topics: &BTreeMap<String, u32>, topic: &str) -> Result<u32, Error> {
    let known = || topics.get(topic).or_else(|| topics.get(topic.strip_suffix(DEAD_LETTERS)?));
    known().copied().filter(|partitions| *partitions > 0).ok_or_else(|| {
        let topic = text::cut(topic, text::MAX_NAME);
        Error::Invalid(format!("the topic `{topic}` is not among the application's topics"))
    })
}

/// Refuses an event that no log accepts.
pub fn validate(topics: &BTreeMap<String, u32>, event: &Event) -> Result<u32, Error> {
    let partitions = partitions(topics, &event.topic)?;
    if event.value.len() > MAX_VALUE {
        return Err(Error::Invalid(format!(
            "the event `{}` has a value of {} bytes; at most {MAX_VALUE} are allowed",
            event.id,
            event.value.len()
        )));
    }
    Ok(partitions)
}

/// Refuses the events that no log accepts, and with each the later events of its key. One result per event.
pub fn screen(topics: &BTreeMap<String, u32>, events: &[Event]) -> Vec<Result<(), Error>> {
    let mut stopped: BTreeMap<&str, Error> = BTreeMap::new();
    let screened = events.iter().map(|event| {
        let before = stopped.get(event.key.as_str()).cloned();
        let answer = before.map_or_else(|| validate(topics, event).map(drop), Err);
        if let Err(error) = &answer {
            stopped.insert(&event.key, error.clone());
        }
        answer
    });
    screened.collect()
}
