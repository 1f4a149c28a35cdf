//! An assigned partition: its waiting events in lanes, one per key, and how many may wait.
//!
//! The consumer enqueues, each lane's task dequeues; a lock that is never held across an await orders them. When the
//! partition is revoked or the consumer closes, it is stopped: lanes end and start no further delivery.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::event::progress::Progress;
use capability::events::{Record, TopicPartition};

/// How far a partition may be ahead of its oldest unfinished event, in offsets.
const MAX_AHEAD: u64 = 10_000;
/// How many events may wait in memory.
const MAX_WAITING: usize = 2_000;
/// How many bytes of values they may have.
const MAX_BYTES: usize = 8 << 20;

/// One partition.
pub(super) struct Partition {
    pub(super) topic_partition: TopicPartition,
    /// The topic of `topic_partition`.
    pub(super) topic: Arc<str>,
    stopped: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    progress: Progress,
    /// Waiting events by key. A key with a lane has a task that delivers its events.
    lanes: HashMap<String, VecDeque<Record>>,
    waiting: usize,
    bytes: usize,
    paused: bool,
}

impl State {
    /// Whether the partition is to be paused (true) or resumed (false), where that has changed.
    fn pause_change(&mut self) -> Option<bool> {
        let full = |share: usize| {
            let ahead = self.progress.ahead().saturating_mul(share as u64) > MAX_AHEAD;
            ahead || self.waiting * share > MAX_WAITING || self.bytes * share > MAX_BYTES
        };
        // Resumed at half of each limit, so that it is not paused again at once.
        let paused = if self.paused { full(2) } else { full(1) };
        (std::mem::replace(&mut self.paused, paused) != paused).then_some(paused)
    }
}

impl Partition {
    pub(super) fn new(topic_partition: TopicPartition) -> Self {
        let topic = topic_partition.topic.as_str().into();
        Self { topic_partition, topic, stopped: watch::Sender::new(false), state: Mutex::default() }
    }

    /// Enqueues events and returns the keys that got a new lane; the caller has to start a task for each. Events that are
    /// not `wanted` count as finished.
    pub(super) fn enqueue(&self, records: Vec<Record>, wanted: impl Fn(&Record) -> bool) -> Vec<String> {
        let mut state = self.state();
        let mut new_lanes = Vec::new();
        for record in records {
            state.progress.start(record.offset);
            if !wanted(&record) {
                state.progress.finish(record.offset);
                continue;
            }
            state.waiting += 1;
            state.bytes += record.event.value.len();
            if let Some(lane) = state.lanes.get_mut(&record.event.key) {
                lane.push_back(record);
            } else {
                new_lanes.push(record.event.key.clone());
                state.lanes.insert(record.event.key.clone(), VecDeque::from([record]));
            }
        }
        new_lanes
    }

    /// Before `offset` there are no further events.
    pub(super) fn skip_to(&self, offset: u64) {
        self.state().progress.skip_to(offset);
    }

    /// The oldest events of a key, at most `max`. None when none is left or the partition is stopped: then the lane is
    /// removed.
    pub(super) fn dequeue(&self, key: &str, max: usize) -> Option<Vec<Record>> {
        let mut state = self.state();
        let lane = state.lanes.get_mut(key)?;
        if lane.is_empty() || *self.stopped.borrow() {
            state.lanes.remove(key);
            return None;
        }
        let taken = lane.drain(..max.min(lane.len()));
        Some(taken.collect())
    }

    /// An event is processed, or this host will not process it.
    pub(super) fn finish(&self, record: &Record) {
        let mut state = self.state();
        state.progress.finish(record.offset);
        state.waiting = state.waiting.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(record.event.value.len());
    }

    /// Whether the subscription has to pause (true) or resume (false) the partition, where that has changed.
    pub(super) fn pause_change(&self) -> Option<bool> {
        self.state().pause_change()
    }

    /// The offset to commit, where it is beyond the committed one.
    pub(super) fn to_commit(&self) -> Option<u64> {
        self.state().progress.to_commit()
    }

    /// The offset is committed.
    pub(super) fn committed(&self, offset: u64) {
        self.state().progress.committed(offset);
    }

    /// No further delivery starts.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether it is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Returns when it is stopped.
    pub(super) async fn until_stopped(&self) {
        // `self` owns the sender, so the channel can't be closed.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capability::events::Event;

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
        Partition::new(TopicPartition { topic: "t".into(), partition: 0 })
    }

    #[test]
    fn a_lane_has_the_events_of_its_key_in_order() {
        let partition = partition();
        let new_lanes = partition.enqueue(vec![record(0, "a", 1), record(1, "b", 1), record(2, "a", 1)], |_| true);
        assert_eq!(new_lanes, ["a", "b"]);
        assert!(partition.enqueue(vec![record(3, "a", 1)], |_| true).is_empty());
        let offsets = |records: Vec<Record>| records.iter().map(|record| record.offset).collect::<Vec<_>>();
        assert_eq!(offsets(partition.dequeue("a", 2).unwrap()), [0, 2]);
        assert_eq!(offsets(partition.dequeue("a", 2).unwrap()), [3]);
        assert!(partition.dequeue("a", 2).is_none());
        assert_eq!(partition.enqueue(vec![record(4, "a", 1)], |_| true), ["a"], "the lane was removed");
        partition.stop();
        assert!(partition.dequeue("b", 1).is_none());
    }

    #[test]
    fn it_stops_when_it_is_full_and_goes_on_at_the_half() {
        let partition = partition();
        let all: Vec<Record> = (0..=MAX_WAITING as u64).map(|offset| record(offset, "a", 1)).collect();
        partition.enqueue(all.clone(), |_| true);
        assert_eq!((partition.pause_change(), partition.pause_change()), (Some(true), None));
        for record in &all[..MAX_WAITING / 2] {
            partition.finish(record);
            assert_eq!(partition.pause_change(), None);
        }
        partition.finish(&all[MAX_WAITING / 2]);
        assert_eq!(partition.pause_change(), Some(false));
    }

    #[test]
    fn large_events_and_one_that_is_stuck_stop_it_too() {
        let large = partition();
        large.enqueue(vec![record(0, "a", MAX_BYTES + 1)], |_| true);
        assert_eq!(large.pause_change(), Some(true));
        let stuck = partition();
        stuck.enqueue(vec![record(0, "a", 1)], |_| true);
        stuck.enqueue((1..=MAX_AHEAD).map(|offset| record(offset, "b", 1)).collect(), |_| false);
        assert_eq!(stuck.pause_change(), Some(true));
        stuck.finish(&record(0, "a", 1));
        assert_eq!((stuck.pause_change(), stuck.to_commit()), (Some(false), Some(MAX_AHEAD + 1)));
    }
}
