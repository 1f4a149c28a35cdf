//! Events: what happened, kept in order per key and told to whoever subscribed.
//!
//! An event enters only inside a document commit, so no event is without its document. The log's engines are beside
//! this file; where the log is another server, `relay` moves what waits in the `outbox`. Consuming is the business of `trigger/event`.

mod consumed;
mod embedded;
pub(crate) mod host;
mod kafka;
pub(crate) mod letter;
mod mongodb;
mod outbox;
mod outlet;
mod partition;
mod relay;
mod subscription;

pub(crate) use consumed::{COLLECTION as CONSUMED, collection as consumed, forget_consumed, mark_id, marks};
pub use embedded::{EmbeddedLog, EmbeddedOutbox};
pub use kafka::{Kafka, KafkaOptions};
pub(crate) use mongodb::{OUTBOX_INDEXES, check_outbox_names, enqueue};
pub(crate) use outbox::Committed;
pub use outbox::{Outbox, SHARDS, Shards, Waiting, shard};
pub(crate) use outlet::{Outlet, Way};
pub use partition::partition;
pub use relay::{Health, Relay, RelayOptions, Status};
pub use subscription::{Next, Place, Start, Subscription};

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;

/// The largest value of an event, in bytes.
pub const MAX_VALUE: usize = 256 << 10;

/// What follows the name of a topic in the name of the one with the events of it that a consumer could not process.
pub const DEAD_LETTERS: &str = ".dlq";

/// The header of an event that is published again for one component alone, whose name is its value.
pub(crate) const REPLAY_FOR: &str = "replay-for";
/// What was done with dead letters. A collection of the host's own.
pub(crate) const SETTLED_LETTERS: &str = "host-dead-letters";

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
    /// Its place in the partition; a later one has a larger one.
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

/// The writing side of a log that is another store than the documents': what a relay moves events into.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends events and answers for each, in their order, whether the log has it durably. Of each key they get there
    /// in order and without a gap: where one fails, none that came after it is there. One that failed may be there all
    /// the same, and is to be sent again. What is not there at the moment `by` is given up.
    async fn append(&self, events: Vec<Event>, by: Instant) -> Vec<Result<(), Error>>;

    /// Whether the log would take events now; asked while there are none.
    async fn answers(&self) -> Result<(), Error>;
}

/// The reading side of a log of events.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// A look at one partition: its records from `offset` on, at most `max` and maybe fewer, in order. None at its end.
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error>;

    /// The offset after the newest record of each partition of a topic.
    async fn ends(&self, topic: &str) -> Result<Vec<u64>, Error>;

    /// The offset that a group goes on from in each partition of a topic; none where it has not begun.
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<u64>>, Error>;

    /// Becomes a member of a group, which shares the partitions of these topics among its members. Where the group has
    /// not begun, it begins at `start`, and keeps to that.
    async fn subscribe(&self, group: &str, topics: &[String], start: Start) -> Result<Box<dyn Subscription>, Error>;
}

/// How many partitions a topic has; that of its dead letters has as many.
fn partitions(topics: &BTreeMap<String, u32>, topic: &str) -> Result<u32, Error> {
    let known = || topics.get(topic).or_else(|| topics.get(topic.strip_suffix(DEAD_LETTERS)?));
    known()
        .copied()
        .filter(|partitions| *partitions > 0)
        .ok_or_else(|| Error::Invalid(format!("the topic `{topic}` is not among the application's topics")))
}

/// Refuses an event that no log takes.
fn validate(topics: &BTreeMap<String, u32>, event: &Event) -> Result<u32, Error> {
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

/// Refuses of many what no log takes, and with it what comes after it of the same key. One answer for each.
fn screen(topics: &BTreeMap<String, u32>, events: &[Event]) -> Vec<Result<(), Error>> {
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
