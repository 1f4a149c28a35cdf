//! A partition that this host has: its events in lanes, one a key, and how many there may be.
//!
//! The consumer puts in, each lane's own task takes out; a lock that nobody holds while waiting orders the two. When the
//! partition goes to another host, `over` says so, and the lanes end without finishing what they have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::progress::Progress;
use crate::capability::events::{Place, Record};

/// How far a partition may be ahead of its oldest unfinished event.
const AHEAD: u64 = 10_000;
/// How many events may wait in memory.
const WAITING: usize = 2_000;
/// How many bytes of values they may have.
const BYTES: usize = 8 << 20;

/// One of the partitions.
pub(super) struct Partition {
    pub(super) place: Place,
    /// That of its place.
    pub(super) topic: Arc<str>,
    over: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    progress: Progress,
    /// What waits, by key. Where a key has a lane, a task is at work on it.
    lanes: HashMap<String, VecDeque<Record>>,
    waiting: usize,
    bytes: usize,
    paused: bool,
}

impl State {
    /// What the subscription is to be told: to pause (true) or to go on.
    fn turn(&mut self) -> Option<bool> {
        let full = |share: usize| {
            let ahead = self.progress.ahead().saturating_mul(share as u64) > AHEAD;
            ahead || self.waiting * share > WAITING || self.bytes * share > BYTES
        };
        // It goes on when there is room for half of it, so that it does not stop again at once.
        let paused = if self.paused { full(2) } else { full(1) };
        (std::mem::replace(&mut self.paused, paused) != paused).then_some(paused)
    }
}

impl Partition {
    pub(super) fn new(place: Place) -> Self {
        let topic = place.topic.as_str().into();
        Self { place, topic, over: watch::Sender::new(false), state: Mutex::default() }
    }

    /// Takes events in; the keys whose lanes were empty are answered, and somebody has to begin with them. `wanted` says
    /// which events are told at all.
    pub(super) fn put(&self, records: Vec<Record>, wanted: impl Fn(&Record) -> bool) -> Vec<String> {
        let mut state = self.state();
        let mut begun = Vec::new();
        for record in records {
            state.progress.begin(record.offset);
            if !wanted(&record) {
                state.progress.finish(record.offset);
                continue;
            }
            state.waiting += 1;
            state.bytes += record.event.value.len();
            if let Some(lane) = state.lanes.get_mut(&record.event.key) {
                lane.push_back(record);
            } else {
                begun.push(record.event.key.clone());
                state.lanes.insert(record.event.key.clone(), VecDeque::from([record]));
            }
        }
        begun
    }

    /// Up to `most` events of a key, the oldest ones. None when there are none left or it is over: then the lane is gone.
    pub(super) fn take(&self, key: &str, most: usize) -> Option<Vec<Record>> {
        let mut state = self.state();
        let lane = state.lanes.get_mut(key)?;
        if lane.is_empty() || *self.over.borrow() {
            state.lanes.remove(key);
            return None;
        }
        let taken = lane.drain(..most.min(lane.len()));
        Some(taken.collect())
    }

    /// An event is finished, or will not be by this host.
    pub(super) fn finish(&self, record: &Record) {
        let mut state = self.state();
        state.progress.finish(record.offset);
        state.waiting = state.waiting.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(record.event.value.len());
    }

    /// Whether the subscription is to be paused (true) or to go on (false), where that has changed.
    pub(super) fn turn(&self) -> Option<bool> {
        self.state().turn()
    }

    /// The offset that is to be remembered, where there is one that is not.
    pub(super) fn to_remember(&self) -> Option<u64> {
        self.state().progress.to_remember()
    }

    /// It is remembered that everything before this offset is finished.
    pub(super) fn remember(&self, offset: u64) {
        self.state().progress.remember(offset);
    }

    /// Nothing of it is begun any more.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Returns when it is over.
    pub(super) async fn until_over(&self) {
        // The sender is here, so it can't be gone.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::events::Event;

    fn record(offset: u64, key: &str, bytes: usize) -> Record {
        let event = Event {
            id: offset.to_string(),
            topic: "t".into(),
            key: key.into(),
            kind: "K".into(),
            value: vec![0; bytes],
            headers: Vec::new(),
            at: 0,
        };
        Record { partition: 0, offset, event }
    }

    fn partition() -> Partition {
        Partition::new(Place { topic: "t".into(), partition: 0 })
    }

    #[test]
    fn a_lane_has_the_events_of_its_key_in_order() {
        let partition = partition();
        let begun = partition.put(vec![record(0, "a", 1), record(1, "b", 1), record(2, "a", 1)], |_| true);
        assert_eq!(begun, ["a", "b"]);
        assert!(partition.put(vec![record(3, "a", 1)], |_| true).is_empty());
        let offsets = |records: Vec<Record>| records.iter().map(|record| record.offset).collect::<Vec<_>>();
        assert_eq!(offsets(partition.take("a", 2).unwrap()), [0, 2]);
        assert_eq!(offsets(partition.take("a", 2).unwrap()), [3]);
        assert!(partition.take("a", 2).is_none());
        assert_eq!(partition.put(vec![record(4, "a", 1)], |_| true), ["a"], "the lane was gone");
        partition.end();
        assert!(partition.take("b", 1).is_none());
    }

    #[test]
    fn it_stops_when_it_is_full_and_goes_on_at_the_half() {
        let partition = partition();
        let all: Vec<Record> = (0..=WAITING as u64).map(|offset| record(offset, "a", 1)).collect();
        partition.put(all.clone(), |_| true);
        assert_eq!((partition.turn(), partition.turn()), (Some(true), None));
        for record in &all[..WAITING / 2] {
            partition.finish(record);
            assert_eq!(partition.turn(), None);
        }
        partition.finish(&all[WAITING / 2]);
        assert_eq!(partition.turn(), Some(false));
    }

    #[test]
    fn large_events_and_one_that_is_stuck_stop_it_too() {
        let large = partition();
        large.put(vec![record(0, "a", BYTES + 1)], |_| true);
        assert_eq!(large.turn(), Some(true));
        let stuck = partition();
        stuck.put(vec![record(0, "a", 1)], |_| true);
        stuck.put((1..=AHEAD).map(|offset| record(offset, "b", 1)).collect(), |_| false);
        assert_eq!(stuck.turn(), Some(true));
        stuck.finish(&record(0, "a", 1));
        assert_eq!((stuck.turn(), stuck.to_remember()), (Some(false), Some(AHEAD + 1)));
    }
}
