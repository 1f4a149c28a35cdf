//! A member of a group of the embedded log: reads its partitions by turns and waits when there is nothing new.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::params;

use crate::capability::documents::Embedded;
use crate::capability::events::{Error, Next, Place, Record, Subscription};

use super::groups::{Held, Seat};
use super::{EmbeddedLog, committed, read};

/// The most records that are told at once.
const MOST: u32 = 500;

pub(super) struct Member {
    log: EmbeddedLog,
    group: String,
    number: u64,
    /// The partition that was told of last: the others come first now.
    last: Mutex<Option<Place>>,
}

impl Member {
    pub(super) fn join(store: Embedded, group: &str, places: BTreeSet<Place>) -> Member {
        let number = store.outlet().groups.lock().entry(group.to_owned()).or_default().join(places);
        let member = Member { log: EmbeddedLog::new(store), group: group.to_owned(), number, last: Mutex::new(None) };
        member.wake();
        member
    }

    fn seat<T>(&self, look: impl FnOnce(&mut Seat) -> T) -> Result<T, Error> {
        let mut groups = self.log.store.outlet().groups.lock();
        let seat = groups.get_mut(&self.group).and_then(|group| group.member(self.number));
        seat.map(look).ok_or_else(|| Error::Unavailable("the subscription is closed".to_owned()))
    }

    /// All members of all groups look again.
    fn wake(&self) {
        self.log.store.outlet().appended.send_modify(|number| *number += 1);
    }

    /// The partitions to read, in turn, and from where.
    fn turns(&self) -> Result<Vec<(Place, Held)>, Error> {
        let mut places: Vec<(Place, Held)> = self.seat(|seat| {
            let open = seat.held.iter().filter(|(_, held)| !held.paused);
            open.map(|(place, held)| (place.clone(), *held)).collect()
        })?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let after = places.iter().take_while(|(place, _)| last.as_ref().is_some_and(|last| place <= last)).count();
        places.rotate_left(after);
        Ok(places)
    }

    /// The first of the partitions that has something new.
    async fn look(&self, places: Vec<(Place, Held)>) -> Result<Option<(Place, Held, Vec<Record>)>, Error> {
        let group = self.group.clone();
        self.log
            .ask(move |connection| {
                for (place, held) in places {
                    let from = match held.told {
                        Some(told) => told,
                        None => committed(connection, &group, &place)?.unwrap_or(0),
                    };
                    let records = read(connection, &place, from, MOST)?;
                    if !records.is_empty() {
                        return Ok(Some((place, held, records)));
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Whether the records may be told: the partition is still this member's and where it was.
    fn tell(&self, place: &Place, before: Held, records: &[Record]) -> Result<bool, Error> {
        let told = self.seat(|seat| match seat.held.get_mut(place) {
            Some(held) if held.told == before.told && !held.paused => {
                held.told = records.last().map(|record| record.offset + 1);
                true
            }
            _ => false,
        })?;
        if told {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.clone());
        }
        Ok(told)
    }

    fn hold(&self, place: &Place, paused: bool) {
        // One that is closed, or has it no more, has nothing to pause.
        let _ = self.seat(|seat| seat.held.get_mut(place).map(|held| held.paused = paused));
    }

    fn leave(&self) {
        let mut groups = self.log.store.outlet().groups.lock();
        if let Some(group) = groups.get_mut(&self.group) {
            group.leave(self.number);
        }
        // An empty one stays, so that no number is given twice to members that are still there.
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
            let taken = self.seat(|seat| std::mem::take(&mut seat.taken))?;
            if !taken.is_empty() {
                return Ok(Next::Taken(taken));
            }
            match self.look(self.turns()?).await? {
                Some((place, held, records)) if self.tell(&place, held, &records)? => {
                    return Ok(Next::Records(place, records));
                }
                Some(_) => {}
                // The sender is in the store, which is alive as long as this is.
                None => drop(changes.changed().await),
            }
        }
    }

    async fn finished(&self, place: &Place, offset: u64) -> Result<bool, Error> {
        let told = self.seat(|seat| seat.held.get(place).and_then(|held| held.told))?;
        let Some(told) = told else { return Ok(false) };
        if offset > told {
            let Place { topic, partition } = place;
            return Err(Error::Invalid(format!(
                "nothing at or after {told} of the partition {partition} of `{topic}` was told; {offset} can't be finished"
            )));
        }
        let (group, place) = (self.group.clone(), place.clone());
        self.log
            .change(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE log_offsets SET \"offset\" = max(\"offset\", ?4)
                     WHERE \"group\" = ?1 AND topic = ?2 AND partition = ?3",
                    )?
                    .execute(params![group, place.topic, place.partition, offset.cast_signed()])
                    .map(drop)
            })
            .await?;
        Ok(true)
    }

    fn pause(&self, place: &Place) {
        self.hold(place, true);
    }

    fn resume(&self, place: &Place) {
        self.hold(place, false);
        self.wake();
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
