//! The outlet: where the events of a document store's commits go, and who is told that some have come.
//!
//! The log in the same file or, for a log that is another server, the outbox. Filled on the store's writer thread inside
//! a commit; who waits is told after the transaction is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use super::embedded::{self, Groups, Leases};
use super::{Committed, Error, Event, Shards, shard};

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Into the log in the same file.
    Log,
    /// Into the outbox in the same file, for a relay.
    Outbox,
}

/// The outlet of one store.
#[derive(Debug)]
pub(crate) struct Outlet {
    topics: BTreeMap<String, u32>,
    way: Way,
    /// The shards of the events in the transaction that the writer thread is in.
    filled: Mutex<Shards>,
    /// Wakes the relay.
    pub(super) relay: Committed,
    /// Wakes consumers.
    pub(super) appended: watch::Sender<u64>,
    pub(super) groups: Groups,
    pub(super) leases: Leases,
}

impl Outlet {
    /// For these topics with their numbers of partitions.
    pub(crate) fn new(topics: BTreeMap<String, u32>, way: Way) -> Arc<Self> {
        Arc::new(Self {
            topics,
            way,
            filled: Mutex::default(),
            relay: Committed::default(),
            appended: watch::Sender::new(0),
            groups: Groups::default(),
            leases: Leases::default(),
        })
    }

    pub(crate) fn topics(&self) -> &BTreeMap<String, u32> {
        &self.topics
    }

    /// Makes the tables. What waits in the outbox goes into the log where no relay would come for it.
    pub(crate) fn open(&self, connection: &Connection) -> rusqlite::Result<()> {
        embedded::create_tables(connection)?;
        match self.way {
            Way::Log => embedded::drain_outbox(connection, &self.topics),
            Way::Outbox => embedded::warn_of_rest(connection),
        }
    }

    /// Takes events in order, inside the transaction that the connection is in.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown topic or a value that is too large, [`Error::Unavailable`] when the file can't
    /// be written. The caller rolls back.
    pub(crate) fn take(&self, connection: &Connection, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match self.way {
                Way::Log => embedded::append(connection, &self.topics, event)?,
                Way::Outbox => embedded::put_out(connection, &self.topics, event)?,
            }
            self.filled().insert(shard(&event.key));
        }
        Ok(())
    }

    /// The transaction has ended. Only the writer thread calls this.
    pub(crate) fn ended(&self, durable: bool) {
        let filled = std::mem::take(&mut *self.filled());
        if filled != Shards::default() && durable {
            match self.way {
                Way::Log => self.appended.send_modify(|number| *number += 1),
                Way::Outbox => self.relay.tell(filled),
            }
        }
    }

    fn filled(&self) -> MutexGuard<'_, Shards> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
