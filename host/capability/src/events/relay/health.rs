//! The health of the log: known from appends and, while there are none, from pings. Logged once when it stops answering, and
//! once when it answers again.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::events::Error;
use crate::events::relay::Work;

/// How long an answer of the log counts before it is pinged.
const FRESH: Duration = Duration::from_secs(2);
/// In every how many rounds an empty outbox is counted.
const SELDOM: u32 = 15;

/// Whether the log answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers, as far as is known.
    Up,
    /// It does not answer.
    Down {
        /// The first time that it did not answer.
        since: Instant,
        /// The last error.
        why: String,
    },
}

/// The status of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether the log answers.
    pub log: Health,
    /// How many events are in the outbox, counted at most a few seconds ago; none when it could not be counted.
    pub waiting: Option<u64>,
    /// How many events this host has moved since it started.
    pub moved: u64,
    /// How many shards it has now.
    pub shards: u32,
}

/// The last known state of the log.
pub(super) struct LogMonitor(Mutex<Known>);

struct Known {
    status: Status,
    answered: Option<Instant>,
}

impl Default for LogMonitor {
    fn default() -> Self {
        let status = Status { log: Health::Up, waiting: None, moved: 0, shards: 0 };
        Self(Mutex::new(Known { status, answered: None }))
    }
}

impl LogMonitor {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// The log has acknowledged this many events, or answered without any.
    pub(super) fn up(&self, moved: u64) {
        let mut known = self.lock();
        known.answered = Some(Instant::now());
        known.status.moved += moved;
        if let Health::Down { since, .. } = std::mem::replace(&mut known.status.log, Health::Up) {
            drop(known);
            tracing::info!(away = ?since.elapsed(), "the event log is back");
        }
    }

    /// The log did not answer a request that started at `begun`.
    pub(super) fn down(&self, begun: Instant, error: &Error) {
        let mut known = self.lock();
        // It has answered another request since.
        if known.answered.is_some_and(|answered| answered > begun) {
            return;
        }
        let why = error.to_string();
        match &mut known.status.log {
            Health::Down { why: before, .. } => *before = why,
            log @ Health::Up => {
                *log = Health::Down { since: Instant::now(), why };
                drop(known);
                tracing::warn!(%error, "the event log does not answer; events wait until it does");
            }
        }
    }

    /// This host has this many shards.
    pub(super) fn set_shards(&self, shards: usize) {
        self.lock().status.shards = u32::try_from(shards).unwrap_or(u32::MAX);
    }

    fn is_fresh(&self) -> bool {
        self.lock().answered.is_some_and(|answered| answered.elapsed() < FRESH)
    }

    fn set_waiting(&self, waiting: Option<u64>) {
        self.lock().status.waiting = waiting;
    }
}

/// Counts the events in the outbox, and pings the log when there are no appends. An outbox that was empty is counted again when a
/// shard was woken, and now and then.
pub(super) async fn watch(work: &Work) {
    for round in 0_u32.. {
        let woken = work.woken.swap(false, Ordering::Relaxed);
        if woken || work.monitor.status().waiting != Some(0) || round.is_multiple_of(SELDOM) {
            work.monitor.set_waiting(work.outbox.count().await.ok());
        }
        if !work.monitor.is_fresh() {
            let begun = Instant::now();
            match work.log.answers().await {
                Ok(()) => work.monitor.up(0),
                Err(error) => work.monitor.down(begun, &error),
            }
        }
        tokio::time::sleep(FRESH / 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_failure_says_nothing_about_a_log_that_has_answered_since() {
        let monitor = LogMonitor::default();
        let (begun, away) = (Instant::now(), Error::Unavailable("away".to_owned()));
        monitor.down(begun, &away);
        let Health::Down { since, .. } = monitor.status().log else { panic!("it is down") };
        monitor.down(Instant::now(), &Error::Unavailable("still".to_owned()));
        let why = "the event log is not available: still".to_owned();
        assert_eq!(monitor.status().log, Health::Down { since, why });
        monitor.up(3);
        assert_eq!((monitor.status().log, monitor.status().moved), (Health::Up, 3));
        monitor.down(begun, &away);
        assert_eq!(monitor.status().log, Health::Up);
    }
}
