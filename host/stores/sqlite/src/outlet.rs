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
use crate::tail::Tails;
use crate::{event_log, outbox};
use capability::events::{Committed, Error, Event, Record, Shards, partition, shard, validate};

/// The destination of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Into the log in the same file.
    Log,
    /// Into the outbox in the same file, for a relay.
    Outbox,
}

/// What is stored and not durable yet: the shards of the events in the outbox, the records in the log.
#[derive(Debug, Default)]
struct Stored {
    shards: Shards,
    records: Vec<Record>,
    /// The offsets after the records, by topic and partition.
    ends: BTreeMap<String, BTreeMap<u32, u64>>,
}

impl Stored {
    fn end(&self, topic: &str, partition: u32) -> Option<u64> {
        self.ends.get(topic)?.get(&partition).copied()
    }

    fn push(&mut self, record: Record) {
        let topic = self.ends.entry(record.event.topic.clone()).or_default();
        topic.insert(record.partition, record.offset + 1);
        self.records.push(record);
    }
}

/// Of the writer thread's current transaction.
#[derive(Debug, Default)]
struct Current {
    /// By the commits of it that are done.
    done: Stored,
    /// By the one that runs.
    running: Stored,
}

/// The outlet of one store.
#[derive(Debug)]
pub(crate) struct Outlet {
    topics: BTreeMap<String, u32>,
    destination: Destination,
    current: Mutex<Current>,
    tails: Mutex<Tails>,
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
            current: Mutex::default(),
            tails: Mutex::default(),
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
        let mut tails = self.tails();
        event_log::read_ends(connection, &mut tails)?;
        match self.destination {
            Destination::Log => outbox::drain_outbox(connection, &self.topics, &mut tails),
            Destination::Outbox => {
                outbox::take_back(connection, &self.topics)?;
                outbox::warn_of_unconsumed(connection)
            }
        }
    }

    /// The tails of the log's partitions, as far as it is durable.
    pub(crate) fn tails(&self) -> MutexGuard<'_, Tails> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores events in order, inside the transaction that the connection is in.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown topic or a value that is too large, [`Error::Unavailable`] when the file can't
    /// be written. The caller rolls back.
    pub(crate) fn append(&self, connection: &Connection, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match self.destination {
                Destination::Log => {
                    let partition = partition(&event.key, validate(&self.topics, event)?);
                    let offset = self.next_offset(&event.topic, partition);
                    event_log::append(connection, partition, offset, event).map_err(event_log::unavailable)?;
                    self.current().running.push(Record { partition, offset, event: event.clone() });
                }
                Destination::Outbox => {
                    outbox::enqueue(connection, &self.topics, event)?;
                    self.current().running.shards.insert(shard(&event.key));
                }
            }
        }
        Ok(())
    }

    /// The offset of the next record.
    fn next_offset(&self, topic: &str, partition: u32) -> u64 {
        let current = self.current();
        let end = current.running.end(topic, partition).or_else(|| current.done.end(topic, partition));
        end.unwrap_or_else(|| self.tails().end(topic, partition))
    }

    /// Stores, as the last thing of the transaction that the connection is in, where the log ends.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn write_ends(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (topic, ends) in &self.current().done.ends {
            for (partition, end) in ends {
                event_log::write_end(connection, topic, *partition, *end)?;
            }
        }
        Ok(())
    }

    /// A commit has ended: what it stored is in the transaction, or it was refused. Only the writer thread calls this.
    pub(crate) fn commit_ended(&self, done: bool) {
        let mut current = self.current();
        let Stored { shards, records, .. } = std::mem::take(&mut current.running);
        if done {
            shards.iter().for_each(|shard| current.done.shards.insert(shard));
            records.into_iter().for_each(|record| current.done.push(record));
        }
    }

    /// The transaction has ended: notifies when it is durable. Only the writer thread calls this.
    pub(crate) fn ended(&self, durable: bool) {
        let Stored { shards, records, .. } = std::mem::take(&mut *self.current()).done;
        if durable && shards != Shards::default() {
            self.relay.tell(shards);
        }
        if durable && !records.is_empty() {
            let mut tails = self.tails();
            records.into_iter().for_each(|record| tails.push(record));
            drop(tails);
            // Now: who is woken finds the records.
            self.appended.send_modify(|number| *number += 1);
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
