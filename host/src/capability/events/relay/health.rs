//! How the log is doing: learnt from what is appended and, while nothing is, by asking. Said once when it goes away, and
//! once when it is back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Work;
use crate::capability::events::Error;

/// How long an answer of the log counts before it is asked for one.
const FRESH: Duration = Duration::from_secs(2);

/// Between two looks at a log that has just been opened.
const FIRST_LOOKS: Duration = Duration::from_millis(100);

/// Whether the log answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does, as far as is known.
    Up,
    /// It does not.
    Down {
        /// The first time that it did not.
        since: Instant,
        /// As it was said last.
        why: String,
    },
}

/// How a relay is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether the log answers.
    pub log: Health,
    /// How many events wait in the outbox, counted at most a few seconds ago; none when it could not be counted.
    pub waiting: Option<u64>,
    /// How many events this host has moved since it started.
    pub moved: u64,
    /// How many of the shards it has now.
    pub shards: u32,
}

/// What is known about the log.
pub(super) struct Pulse(Mutex<Known>);

struct Known {
    status: Status,
    answered: Option<Instant>,
}

impl Default for Pulse {
    fn default() -> Self {
        let status = Status { log: Health::Up, waiting: None, moved: 0, shards: 0 };
        Self(Mutex::new(Known { status, answered: None }))
    }
}

impl Pulse {
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

    /// The log did not answer to what was asked at `begun`.
    pub(super) fn down(&self, begun: Instant, error: &Error) {
        let mut known = self.lock();
        // It has answered somebody else since.
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
    pub(super) fn has(&self, shards: usize) {
        self.lock().status.shards = u32::try_from(shards).unwrap_or(u32::MAX);
    }

    fn is_fresh(&self) -> bool {
        self.lock().answered.is_some_and(|answered| answered.elapsed() < FRESH)
    }

    fn counted(&self, waiting: Option<u64>) {
        self.lock().status.waiting = waiting;
    }
}

/// Counts what waits, and asks the log when nothing else is asked of it.
pub(super) async fn watch(work: &Work) {
    // A log that is being opened is not away.
    let begun = Instant::now();
    while begun.elapsed() < FRESH && work.log.answers().await.is_err() {
        tokio::time::sleep(FIRST_LOOKS).await;
    }
    loop {
        work.pulse.counted(work.outbox.count().await.ok());
        if !work.pulse.is_fresh() {
            let begun = Instant::now();
            match work.log.answers().await {
                Ok(()) => work.pulse.up(0),
                Err(error) => work.pulse.down(begun, &error),
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
        let pulse = Pulse::default();
        let (begun, away) = (Instant::now(), Error::Unavailable("away".to_owned()));
        pulse.down(begun, &away);
        let Health::Down { since, .. } = pulse.status().log else { panic!("it is down") };
        pulse.down(Instant::now(), &Error::Unavailable("still".to_owned()));
        let why = "the event log is not available: still".to_owned();
        assert_eq!(pulse.status().log, Health::Down { since, why });
        pulse.up(3);
        assert_eq!((pulse.status().log, pulse.status().moved), (Health::Up, 3));
        pulse.down(begun, &away);
        assert_eq!(pulse.status().log, Health::Up);
    }
}
