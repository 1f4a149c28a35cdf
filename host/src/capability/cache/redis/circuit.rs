//! A circuit: a server that does not answer is left alone for a moment, so that no caller waits for what is known.
//!
//! One call in each such moment tries; the others fail at once. An answer closes the circuit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a server that did not answer is left alone.
const PAUSE: Duration = Duration::from_millis(250);

/// The state of one server.
#[derive(Debug)]
pub(super) struct Circuit {
    begun: Instant,
    /// Milliseconds since `begun` until which nobody tries; 0 while it answers.
    until: AtomicU64,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { begun: Instant::now(), until: AtomicU64::new(0) }
    }
}

/// The leave to call once.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Circuit);

impl Circuit {
    /// Leave to call; none while the server is left alone.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let until = self.until.load(Ordering::Acquire);
        if until == 0 {
            return Some(Pass(self));
        }
        let now = self.now();
        // The one who moves the moment on is the one who tries.
        let tries = now >= until
            && self.until.compare_exchange(until, now + millis(PAUSE), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        tries.then_some(Pass(self))
    }

    fn now(&self) -> u64 {
        millis(self.begun.elapsed())
    }
}

impl Pass<'_> {
    /// How the call went.
    pub(super) fn learn(self, answered: bool) {
        let until = if answered { 0 } else { (self.0.now() + millis(PAUSE)).max(1) };
        self.0.until.store(until, Ordering::Release);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time_tries_a_server_that_does_not_answer() {
        let circuit = Circuit::default();
        circuit.pass().unwrap().learn(true);
        circuit.pass().unwrap().learn(false);
        assert!(circuit.pass().is_none());
        // As if the pause were over.
        circuit.until.store(1, Ordering::Release);
        while circuit.now() < 1 {
            std::hint::spin_loop();
        }
        let trial = circuit.pass().unwrap();
        assert!(circuit.pass().is_none(), "another one waits for how it goes");
        trial.learn(true);
        assert!(circuit.pass().is_some());
    }
}
