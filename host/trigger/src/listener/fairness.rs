//! Fairness among connections: many requests of one of them do not go before a single one of another.
//!
//! The runtime runs what is ready in the order in which it became so. A connection with a hundred requests would have a hundred
//! places in that order, so those that come with others start one after the other. Refusals, which cost a client nothing, are
//! sent at a pace. The connections of trusted proxies carry many clients, and are left alone.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;

/// Between two refusals, on average: they take a small part of a core.
const BETWEEN: Duration = Duration::from_micros(250);
/// What was not used of the pace in so long may be used at once.
const SAVED: Duration = Duration::from_millis(25);
/// No refusal waits longer, also behind those of clients that are gone by now.
const MOST: Duration = Duration::from_secs(5);

/// What all connections of a listener share.
pub(super) struct Fairness {
    /// When the next refusal is due.
    next_refusal: Mutex<Instant>,
}

/// The queues of one connection: it has one place in those of all.
#[derive(Default)]
pub(super) struct Queues {
    start: tokio::sync::Mutex<()>,
    refusal: tokio::sync::Mutex<()>,
}

impl Queues {
    /// Polls a response for the first time, when its turn has come and all that is ready has run: this is where a request is
    /// checked, and refused or taken in. None: it is not there yet.
    pub(super) async fn start<F: Future>(&self, mut response: Pin<&mut F>) -> Option<F::Output> {
        let _of_connection = self.start.lock().await;
        tokio::task::yield_now().await;
        std::future::poll_fn(|context| match response.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

impl Fairness {
    pub(super) fn new() -> Self {
        Self { next_refusal: Mutex::new(Instant::now()) }
    }

    /// Waits until a response with this status may be sent: at once unless it is a refusal.
    pub(super) async fn pace(&self, queues: &Queues, status: StatusCode) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let _of_connection = queues.refusal.lock().await;
        let now = Instant::now();
        let due = self.due(now);
        if due > now {
            tokio::time::sleep_until(due).await;
        }
    }

    /// When the refusal that comes now is due.
    fn due(&self, now: Instant) -> Instant {
        let mut next = self.next_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.checked_sub(SAVED).map_or(*next, |earliest| earliest.max(*next)).min(now + MOST);
        *next = due + BETWEEN;
        due
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn refusals_have_a_pace_and_few_at_once_have_none() {
        let fairness = Fairness::new();
        // The first second was quiet.
        let now = Instant::now() + Duration::from_secs(1);
        let at_once = (0..).take_while(|_| fairness.due(now) <= now).count();
        assert_eq!(at_once, 101);
        // One of those was counted that is due later.
        let due: Vec<Duration> = (0..4_000).map(|_| fairness.due(now) - now).collect();
        assert_eq!(due.first(), Some(&(2 * BETWEEN)));
        assert_eq!(due.last(), Some(&(4_001 * BETWEEN)), "a second for four thousand");
        let later = now + Duration::from_secs(9);
        assert!(fairness.due(later) <= later, "it is quiet again");
        // Clients that send many requests and take none of the answers.
        let longest = (0..100_000).map(|_| fairness.due(later) - later).max();
        assert_eq!(longest, Some(MOST));
        assert!(fairness.due(later + 2 * MOST) <= later + 2 * MOST);
    }

    #[tokio::test]
    async fn what_is_no_refusal_is_sent_at_once() {
        let (fairness, queues) = (Fairness::new(), Queues::default());
        *fairness.next_refusal.lock().unwrap() = Instant::now() + Duration::from_secs(3_600);
        for status in [200, 101, 304, 400, 401, 404, 500] {
            fairness.pace(&queues, StatusCode::from_u16(status).unwrap()).await;
        }
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            let mut waiting = pin!(fairness.pace(&queues, status));
            let polled = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "{status}");
        }
    }

    /// A hundred requests of one connection, and one of another that comes last.
    #[tokio::test]
    async fn many_requests_of_a_connection_start_one_after_the_other() {
        let begun = Arc::new(AtomicUsize::new(0));
        let request = |queues: &Arc<Queues>| {
            let (queues, begun) = (queues.clone(), begun.clone());
            tokio::spawn(async move {
                let mut response = pin!(async {
                    let before = begun.fetch_add(1, Ordering::Relaxed);
                    // It waits for a store, and others start meanwhile.
                    tokio::task::yield_now().await;
                    before
                });
                match queues.start(response.as_mut()).await {
                    Some(before) => before,
                    None => response.await,
                }
            })
        };
        let (greedy, modest) = (Arc::<Queues>::default(), Arc::<Queues>::default());
        let many: Vec<_> = (0..100).map(|_| request(&greedy)).collect();
        let before = request(&modest).await.unwrap();
        assert!(before < 10, "{before} of the other connection were before it");
        for request in many {
            request.await.unwrap();
        }
        assert_eq!(begun.load(Ordering::Relaxed), 101, "and all of them are answered");
    }
}
