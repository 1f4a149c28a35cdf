//! The buffers of a member: polled records per partition, and the offsets to commit.
//!
//! Offsets that are finished while a commit is in flight go into the next one. A partition whose records begin anew (its topic
//! was deleted and made again) is revoked and assigned once more, from its first record on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use capability::events::{Error, Next, Record, TopicPartition};

/// A buffer with this many records is full.
const FULL: usize = 2_000;
/// The same, in bytes of values.
const FULL_BYTES: usize = 4 << 20;
/// The pause after a commit that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// How long after an assignment the client's statistics may still be about the time before it.
const SETTLED: Duration = Duration::from_secs(1);
/// The longest wait; nothing depends on it, since waiters are notified.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Waiter = oneshot::Sender<Result<(), Error>>;

/// The state that the threads and the user share.
#[derive(Default)]
pub(super) struct Buffers {
    state: Mutex<State>,
    /// Notified when there is something for the user.
    changed: Notify,
    /// Notified when there are offsets to commit, or the subscription is closed.
    due: Condvar,
    /// Wakes the client's thread.
    wakeup: Wakeup,
    left: watch::Sender<bool>,
}

/// Wakes the client's thread. After a wake-up without a waiter the next wait returns at once.
#[derive(Default)]
struct Wakeup {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Wakeup {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condvar.notify_one();
    }

