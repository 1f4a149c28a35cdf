//! A lane: work of one socket, in the order in which it came, one thing at a time.
//!
//! The Socket.IO server runs every message in a task of its own, so that two of them may overtake each other; what calls
//! a component goes through here instead. A lane costs nothing while nothing is in it: its task ends with the work.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing to do.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work in order.
#[derive(Default)]
pub(super) struct Lane(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<(usize, Work)>,
    bytes: usize,
    running: bool,
}

/// How much may wait in a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Things at once.
    pub(super) length: usize,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

impl Lane {
    /// Whether work of so many bytes may be put in. What runs only makes more room, so the one who puts in may rely on it.
    pub(super) fn has(&self, room: Room, bytes: usize) -> bool {
        let state = self.state();
        state.waiting.len() < room.length && state.bytes.saturating_add(bytes) <= room.bytes
    }

    /// Puts work of so many bytes at the end. A panic in it ends it alone.
    pub(super) fn push(self: &Arc<Self>, bytes: usize, work: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        state.bytes += bytes;
        state.waiting.push_back((bytes, Box::pin(work)));
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(self.clone().run());
        }
    }

    async fn run(self: Arc<Self>) {
        while let Some(work) = self.next() {
            // In a task of its own, so that a panic is that one's end and not the lane's.
            if let Err(error) = tokio::spawn(work).await {
                tracing::error!(%error, "work of a socket did not end");
            }
        }
    }

    /// Takes what is first; with nothing left, says that the lane does not run any more.
    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        match state.waiting.pop_front() {
            Some((bytes, work)) => {
                state.bytes -= bytes;
                Some(work)
            }
            None => {
                *state = State::default();
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn work_is_done_in_order_whatever_it_takes() {
        let lanes: Vec<Arc<Lane>> = (0..20).map(|_| Arc::default()).collect();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..500_u64 {
            for (at, lane) in lanes.iter().enumerate() {
                let sender = sender.clone();
                let delay = Duration::from_micros((n * 7_919 + at as u64 * 104_729) % 300);
                lane.push(1, async move {
                    tokio::time::sleep(delay).await;
                    sender.send((at, n)).unwrap();
                });
            }
        }
        drop(sender);
        let mut next = [0; 20];
        while let Some((at, n)) = receiver.recv().await {
            assert_eq!(n, next[at], "lane {at}");
            next[at] += 1;
        }
        assert_eq!(next, [500; 20]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_thing_only() {
        let lane = Arc::new(Lane::default());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        lane.push(1, async { panic!("on purpose") });
        lane.push(1, async move { sender.send(()).unwrap() });
        receiver.await.unwrap();
    }

    #[tokio::test]
    async fn a_lane_has_room_in_number_and_in_bytes() {
        let lane = Arc::new(Lane::default());
        let room = Room { length: 2, bytes: 10 };
        assert!(!lane.has(room, 11));
        lane.push(6, std::future::pending());
        assert!(!lane.has(room, 6));
        assert!(lane.has(room, 4));
        lane.push(4, async {});
        assert!(!lane.has(room, 0));
    }
}
