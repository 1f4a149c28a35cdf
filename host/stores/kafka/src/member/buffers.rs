//! The buffers of a member: polled records per partition, and the offsets to commit.
//!
//! Offsets that are finished while a commit is in flight go into the next one.

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
    /// The offset after the last delivered record.
    delivered: Option<u64>,
    /// The committed offset; none as long as not even the start offset is committed.
    committed: Option<u64>,
    paused: bool,
    /// The client's thread polls the partition's own queue.
    polled: bool,
}

impl Buffer {
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
            let committed = committed.then_some(start);
            state.buffers.insert(partition, Buffer { committed, ..Buffer::default() });
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
        let mut state = self.lock();
        let Some(buffer) = state.buffers.get_mut(partition) else { return };
        buffer.bytes += records.iter().map(|record| record.event.value.len()).sum::<usize>();
        buffer.records.extend(records);
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
                (Some(buffer), Ok(())) => buffer.committed = buffer.committed.max(Some(offset)),
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
        let Some(partition) = next else { return Ok(None) };
        let Some(buffer) = self.buffers.get_mut(&partition) else { return Ok(None) };
        let was_full = buffer.is_full();
        buffer.bytes = 0;
        let records: Vec<Record> = buffer.records.drain(..).collect();
        buffer.delivered = records.last().map(|record| record.offset + 1);
        self.last = Some(partition.clone());
        Ok(Some((Next::Records(partition, records), was_full)))
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
