//! A delivery: events on their way to a component, until they have had their effect once or are dead letters.
//!
//! What the component wants done for an event is committed together with a mark that names the two. So whatever dies, and
//! whoever is told the event again, the mark decides: it is there, and the effect is; or it is not, and neither is the effect.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::consumer::Consumer;
use super::dead_letter;
use super::pace::Pace;
use super::partition::Partition;
use crate::capability::documents::{Error, Write};
use crate::capability::events::{MAX_VALUE, Record, marks};
use crate::capability::unit::Unit;
use crate::engine::{Call, EventCall, Failure, Loaded, Unable};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All of it is finished.
    Finished,
    /// The partition is over; what is not finished is somebody else's.
    Over,
}

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Try {
    /// The events have had their effect, just now or earlier.
    Done,
    /// It failed, and that counts.
    Failed(String),
    /// A store or a place was missing, which is not the component's fault.
    Held(String),
    /// The component wants never to be told this again.
    Rejected(String),
    /// One of several is another one's matter than the rest: each is told by itself.
    Split,
}

/// Where events come from and go to.
#[derive(Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) partition: &'a Partition,
}

impl Delivery<'_> {
    /// Tells events of one key.
    pub(super) async fn deliver(self, records: Vec<Record>) -> End {
        let mut rest: VecDeque<Arc<[Record]>> = VecDeque::from([records.into()]);
        while let Some(records) = rest.pop_front() {
            match self.until_finished(&records).await {
                None => return End::Over,
                Some(false) => records.iter().rev().for_each(|record| rest.push_front([record.clone()].into())),
                Some(true) => records.iter().for_each(|record| self.consumer.finish(self.partition, record)),
            }
        }
        End::Finished
    }

    /// Tries until they are finished; false when they are to be told one by one, none when the partition is over.
    async fn until_finished(self, records: &Arc<[Record]>) -> Option<bool> {
        let (mut failing, mut away) = (Pace::component(), Pace::store());
        let mut attempt = 1;
        let mut dead: Option<String> = None;
        loop {
            let ended = {
                let _place = tokio::select! {
                    // Most of the time there is one, and nothing else needs a look.
                    biased;
                    place = self.consumer.places.acquire() => place.ok()?,
                    () = self.partition.until_over() => return None,
                };
                if self.partition.is_over() {
                    return None;
                }
                match (&dead, &**records) {
                    (Some(why), [record]) => self.bury(record, why, attempt).await,
                    _ => self.once(records, attempt).await,
                }
            };
            let alone = records.len() == 1;
            let wait = match ended {
                Try::Done => return Some(true),
                Try::Split => return Some(false),
                Try::Failed(_) | Try::Rejected(_) if !alone => return Some(false),
                Try::Held(why) => {
                    self.say(records, &why, "an event waits for a store", away.is_first());
                    away.next()
                }
                // That the dead letter is refused is no reason to give the event up.
                Try::Failed(why) if dead.is_some() => {
                    self.say(records, &why, "a dead letter is not taken", true);
                    failing.next()
                }
                Try::Rejected(why) => {
                    dead = Some(why);
                    continue;
                }
                Try::Failed(why) if attempt >= self.attempts() => {
                    dead = Some(why);
                    continue;
                }
                Try::Failed(why) => {
                    self.say(records, &why, "an event is told again later", true);
                    attempt += 1;
                    failing.next()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.partition.until_over() => return None,
            }
        }
    }

    fn attempts(self) -> u32 {
        self.consumer.trigger(&self.partition.place.topic, |trigger| trigger.attempts).unwrap_or(u32::MAX)
    }

    fn say(self, records: &[Record], why: &str, what: &'static str, loudly: bool) {
        let component = &self.consumer.component;
        let (topic, partition) = (&self.partition.place.topic, self.partition.place.partition);
        let offset = records.first().map(|record| record.offset);
        if loudly {
            tracing::warn!(component, topic, partition, offset, why, "{what}");
        } else {
            tracing::debug!(component, topic, partition, offset, why, "{what}");
        }
    }

    /// One try.
    async fn once(self, records: &Arc<[Record]>, attempt: u32) -> Try {
        if let Some(large) = records.iter().find(|record| record.event.value.len() > MAX_VALUE) {
            let bytes = large.event.value.len();
            return Try::Rejected(format!("its value has {bytes} bytes; at most {MAX_VALUE} are told"));
        }
        let Some(loaded) = self.version(records) else {
            return Try::Held("the component is not deployed".to_owned());
        };
        let away = Arc::new(AtomicBool::new(false));
        let call = EventCall {
            call: Call { id: Call::new_id(), identity: None, socket: None },
            records: records.clone(),
            topic: self.partition.topic.clone(),
            attempt,
            generation: self.consumer.generation,
            away: away.clone(),
        };
        crate::abort::here("handler");
        let answer = self.consumer.registry.engine().invoke_here(&loaded, call).await;
        let failed = |why| if away.load(Ordering::Relaxed) { Try::Held(why) } else { Try::Failed(why) };
        match answer {
            Ok(Ok(unit)) => self.commit(unit, records).await,
            Ok(Err(Unable::Retry(why))) => failed(why),
            Ok(Err(Unable::Reject(why))) => Try::Rejected(why),
            Err(failure @ (Failure::Busy | Failure::Cut | Failure::Host(_))) => Try::Held(failure.to_string()),
            Err(failure) => failed(failure.to_string()),
        }
    }

    /// The version that is told events of this key.
    fn version(self, records: &[Record]) -> Option<Arc<Loaded>> {
        let served = self.consumer.registry.served(&self.consumer.component)?;
        let topic = &self.partition.place.topic;
        let served = served.where_canary(|canary| canary.event.iter().any(|trigger| trigger.topic == *topic));
        let key = records.first().map(|record| record.event.key.as_str()).unwrap_or_default();
        Some(served.pick(key).clone())
    }

    /// Commits what is wanted for these events, once.
    async fn commit(self, mut unit: Unit, records: &[Record]) -> Try {
        let capabilities = &self.consumer.registry.engine().shared().capabilities;
        if self.consumer.is_building() {
            unit.events.clear();
            unit.emits.clear();
            unit.stale.clear();
        }
        // What leaves nothing behind may happen again.
        let marks: Vec<Write> = if unit.writes_nothing() {
            Vec::new()
        } else {
            let ids = records.iter().map(|record| record.event.id.as_str());
            match marks(&self.consumer.group, ids, capabilities.clock.now()) {
                Ok(marks) => marks,
                Err(error) => return Try::Failed(error.to_string()),
            }
        };
        let marked = marks.len();
        // First, so that an event that was consumed is known by its mark and not by what else its effect runs into.
        unit.writes.splice(0..0, marks);
        let (commit, after) = match unit.split(capabilities) {
            Ok(split) => split,
            Err(error) => return Try::Failed(error.to_string()),
        };
        crate::abort::here("effect");
        let done = if commit.writes.is_empty() && commit.events.is_empty() {
            Ok(())
        } else {
            capabilities.documents.commit_beside(commit).await.map(drop)
        };
        crate::abort::here("effected");
        match done {
            Err(Error::Duplicate { write, .. }) if (write as usize) < marked => {
                if marked > 1 {
                    return Try::Split;
                }
                tracing::debug!(component = self.consumer.component, "an event had its effect already");
            }
            Err(Error::Unavailable(why)) => return Try::Held(why),
            Err(error) => return Try::Failed(format!("what it wants done is refused: {error}")),
            Ok(()) => {}
        }
        // Also when it was done already: whoever did it may have died before this.
        after.follow(capabilities).await;
        Try::Done
    }

    /// Makes an event a dead letter, in one commit with its mark.
    async fn bury(self, record: &Record, why: &str, attempts: u32) -> Try {
        // It was buried when it was told the first time.
        if self.consumer.is_building() {
            return Try::Done;
        }
        let version = self.version(std::slice::from_ref(record));
        let version = version.as_deref().map(Loaded::version).unwrap_or_default();
        let now = self.consumer.registry.engine().shared().capabilities.clock.now();
        let death = dead_letter::Death { component: &self.consumer.component, version: &version, why, attempts };
        let letter = death.letter(record, now);
        let done = self.commit(Unit { events: vec![letter], ..Unit::default() }, std::slice::from_ref(record)).await;
        if done == Try::Done {
            self.say(std::slice::from_ref(record), why, "an event is a dead letter", true);
        }
        done
    }
}
