//! A member of a consumer group of the embedded log: reads its partitions round robin and waits when there is nothing new.
//!
//! Where the partitions end is known without a query, so only those with new records are read, and their newest records are in
//! memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::params;

use crate::Sqlite;
use capability::events::{Error, Next, Record, Subscription, TopicPartition};

use crate::event_log::{SqliteLog, committed, read};
use crate::groups::{Assignment, MemberState};

/// The most records that are delivered at once.
const MAX_POLL: u32 = 500;

/// What a read of several partitions found.
#[derive(Default)]
struct Reading {
    empty: Vec<(TopicPartition, u64)>,
    found: Option<(TopicPartition, Assignment, Vec<Record>)>,
}

pub(super) struct Member {
    log: SqliteLog,
    group: String,
    number: u64,
    /// The partition of the last delivery: the others come first now.
    last: Mutex<Option<TopicPartition>>,
}

impl Member {
    pub(super) fn join(store: Sqlite, group: &str, partitions: BTreeSet<TopicPartition>) -> Member {
        let number = store.outlet().groups.lock().entry(group.to_owned()).or_default().join(partitions);
        let member = Member { log: SqliteLog::new(store), group: group.to_owned(), number, last: Mutex::new(None) };
        member.wake();
        member
    }

    fn state<T>(&self, work: impl FnOnce(&mut MemberState) -> T) -> Result<T, Error> {
        let mut groups = self.log.store.outlet().groups.lock();
        let state = groups.get_mut(&self.group).and_then(|group| group.member(self.number));
        state.map(work).ok_or_else(|| Error::Unavailable("the subscription is closed".to_owned()))
    }

    /// Wakes all members of all groups.
    fn wake(&self) {
        self.log.store.outlet().appended.send_modify(|number| *number += 1);
    }

    /// The partitions that have records to read, round robin, with their assignments.
    pub(super) fn readable(&self) -> Result<Vec<(TopicPartition, Assignment)>, Error> {
        let outlet = self.log.store.outlet();
        let mut partitions: Vec<(TopicPartition, Assignment)> = self.state(|state| {
            let tails = outlet.tails();
            let new = |partition: &TopicPartition, assignment: &Assignment| {
                let end = tails.end(&partition.topic, partition.partition);
                !assignment.paused && end > assignment.position.unwrap_or(0)
            };
            let open = state.assigned.iter().filter(|(partition, assignment)| new(partition, assignment));
            open.map(|(partition, assignment)| (partition.clone(), *assignment)).collect()
        })?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let delivered = |partition: &TopicPartition| last.as_ref().is_some_and(|last| partition <= last);
        let after = partitions.iter().take_while(|(partition, _)| delivered(partition)).count();
        partitions.rotate_left(after);
        Ok(partitions)
    }

    /// The first of the partitions that has new records, with them, and before it those that turned out to have none, each with
    /// the offset from which it was read.
    async fn read_first(&self, partitions: Vec<(TopicPartition, Assignment)>) -> Result<Reading, Error> {
        let Some((partition, assignment)) = partitions.first() else { return Ok(Reading::default()) };
        if let Some(records) = self.in_memory(partition, *assignment) {
            return Ok(Reading { empty: Vec::new(), found: Some((partition.clone(), *assignment, records)) });
        }
        let group = self.group.clone();
        self.log
            .query(move |connection| {
                let mut reading = Reading::default();
                for (partition, assignment) in partitions {
                    let from = match assignment.position {
                        Some(position) => position,
                        None => committed(connection, &group, &partition)?.unwrap_or(0),
                    };
                    let records = read(connection, &partition, from, MAX_POLL)?;
                    if !records.is_empty() {
                        reading.found = Some((partition, assignment, records));
                        break;
                    }
                    reading.empty.push((partition, from));
                }
                Ok(reading)
            })
            .await
    }

    /// The next records of a partition, when they are in memory.
    fn in_memory(&self, partition: &TopicPartition, assignment: Assignment) -> Option<Vec<Record>> {
        let found = self.log.store.outlet().tails().since(partition, assignment.position?, MAX_POLL as usize)?;
        // Copied when the lock is free again: the writer takes it.
        Some(found.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// Notes from where partitions are read next that were read for the first time, and had nothing.
    fn mark_read(&self, empty: &[(TopicPartition, u64)]) -> Result<(), Error> {
        self.state(|state| {
            for (partition, from) in empty {
                if let Some(assignment) = state.assigned.get_mut(partition) {
                    assignment.position = assignment.position.or(Some(*from));
                }
            }
        })
    }

    /// Marks records as delivered; false when the partition was revoked, paused or read further meanwhile.
    fn mark_delivered(
        &self,
        partition: &TopicPartition,
        before: Assignment,
        records: &[Record],
    ) -> Result<bool, Error> {
        let marked = self.state(|state| match state.assigned.get_mut(partition) {
            Some(assignment) if assignment.position == before.position && !assignment.paused => {
                assignment.delivered = records.last().map(|record| record.offset + 1);
                assignment.position = assignment.delivered;
                true
            }
            _ => false,
        })?;
        if marked {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(partition.clone());
        }
        Ok(marked)
    }

    fn set_paused(&self, partition: &TopicPartition, paused: bool) {
        // A closed member, or one whose partition was revoked, has nothing to pause.
        let _ = self.state(|state| state.assigned.get_mut(partition).map(|assignment| assignment.paused = paused));
    }

    fn leave(&self) {
        let mut groups = self.log.store.outlet().groups.lock();
        if let Some(group) = groups.get_mut(&self.group) {
            group.leave(self.number);
        }
        // An empty group stays, so that no member's number is used twice.
        drop(groups);
        self.wake();
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Next, Error> {
        let mut changes = self.log.store.outlet().appended.subscribe();
        loop {
            changes.borrow_and_update();
            let revoked = self.state(|state| std::mem::take(&mut state.revoked))?;
            if !revoked.is_empty() {
                return Ok(Next::Revoked(revoked));
            }
            let reading = self.read_first(self.readable()?).await?;
            self.mark_read(&reading.empty)?;
            match reading.found {
                Some((partition, assignment, records)) if self.mark_delivered(&partition, assignment, &records)? => {
                    return Ok(Next::Records(partition, records));
                }
                Some(_) => {}
                // The sender is in the store, which lives as long as this member.
                None => drop(changes.changed().await),
            }
        }
    }

    async fn commit(&self, partition: &TopicPartition, offset: u64) -> Result<bool, Error> {
        let delivered =
            self.state(|state| state.assigned.get(partition).and_then(|assignment| assignment.delivered))?;
        let Some(delivered) = delivered else { return Ok(false) };
        if offset > delivered {
            let TopicPartition { topic, partition } = partition;
            return Err(Error::Invalid(format!(
                "nothing at or after {delivered} of the partition {partition} of `{topic}` was told; {offset} can't be finished"
            )));
        }
        let (group, partition) = (self.group.clone(), partition.clone());
        self.log
            .change(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE log_offsets SET \"offset\" = max(\"offset\", ?4)
                     WHERE \"group\" = ?1 AND topic = ?2 AND partition = ?3",
                    )?
                    .execute(params![group, partition.topic, partition.partition, offset.cast_signed()])
                    .map(drop)
            })
            .await?;
        Ok(true)
    }

    fn pause(&self, partition: &TopicPartition) {
        self.set_paused(partition, true);
    }

    fn resume(&self, partition: &TopicPartition) {
        self.set_paused(partition, false);
        self.wake();
    }

    fn is_closed(&self) -> bool {
        self.state(|_| ()).is_err()
    }

    async fn close(&self) {
        self.leave();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