    fn wait(&self, longest: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.condvar.wait_timeout_while(woken, longest, |woken| !*woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[derive(Default)]
struct State {
    buffers: BTreeMap<TopicPartition, Buffer>,
    /// Revoked partitions that the user does not know of yet.
    revoked: Vec<TopicPartition>,
    /// The partition of the last delivery.
    last: Option<TopicPartition>,
    /// Why the subscription ended.
    closed: Option<Error>,
    offsets: Offsets,
}

/// One assigned partition.
#[derive(Default)]
struct Buffer {
    records: VecDeque<Record>,
    bytes: usize,
    /// The offset after the last polled record, or after control records behind it.
    end: u64,
    /// The end that was reached over control records, until it is delivered as [`Next::Skipped`].
    skipped: Option<u64>,
    /// When it was assigned.
    since: Option<Instant>,
    /// The offset after the last delivered record.
    delivered: Option<u64>,
    /// The committed offset; none as long as not even the start offset is committed.
    committed: Option<u64>,
    paused: bool,
    /// The client's thread polls the partition's own queue.
    polled: bool,
}

impl Buffer {
    /// One that starts at this offset.
    fn starting_at(start: u64, committed: bool) -> Self {
        Self { end: start, since: Some(Instant::now()), committed: committed.then_some(start), ..Self::default() }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= FULL || self.bytes >= FULL_BYTES
    }
}

/// The partitions for the client's thread.
#[derive(Default)]
pub(super) struct Readable {
    /// All assigned ones.
    pub(super) assigned: BTreeSet<TopicPartition>,
    /// Those assigned since the last call. They have no queue of their own yet, or an old one.
    pub(super) new: Vec<TopicPartition>,
    /// Those that are not paused and whose buffer has room.
    pub(super) open: Vec<TopicPartition>,
}

/// The offsets to commit.
#[derive(Default)]
struct Offsets {
    waiting: BTreeMap<TopicPartition, u64>,
    waiters: Vec<(TopicPartition, Waiter)>,
    /// How many batches are in flight.
    in_flight: u32,
    not_before: Option<Instant>,
}

/// Offsets in flight, and their waiters.
pub(super) struct Batch {
    pub(super) offsets: BTreeMap<TopicPartition, u64>,
    waiters: Vec<(TopicPartition, Waiter)>,
}

/// The error of a subscription that is closed.
pub(super) fn closed() -> Error {
    Error::Unavailable("the subscription is closed".to_owned())
}

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions were assigned: each with its start offset, and whether that is committed.
    pub(super) fn on_assigned(&self, partitions: Vec<(TopicPartition, u64, bool)>) {
        let mut state = self.lock();
        for (partition, start, committed) in partitions {
            if !committed {
                state.offsets.waiting.insert(partition.clone(), start);
            }
            state.buffers.insert(partition, Buffer::starting_at(start, committed));
        }
        self.due.notify_one();
    }

    /// Partitions were revoked.
    pub(super) fn on_revoked(&self, partitions: Vec<TopicPartition>) {
        let mut state = self.lock();
        for partition in partitions {
            state.buffers.remove(&partition);
            state.offsets.remove(&partition);
            state.revoked.push(partition);
        }
        self.changed.notify_one();
    }

    /// Adds polled records to a partition's buffer.
    pub(super) fn add(&self, partition: &TopicPartition, records: Vec<Record>) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let (first, end) = (first.offset, last.offset + 1);
        let mut state = self.lock();
        if state.buffers.get(partition).is_some_and(|buffer| first < buffer.end) {
            tracing::warn!(?partition, first, "a topic begins anew; its events are consumed from there");
            state.begin_anew(partition, first);
            self.due.notify_one();
        }
        let Some(buffer) = state.buffers.get_mut(partition) else { return };
        buffer.end = end;
        buffer.skipped = None;
        buffer.bytes += records.iter().map(|record| record.event.value.len()).sum::<usize>();
        buffer.records.extend(records);
        self.changed.notify_one();
    }

    /// By the client's statistics of the moment `emitted` everything before `end` of a partition was fetched and polled.
    pub(super) fn on_end(&self, partition: &TopicPartition, end: u64, emitted: Instant) {
        let mut state = self.lock();
        let Some(buffer) = state.buffers.get_mut(partition) else { return };
        let is_settled = buffer.since.is_some_and(|since| emitted > since + SETTLED);
        if !is_settled || end <= buffer.end {
            return;
        }
        buffer.end = end;
        buffer.skipped = Some(end);
        self.changed.notify_one();
    }

    /// Wakes the client's thread: there is something to poll.
    pub(super) fn wake(&self) {
        self.wakeup.wake();
    }

    /// Waits until the client's thread is woken, at most `longest`.
    pub(super) fn wait(&self, longest: Duration) {
        self.wakeup.wait(longest);
    }

    /// The partitions that the client's thread polls.
    pub(super) fn readable(&self) -> Readable {
        let mut readable = Readable::default();
        for (partition, buffer) in &mut self.lock().buffers {
            readable.assigned.insert(partition.clone());
            if !std::mem::replace(&mut buffer.polled, true) {
                readable.new.push(partition.clone());
            }
            if !buffer.paused && !buffer.is_full() {
                readable.open.push(partition.clone());
            }
        }
        readable
    }

    pub(super) async fn next(&self) -> Result<Next, Error> {
        loop {
            let next = self.lock().next()?;
            if let Some((next, was_full)) = next {
                if was_full {
                    self.wakeup.wake();
                }
                // There may be more, and the notification may have been for a waiter that was dropped.
                self.changed.notify_one();
                return Ok(next);
            }
            self.changed.notified().await;
        }
    }

    /// Queues an offset that the user has finished; the receiver gets the outcome of its commit. None for a partition that
    /// was revoked.
    pub(super) fn finished(
        &self,
        partition: &TopicPartition,
        offset: u64,
    ) -> Result<Option<oneshot::Receiver<Result<(), Error>>>, Error> {
        let mut state = self.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        let found = state.buffers.get(partition);
        let Some((buffer, delivered)) = found.and_then(|buffer| Some((buffer, buffer.delivered?))) else {
            return Ok(None);
        };
        if offset > delivered {
            let TopicPartition { topic, partition } = partition;
            return Err(Error::Invalid(format!(
                "nothing at or after {delivered} of the partition {partition} of `{topic}` was told; {offset} can't be finished"
            )));
        }
        let (waiter, outcome) = oneshot::channel();
        if buffer.committed.is_some_and(|committed| committed >= offset) {
            let _ = waiter.send(Ok(()));
            return Ok(Some(outcome));
        }
        let waiting = state.offsets.waiting.entry(partition.clone()).or_default();
        *waiting = offset.max(*waiting);
        state.offsets.waiters.push((partition.clone(), waiter));
        self.due.notify_one();
        Ok(Some(outcome))
    }

    /// Waits until there are offsets to commit; none when the subscription is closed and no more offsets wait.
    pub(super) fn to_commit(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let early = state.offsets.not_before.and_then(|moment| moment.checked_duration_since(Instant::now()));
            let closed = state.closed.is_some();
            if early.is_none() || closed {
                let batch = state.offsets.take();
                if batch.is_some() || closed {
                    return batch;
                }
            }
            let longest = early.unwrap_or(LONGEST_WAIT);
            let waited = self.due.wait_timeout(state, longest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The waiting offsets; does not block.
    pub(super) fn take(&self) -> Option<Batch> {
        self.lock().offsets.take()
    }

    /// A batch was committed, or failed.
    pub(super) fn on_committed(&self, batch: Batch, answer: Result<(), Error>) {
        let mut state = self.lock();
        state.offsets.in_flight = state.offsets.in_flight.saturating_sub(1);
        let open = state.closed.is_none();
        for (partition, offset) in batch.offsets {
            match (state.buffers.get_mut(&partition), &answer) {
                // A larger one is of before the partition began anew.
                (Some(buffer), Ok(())) if offset <= buffer.end => {
                    buffer.committed = buffer.committed.max(Some(offset));
                }
                // Nothing is delivered before the start offset is committed: that is retried until it is.
                (Some(buffer), Err(_)) if buffer.committed.is_none() && open => {
                    state.offsets.waiting.entry(partition).or_insert(offset);
                }
                _ => {}
            }
        }
        if let Err(error) = &answer {
            tracing::debug!(%error, "offsets were not committed");
            state.offsets.not_before = Some(Instant::now() + PAUSE);
        }
        for (_, waiter) in batch.waiters {
            // The receiver may have been dropped.
            let _ = waiter.send(answer.clone());
        }
        self.changed.notify_one();
    }

    /// Whether offsets wait or are in flight.
    pub(super) fn committing(&self) -> bool {
        let state = self.lock();
        state.offsets.in_flight > 0 || !state.offsets.waiting.is_empty()
    }

    pub(super) fn pause(&self, partition: &TopicPartition, paused: bool) {
        if let Some(buffer) = self.lock().buffers.get_mut(partition) {
            buffer.paused = paused;
        }
        self.changed.notify_one();
        self.wakeup.wake();
    }

    pub(super) fn fail(&self, why: &str) {
        tracing::error!(why, "a subscription to Kafka has ended");
        self.end(Error::Unavailable(why.to_owned()));
    }

    pub(super) fn close(&self) {
        self.end(closed());
    }

    fn end(&self, why: Error) {
        self.lock().closed.get_or_insert(why);
        self.changed.notify_one();
        self.due.notify_one();
        self.wakeup.wake();
    }

    pub(super) fn closing(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// The member has left its group.
    pub(super) fn left(&self) {
        let mut state = self.lock();
        state.buffers.clear();
        // Waiters get the error by the end of their channel.
        state.offsets = Offsets::default();
        self.left.send_replace(true);
    }

    pub(super) async fn until_left(&self) {
        // The sender is in `self`, so the channel can't be closed.
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }
}

impl State {
    /// The next item for the user, and whether its buffer was full.
    fn next(&mut self) -> Result<Option<(Next, bool)>, Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        if !self.revoked.is_empty() {
            return Ok(Some((Next::Revoked(std::mem::take(&mut self.revoked)), false)));
        }
        let ready = |buffer: &Buffer| buffer.committed.is_some() && !buffer.paused && !buffer.records.is_empty();
        let last = self.last.as_ref();
        let mut partitions = self.buffers.iter().filter(|(_, buffer)| ready(buffer)).map(|(partition, _)| partition);
        let first = partitions.clone().next();
        let next = partitions.find(|partition| last.is_none_or(|last| *partition > last)).or(first).cloned();
        let Some(partition) = next else { return Ok(self.next_skipped().map(|next| (next, false))) };
        let Some(buffer) = self.buffers.get_mut(&partition) else { return Ok(None) };
        let was_full = buffer.is_full();
        buffer.bytes = 0;
        let records: Vec<Record> = buffer.records.drain(..).collect();
        buffer.delivered = records.last().map(|record| record.offset + 1);
        self.last = Some(partition.clone());
        Ok(Some((Next::Records(partition, records), was_full)))
    }

    /// A partition of which all records were delivered and something behind them was skipped.
    fn next_skipped(&mut self) -> Option<Next> {
        self.buffers.iter_mut().find_map(|(partition, buffer)| {
            if buffer.committed.is_none() || !buffer.records.is_empty() {
                return None;
            }
            let end = buffer.skipped.take()?;
            buffer.delivered = buffer.delivered.max(Some(end));
            Some(Next::Skipped(partition.clone(), end))
        })
    }

    /// A partition's records begin anew: what was polled, delivered and committed before is not of this topic any more.
    fn begin_anew(&mut self, partition: &TopicPartition, first: u64) {
        let Some(buffer) = self.buffers.get_mut(partition) else { return };
        let polled = buffer.polled;
        *buffer = Buffer { polled, ..Buffer::starting_at(first, false) };
        self.offsets.remove(partition);
        self.offsets.waiting.insert(partition.clone(), first);
        self.revoked.push(partition.clone());
    }
}

impl Offsets {
    /// Drops the offsets of a revoked partition: its next member may have committed larger ones already.
    fn remove(&mut self, revoked: &TopicPartition) {
        self.waiting.remove(revoked);
        for (_, waiter) in self.waiters.extract_if(.., |(partition, _)| partition == revoked) {
            let _ = waiter.send(Err(Error::Unavailable("the partition was handed back before".to_owned())));
        }
    }

    fn take(&mut self) -> Option<Batch> {
        if self.waiting.is_empty() {
            return None;
        }
        self.in_flight += 1;
        Some(Batch { offsets: std::mem::take(&mut self.waiting), waiters: std::mem::take(&mut self.waiters) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

    use super::*;
    use capability::events::Event;

    fn partition() -> TopicPartition {
        TopicPartition { topic: "t".to_owned(), partition: 0 }
    }

    fn record(offset: u64) -> Record {
        let (id, text) = (offset.to_string(), String::new);
        let event = Event {
            id,
            topic: "t".to_owned(),
            key: text(),
            kind: text(),
            value: Vec::new(),
            headers: Vec::new(),
            at: 0,
        };
        Record { partition: 0, offset, event }
    }

    fn records(offsets: std::ops::Range<u64>) -> Vec<Record> {
        offsets.map(record).collect()
    }

    /// Commits what waits.
    fn commit(buffers: &Buffers) -> BTreeMap<TopicPartition, u64> {
        let batch = buffers.take().unwrap();
        let offsets = batch.offsets.clone();
        buffers.on_committed(batch, Ok(()));
        offsets
    }

    fn next(buffers: &Buffers) -> Option<Next> {
        buffers.lock().next().unwrap().map(|(next, _)| next)
    }

    #[test]
    fn a_partition_that_begins_anew_is_told_from_its_first_record_and_committed_from_there() {
        let buffers = Buffers::default();
        buffers.on_assigned(vec![(partition(), 0, true)]);
        buffers.add(&partition(), records(0..40));
        assert_eq!(next(&buffers), Some(Next::Records(partition(), records(0..40))));
        let finished = buffers.finished(&partition(), 40).unwrap().unwrap();
        // This commit is in flight while the topic is made anew.
        let in_flight = buffers.take().unwrap();
        buffers.add(&partition(), records(0..15));
        buffers.on_committed(in_flight, Ok(()));
        assert_eq!(finished.blocking_recv(), Ok(Ok(())));
        assert_eq!(next(&buffers), Some(Next::Revoked(vec![partition()])));
        assert_eq!(next(&buffers), None, "its new start is not committed yet");
        assert!(buffers.finished(&partition(), 40).unwrap().is_none(), "what was told before counts for nothing");
        assert_eq!(commit(&buffers), BTreeMap::from([(partition(), 0)]));
        assert_eq!(next(&buffers), Some(Next::Records(partition(), records(0..15))));
        assert!(buffers.finished(&partition(), 15).unwrap().is_some());
        assert_eq!(commit(&buffers), BTreeMap::from([(partition(), 15)]), "progress goes back");
    }

    #[test]
    fn what_is_no_record_is_skipped_once_everything_before_it_was_told() {
        let buffers = Buffers::default();
        buffers.on_assigned(vec![(partition(), 7, true)]);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        buffers.on_end(&partition(), 100, Instant::now());
        assert_eq!(next(&buffers), None, "that may be of before the assignment");
        buffers.on_end(&partition(), 8, later(5));
        assert_eq!(next(&buffers), Some(Next::Skipped(partition(), 8)));
        assert!(buffers.finished(&partition(), 8).unwrap().is_some(), "it can be committed");
        commit(&buffers);
        buffers.add(&partition(), records(8..10));
        // Of before these were polled.
        buffers.on_end(&partition(), 8, later(6));
        buffers.on_end(&partition(), 12, later(6));
        assert_eq!(next(&buffers), Some(Next::Records(partition(), records(8..10))));
        assert_eq!(next(&buffers), Some(Next::Skipped(partition(), 12)));
        assert_eq!(next(&buffers), None);
        // A record that comes behind it says more.
        buffers.on_end(&partition(), 13, later(7));
        buffers.add(&partition(), records(13..14));
        assert_eq!(next(&buffers), Some(Next::Records(partition(), records(13..14))));
        assert_eq!(next(&buffers), None);
    }
}
