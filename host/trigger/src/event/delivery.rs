//! A delivery: events of one key, retried until they had their effect once or are dead letters.
//!
//! The effect of an event is committed together with a mark that names the component and the event. After a crash, and when
//! an event is delivered again, the mark decides: effect and mark both exist, or neither does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backoff::Backoff;
use crate::event::consumed::marks;
use crate::event::consumer::Consumer;
use crate::event::dead_letter::DeadLetter;
use crate::event::partition::Partition;
use capability::documents::{Error, Write};
use capability::events::{MAX_VALUE, Record, TopicPartition};
use capability::unit_of_work::UnitOfWork;
use engine::{Call, EventCall, Failure, Loaded, Unable};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All events are processed.
    Finished,
    /// The partition is stopped; the rest is delivered by its next consumer.
    Stopped,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attempt {
    /// The events had their effect, now or earlier.
    Done,
    /// It failed, and counts as an attempt.
    Failed(String),
    /// A store or an instance was not available. That does not count: it is not the component's fault.
    Unavailable(String),
    /// The component rejects the event: it is not retried.
    Rejected(String),
    /// One event of the batch had its effect before: each is delivered by itself.
    Split,
}

/// A consumer and the partition whose events it delivers.
#[derive(Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) partition: &'a Partition,
}

impl Delivery<'_> {
    /// Delivers events of one key.
    pub(super) async fn deliver(self, records: Vec<Record>) -> End {
        let mut rest: VecDeque<Arc<[Record]>> = VecDeque::from([records.into()]);
        while let Some(records) = rest.pop_front() {
            match self.until_finished(&records).await {
                None => return End::Stopped,
                Some(false) => records.iter().rev().for_each(|record| rest.push_front([record.clone()].into())),
                Some(true) => records.iter().for_each(|record| self.consumer.finish(self.partition, record)),
            }
        }
        End::Finished
    }

    /// Retries until they are processed; false when they have to be delivered one by one, none when the partition is stopped.
    async fn until_finished(self, records: &Arc<[Record]>) -> Option<bool> {
        let (mut component_backoff, mut store_backoff) = (Backoff::component(), Backoff::store());
        let mut attempt = 1;
        let mut dead: Option<String> = None;
        loop {
            let result = {
                let _permit = tokio::select! {
                    // A permit is usually free: it is polled first.
                    biased;
                    permit = self.consumer.permits.acquire() => permit.ok()?,
                    () = self.partition.until_stopped() => return None,
                };
                if self.partition.is_stopped() {
                    return None;
                }
                match (&dead, &**records) {
                    (Some(why), [record]) => self.write_dead_letter(record, why, attempt).await,
                    _ => self.once(records, attempt).await,
                }
            };
            let alone = records.len() == 1;
            let wait = match result {
                Attempt::Done => return Some(true),
                Attempt::Split => return Some(false),
                Attempt::Failed(_) | Attempt::Rejected(_) if !alone => return Some(false),
                Attempt::Unavailable(why) => {
                    self.log(records, &why, "an event waits for a store", store_backoff.is_first());
                    store_backoff.next()
                }
                // An event whose dead letter is refused is not dropped.
                Attempt::Failed(why) if dead.is_some() => {
                    self.log(records, &why, "a dead letter is refused; trying again", true);
                    component_backoff.next()
                }
                Attempt::Rejected(why) => {
                    dead = Some(why);
                    continue;
                }
                Attempt::Failed(why) if attempt >= self.max_attempts() => {
                    dead = Some(why);
                    continue;
                }
                Attempt::Failed(why) => {
                    self.log(records, &why, "a delivery failed; trying again", true);
                    attempt += 1;
                    component_backoff.next()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.partition.until_stopped() => return None,
            }
        }
    }

    fn max_attempts(self) -> u32 {
        self.consumer.trigger(&self.partition.topic_partition.topic, |trigger| trigger.attempts).unwrap_or(u32::MAX)
    }

    fn log(self, records: &[Record], why: &str, what: &'static str, warn: bool) {
        let component = &self.consumer.component;
        let TopicPartition { topic, partition } = &self.partition.topic_partition;
        let offset = records.first().map(|record| record.offset);
        if warn {
            tracing::warn!(component, topic, partition, offset, why, "{what}");
        } else {
            tracing::debug!(component, topic, partition, offset, why, "{what}");
        }
    }

    /// One attempt.
    async fn once(self, records: &Arc<[Record]>, attempt: u32) -> Attempt {
        if let Some(large) = records.iter().find(|record| record.event.value.len() > MAX_VALUE) {
            let bytes = large.event.value.len();
            return Attempt::Rejected(format!("its value has {bytes} bytes; at most {MAX_VALUE} are told"));
        }
        let Some(loaded) = self.version(records) else {
            return Attempt::Unavailable("the component is not deployed".to_owned());
        };
        let store_unavailable = Arc::new(AtomicBool::new(false));
        let call = EventCall {
            call: Call { id: Call::new_id(), identity: None, socket: None },
            records: records.clone(),
            topic: self.partition.topic.clone(),
            attempt,
            generation: self.consumer.generation,
            store_unavailable: store_unavailable.clone(),
        };
        capability::abort::here("handler");
        let answer = self.consumer.registry.engine().invoke_here(&loaded, call).await;
        let failed = |why| {
            if store_unavailable.load(Ordering::Relaxed) { Attempt::Unavailable(why) } else { Attempt::Failed(why) }
        };
        match answer {
            Ok((Ok(unit), end)) => {
                let done = self.commit(unit, records).await;
                // Only now it is known how the call ended: what it wanted done may be refused.
                match &done {
                    Attempt::Failed(_) => end.refuse(),
                    Attempt::Unavailable(_) => end.store_unavailable(),
                    Attempt::Done | Attempt::Rejected(_) | Attempt::Split => drop(end),
                }
                done
            }
            Ok((Err(Unable::Retry(why)), _)) => failed(why),
            Ok((Err(Unable::Reject(why)), _)) => Attempt::Rejected(why),
            Err(failure @ (Failure::Busy | Failure::Cut | Failure::Host(_))) => {
                Attempt::Unavailable(failure.to_string())
            }
            Err(failure) => failed(failure.to_string()),
        }
    }

    /// The version that gets the events of this key.
    fn version(self, records: &[Record]) -> Option<Arc<Loaded>> {
        let served = self.consumer.registry.served(&self.consumer.component)?;
        let topic = &self.partition.topic_partition.topic;
        let served = served.where_canary(|canary| canary.event.iter().any(|trigger| trigger.topic == *topic));
        let key = records.first().map(|record| record.event.key.as_str()).unwrap_or_default();
        Some(served.pick(key).clone())
    }

    /// Commits the effect of these events, once.
    async fn commit(self, mut unit: UnitOfWork, records: &[Record]) -> Attempt {
        let capabilities = &self.consumer.registry.engine().shared().capabilities;
        if self.consumer.is_building() {
            unit.events.clear();
            unit.emits.clear();
            unit.stale.clear();
        }
        // An effect that writes nothing may happen again, and needs no mark.
        let marks: Vec<Write> = if unit.writes_nothing() {
            Vec::new()
        } else {
            let ids = records.iter().map(|record| record.event.id.as_str());
            match marks(&self.consumer.group, ids, capabilities.clock.now()) {
                Ok(marks) => marks,
                Err(error) => return Attempt::Failed(error.to_string()),
            }
        };
        let marked = marks.len();
        // First, so that a consumed event fails at its mark and not at another write of its effect.
        unit.writes.splice(0..0, marks);
        let (commit, after) = match unit.split(capabilities) {
            Ok(split) => split,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        capability::abort::here("effect");
        let done = if commit.writes.is_empty() && commit.events.is_empty() {
            Ok(())
        } else {
            capabilities.documents.commit_in_background(commit).await.map(drop)
        };
        capability::abort::here("effected");
        match done {
            Err(Error::Duplicate { write, .. }) if (write as usize) < marked => {
                if marked > 1 {
                    return Attempt::Split;
                }
                tracing::debug!(component = self.consumer.component, "an event had its effect already");
            }
            Err(Error::Unavailable(why)) => {
                after.doubt().await;
                return Attempt::Unavailable(why);
            }
            Err(error) => return Attempt::Failed(format!("what it wants done is refused: {error}")),
            Ok(()) => {}
        }
        // Also when the effect was committed before: that host may have died before this step.
        after.follow().await;
        Attempt::Done
    }

    /// Makes an event a dead letter, in one commit with its mark.
    async fn write_dead_letter(self, record: &Record, why: &str, attempts: u32) -> Attempt {
        // The served generation has written the dead letter.
        if self.consumer.is_building() {
            return Attempt::Done;
        }
        let version = self.version(std::slice::from_ref(record));
        let version = version.as_deref().map(Loaded::version).unwrap_or_default();
        let now = self.consumer.registry.engine().shared().capabilities.clock.now();
        let letter = DeadLetter { component: &self.consumer.component, version: &version, why, attempts };
        let letter = letter.into_event(record, now);
        let done = self
            .commit(UnitOfWork { events: vec![letter], ..UnitOfWork::default() }, std::slice::from_ref(record))
            .await;
        if done == Attempt::Done {
            self.log(std::slice::from_ref(record), why, "an event is a dead letter", true);
        }
        done
    }
}
