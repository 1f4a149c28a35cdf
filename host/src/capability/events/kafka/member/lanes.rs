//! The lanes of a member: the records that wait to be told, a partition each, and the offsets that wait to be remembered.
//!
//! What is finished while offsets are on their way goes together with the next ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use crate::capability::events::{Error, Next, Place, Record};

/// A lane with as much as this is full.
const FULL: usize = 2_000;
/// The same, in bytes of values.
const FULL_BYTES: usize = 4 << 20;
/// How long a request with offsets that failed is not sent again.
const PAUSE: Duration = Duration::from_millis(200);
/// Nothing depends on this one: who waits is woken.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Remembered = oneshot::Sender<Result<(), Error>>;

/// What the thread and the user share.
#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    /// There is something for the user.
    changed: Notify,
    /// There are offsets to remember, or none will come any more.
    due: Condvar,
    /// There is something for the client's thread.
    bell: Bell,
    gone: watch::Sender<bool>,
}

/// Wakes the client's thread. Rung while nobody waits, the next wait is over at once.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }

    fn wait(&self, longest: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ringing.wait_timeout_while(rung, longest, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<Place, Lane>,
    taken: Vec<Place>,
    last: Option<Place>,
    /// Why there is nothing more.
    closed: Option<Error>,
    offsets: Offsets,
}

/// One partition.
#[derive(Default)]
struct Lane {
    records: VecDeque<Record>,
    bytes: usize,
    told: Option<u64>,
    /// What the group is known to have finished; none as long as not even its beginning is remembered.
    remembered: Option<u64>,
    paused: bool,
    /// The client's thread reads the partition's own queue.
    read: bool,
}

impl Lane {
    fn is_full(&self) -> bool {
        self.records.len() >= FULL || self.bytes >= FULL_BYTES
    }
}

/// Which partitions the client's thread is to read.
#[derive(Default)]
pub(super) struct Turns {
    /// All that are this member's.
    pub(super) all: BTreeSet<Place>,
    /// Those that came since it was asked last. They have no queue of their own yet, or an old one.
    pub(super) came: Vec<Place>,
    /// Those with room whose user wants more.
    pub(super) open: Vec<Place>,
}

/// What is to be remembered.
#[derive(Default)]
struct Offsets {
    waiting: BTreeMap<Place, u64>,
    waiters: Vec<(Place, Remembered)>,
    /// How many batches are on their way.
    flying: u32,
    not_before: Option<Instant>,
}

/// Offsets on their way, and who waits for them.
pub(super) struct Batch {
    pub(super) offsets: BTreeMap<Place, u64>,
    waiters: Vec<(Place, Remembered)>,
}

/// The error of a subscription that is closed.
pub(super) fn closed() -> Error {
    Error::Unavailable("the subscription is closed".to_owned())
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions that came, where they begin, and whether that is remembered.
    pub(super) fn came(&self, places: Vec<(Place, u64, bool)>) {
        let mut state = self.lock();
        for (place, begins, remembered) in places {
            if !remembered {
                state.offsets.waiting.insert(place.clone(), begins);
            }
            let remembered = remembered.then_some(begins);
            state.lanes.insert(place, Lane { remembered, ..Lane::default() });
        }
        self.due.notify_one();
    }

    /// Partitions that another member has.
    pub(super) fn went(&self, places: Vec<Place>) {
        let mut state = self.lock();
        for place in places {
            state.lanes.remove(&place);
            state.offsets.leave_out(&place);
            state.taken.push(place);
        }
        self.changed.notify_one();
    }

    /// Records that the client got; true when there is room for more.
    pub(super) fn add(&self, place: &Place, records: Vec<Record>) {
        let mut state = self.lock();
        let Some(lane) = state.lanes.get_mut(place) else { return };
        lane.bytes += records.iter().map(|record| record.event.value.len()).sum::<usize>();
        lane.records.extend(records);
        self.changed.notify_one();
    }

    /// Wakes the client's thread: something came for it.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Waits until there may be something for the client's thread, but not longer.
    pub(super) fn wait(&self, longest: Duration) {
        self.bell.wait(longest);
    }

    /// What the client's thread is to read.
    pub(super) fn turns(&self) -> Turns {
        let mut turns = Turns::default();
        for (place, lane) in &mut self.lock().lanes {
            turns.all.insert(place.clone());
            if !std::mem::replace(&mut lane.read, true) {
                turns.came.push(place.clone());
            }
            if !lane.paused && !lane.is_full() {
                turns.open.push(place.clone());
            }
        }
        turns
    }

    pub(super) async fn next(&self) -> Result<Next, Error> {
        loop {
            let next = self.lock().next()?;
            if let Some((next, was_full)) = next {
                if was_full {
                    self.bell.ring();
                }
                // There may be more, and the waking may have been for somebody who is gone.
                self.changed.notify_one();
                return Ok(next);
            }
            self.changed.notified().await;
        }
    }

    /// What the user has finished; the receiver learns when it is remembered. None for a partition that has gone.
    pub(super) fn finished(
        &self,
        place: &Place,
        offset: u64,
    ) -> Result<Option<oneshot::Receiver<Result<(), Error>>>, Error> {
        let mut state = self.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        let Some((lane, told)) = state.lanes.get(place).and_then(|lane| Some((lane, lane.told?))) else {
            return Ok(None);
        };
        if offset > told {
            let Place { topic, partition } = place;
            return Err(Error::Invalid(format!(
                "nothing at or after {told} of the partition {partition} of `{topic}` was told; {offset} can't be finished"
            )));
        }
        let (waiter, remembered) = oneshot::channel();
        if lane.remembered.is_some_and(|already| already >= offset) {
            let _ = waiter.send(Ok(()));
            return Ok(Some(remembered));
        }
        let waiting = state.offsets.waiting.entry(place.clone()).or_default();
        *waiting = offset.max(*waiting);
        state.offsets.waiters.push((place.clone(), waiter));
        self.due.notify_one();
        Ok(Some(remembered))
    }

    /// Waits until there are offsets to remember; none when the subscription is closed and all of them are.
    pub(super) fn to_remember(&self) -> Option<Batch> {
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

    /// The offsets that wait, without waiting.
    pub(super) fn take(&self) -> Option<Batch> {
        self.lock().offsets.take()
    }

    /// How it went with offsets.
    pub(super) fn answered(&self, batch: Batch, answer: Result<(), Error>) {
        let mut state = self.lock();
        state.offsets.flying = state.offsets.flying.saturating_sub(1);
        let open = state.closed.is_none();
        for (place, offset) in batch.offsets {
            match (state.lanes.get_mut(&place), &answer) {
                (Some(lane), Ok(())) => lane.remembered = lane.remembered.max(Some(offset)),
                // Without its beginning nothing of it is told: that is asked for until it is remembered.
                (Some(lane), Err(_)) if lane.remembered.is_none() && open => {
                    state.offsets.waiting.entry(place).or_insert(offset);
                }
                _ => {}
            }
        }
        if let Err(error) = &answer {
            tracing::debug!(%error, "offsets were not remembered");
            state.offsets.not_before = Some(Instant::now() + PAUSE);
        }
        for (_, waiter) in batch.waiters {
            // Who asked may be gone.
            let _ = waiter.send(answer.clone());
        }
        self.changed.notify_one();
    }

    /// Whether offsets wait or are on their way.
    pub(super) fn remembering(&self) -> bool {
        let state = self.lock();
        state.offsets.flying > 0 || !state.offsets.waiting.is_empty()
    }

    pub(super) fn pause(&self, place: &Place, paused: bool) {
        if let Some(lane) = self.lock().lanes.get_mut(place) {
            lane.paused = paused;
        }
        self.changed.notify_one();
        self.bell.ring();
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
        self.bell.ring();
    }

    pub(super) fn closing(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// The member has left its group.
    pub(super) fn left(&self) {
        let mut state = self.lock();
        state.lanes.clear();
        // Those who wait are told by the end of their channel.
        state.offsets = Offsets::default();
        self.gone.send_replace(true);
    }

    pub(super) async fn until_left(&self) {
        // The sender is here, so it can't have ended.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }
}

impl State {
    /// What is next for the user, and whether its lane was full.
    fn next(&mut self) -> Result<Option<(Next, bool)>, Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        if !self.taken.is_empty() {
            return Ok(Some((Next::Taken(std::mem::take(&mut self.taken)), false)));
        }
        let ready = |lane: &Lane| lane.remembered.is_some() && !lane.paused && !lane.records.is_empty();
        let last = self.last.as_ref();
        let mut places = self.lanes.iter().filter(|(_, lane)| ready(lane)).map(|(place, _)| place);
        let first = places.clone().next();
        let Some(place) = places.find(|place| last.is_none_or(|last| *place > last)).or(first).cloned() else {
            return Ok(None);
        };
        let Some(lane) = self.lanes.get_mut(&place) else { return Ok(None) };
        let was_full = lane.is_full();
        lane.bytes = 0;
        let records: Vec<Record> = lane.records.drain(..).collect();
        lane.told = records.last().map(|record| record.offset + 1);
        self.last = Some(place.clone());
        Ok(Some((Next::Records(place, records), was_full)))
    }
}

impl Offsets {
    /// The next member may be further already: nothing of this one is to come after.
    fn leave_out(&mut self, gone: &Place) {
        self.waiting.remove(gone);
        for (_, waiter) in self.waiters.extract_if(.., |(place, _)| place == gone) {
            let _ = waiter.send(Err(Error::Unavailable("the partition was handed back before".to_owned())));
        }
    }

    fn take(&mut self) -> Option<Batch> {
        if self.waiting.is_empty() {
            return None;
        }
        self.flying += 1;
        Some(Batch { offsets: std::mem::take(&mut self.waiting), waiters: std::mem::take(&mut self.waiters) })
    }
}
