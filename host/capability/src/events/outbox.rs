//! The outbox: events that were committed with their documents and have to be moved to a log that is another server.
//!
//! Where documents and events are one store, a commit appends to the log itself and there is no outbox. A row is written
//! in the transaction of its documents and deleted once the log has acknowledged it, never before. Relays share the work
//! by shards: all events of a key are in one, and one holder at a time has the lease of a shard.

use std::time::Duration;

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bson::Bson;
use tokio::sync::Notify;

use crate::events::{Error, Event, partition};

/// Into how many shards the rows are divided, by their keys.
pub const SHARDS: u32 = 16;

/// The shard of a key.
pub fn shard(key: &str) -> u32 {
    partition(key, SHARDS)
}

/// A set of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards(u32);

impl Shards {
    /// Adds a shard. A number from [`SHARDS`] on is ignored.
    pub fn insert(&mut self, shard: u32) {
        if shard < SHARDS {
            self.0 |= 1 << shard;
        }
    }

    /// Each of them once.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..SHARDS).filter(move |shard| self.0 & (1 << shard) != 0)
    }
}

impl<'a> FromIterator<&'a Event> for Shards {
    /// Those of the events' keys.
    fn from_iter<I: IntoIterator<Item = &'a Event>>(events: I) -> Self {
        let mut shards = Self::default();
        events.into_iter().for_each(|event| shards.insert(shard(&event.key)));
        shards
    }
}

/// Notifies the relay of the shards in which this process has committed events. It has one waiter; notifications before
/// it waits are kept.
#[derive(Debug, Default)]
pub struct Committed {
    shards: AtomicU32,
    notify: Notify,
}

impl Committed {
    /// Events were committed in these shards.
    pub fn tell(&self, shards: Shards) {
        self.shards.fetch_or(shards.0, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// The shards notified since the last call; waits until there are some.
    pub async fn heard(&self) -> Shards {
        loop {
            let shards = self.shards.swap(0, Ordering::AcqRel);
            if shards != 0 {
                return Shards(shards);
            }
            self.notify.notified().await;
        }
    }
}

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Names the row to [`Outbox::done`].
    pub row: Bson,
    /// The event to append to the log.
    pub event: Event,
}

/// The outbox in a document store. Every call is atomic; any number of hosts may call at once.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes the lease of a shard for `holder`, or extends the one it has, to `length` from now by the store's own clock;
    /// false while another holder has it. A number from [`SHARDS`] on has no events: a relay leases one only to be counted
    /// among the holders.
    async fn lease(&self, shard: u32, holder: &str, length: Duration) -> Result<bool, Error>;

    /// Extends the leases of `holder` among these shards to `length` from now, also one that has expired while nobody took it;
    /// returns those that it has. Takes none.
    async fn renew(&self, shards: &[u32], holder: &str, length: Duration) -> Result<Vec<u32>, Error>;

    /// Releases a lease early; nothing happens when `holder` has none.
    async fn release(&self, shard: u32, holder: &str) -> Result<(), Error>;

    /// How many distinct holders have an unexpired lease, of any number.
    async fn holders(&self) -> Result<u32, Error>;

    /// Events of a shard, at most `max`. Of each key they are the oldest ones, in the order of their commits and without
    /// a gap; a busy key does not starve the others.
    async fn waiting(&self, shard: u32, max: u32) -> Result<Vec<Waiting>, Error>;

    /// How many events are in the outbox, over all shards.
    async fn count(&self) -> Result<u64, Error>;

    /// Deletes rows that the log has acknowledged. Idempotent.
    async fn done(&self, rows: &[Bson]) -> Result<(), Error>;

    /// Sets rows aside that the log can't take because their topic is gone: they are counted, but no longer among the waiting
    /// ones. They come back when the store is opened by an application that has the topic. Idempotent.
    async fn set_aside(&self, rows: &[Bson]) -> Result<(), Error>;

    /// The shards that have events of any host.
    async fn filled(&self) -> Result<Shards, Error>;

    /// The shards in which this process has committed events since the last call; returns when there are some.
    async fn committed(&self) -> Shards;
}
