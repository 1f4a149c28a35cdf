//! A queue: the messages of one socket, handled in order and one at a time.
//!
//! The Socket.IO server runs every message in a task of its own, so that two of them may overtake each other; calls of
//! components are queued here instead. An empty queue has no task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The handling of one message.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The queue of one socket.
#[derive(Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<(usize, Work)>,
    bytes: usize,
    running: bool,
}

/// How much may wait in a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    /// Messages.
    pub(super) length: usize,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

impl Queue {
    /// Whether there is room for work of so many bytes. Other tasks only make more room, so a single producer may rely on it.
    pub(super) fn has_room(&self, capacity: Capacity, bytes: usize) -> bool {
        let state = self.state();
        state.waiting.len() < capacity.length && state.bytes.saturating_add(bytes) <= capacity.bytes
    }

    /// Appends work of so many bytes. A panic in it does not end the queue.
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
            // In a task of its own, so that a panic ends only that task.
            if let Err(error) = tokio::spawn(work).await {
                tracing::error!(%error, "the handling of a socket's message did not finish");
            }
        }
    }

    /// Takes the first work; when there is none, the queue has no task from here on.
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
        let queues: Vec<Arc<Queue>> = (0..20).map(|_| Arc::default()).collect();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..500_u64 {
            for (at, queue) in queues.iter().enumerate() {
                let sender = sender.clone();
                let delay = Duration::from_micros((n * 7_919 + at as u64 * 104_729) % 300);
                queue.push(1, async move {
                    tokio::time::sleep(delay).await;
                    sender.send((at, n)).unwrap();
                });
            }
        }
        drop(sender);
        let mut next = [0; 20];
        while let Some((at, n)) = receiver.recv().await {
            assert_eq!(n, next[at], "queue {at}");
            next[at] += 1;
        }
        assert_eq!(next, [500; 20]);
    }

    #[tokio::test]
    async fn a_panic_ends_one_thing_only() {
        let queue = Arc::new(Queue::default());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        queue.push(1, async { panic!("on purpose") });
        queue.push(1, async move { sender.send(()).unwrap() });
        receiver.await.unwrap();
    }

    #[tokio::test]
    async fn a_lane_has_room_in_number_and_in_bytes() {
        let queue = Arc::new(Queue::default());
        let capacity = Capacity { length: 2, bytes: 10 };
        assert!(!queue.has_room(capacity, 11));
        queue.push(6, std::future::pending());
        assert!(!queue.has_room(capacity, 6));
        assert!(queue.has_room(capacity, 4));
        queue.push(4, async {});
        assert!(!queue.has_room(capacity, 0));
    }
}
