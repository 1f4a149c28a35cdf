//! The outlet: stores the events of a document store's commits, and notifies of them.
//!
//! They go into the log in the same file or, for a log that is another server, into the outbox: on the store's writer thread
//! inside a commit. Consumers or the relay are notified after the transaction is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::groups::Groups;
use crate::outbox::Leases;
use crate::{event_log, outbox};
use capability::events::{Committed, Error, Event, Shards, shard};

/// The destination of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Into the log in the same file.
    Log,
    /// Into the outbox in the same file, for a relay.
    Outbox,
}

/// The outlet of one store.
#[derive(Debug)]
pub(crate) struct Outlet {
    topics: BTreeMap<String, u32>,
    destination: Destination,
    /// The shards of the events in the current transaction of the writer thread.
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
    pub(crate) fn new(topics: BTreeMap<String, u32>, destination: Destination) -> Arc<Self> {
        Arc::new(Self {
            topics,
            destination,
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

    /// Creates the tables. Without a relay, the events of the outbox are moved into the log.
    pub(crate) fn open(&self, connection: &Connection) -> rusqlite::Result<()> {
        event_log::create_tables(connection)?;
        match self.destination {
            Destination::Log => outbox::drain_outbox(connection, &self.topics),
            Destination::Outbox => {
                outbox::take_back(connection, &self.topics)?;
                outbox::warn_of_unconsumed(connection)
            }
        }
    }

    /// Stores events in order, inside the transaction that the connection is in.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown topic or a value that is too large, [`Error::Unavailable`] when the file can't
    /// be written. The caller rolls back.
    pub(crate) fn append(&self, connection: &Connection, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match self.destination {
                Destination::Log => event_log::append(connection, &self.topics, event)?,
                Destination::Outbox => outbox::enqueue(connection, &self.topics, event)?,
            }
            self.filled().insert(shard(&event.key));
        }
        Ok(())
    }

    /// The transaction has ended: notifies when it is durable. Only the writer thread calls this.
    pub(crate) fn ended(&self, durable: bool) {
        let filled = std::mem::take(&mut *self.filled());
        if filled != Shards::default() && durable {
            match self.destination {
                Destination::Log => self.appended.send_modify(|number| *number += 1),
                Destination::Outbox => self.relay.tell(filled),
            }
        }
    }

    fn filled(&self) -> MutexGuard<'_, Shards> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
