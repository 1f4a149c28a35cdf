//! A circuit: a server that does not answer is left alone for a moment, so that no caller waits for what is known.
//!
//! One call in each such moment tries; the others fail at once. An answer closes the circuit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Health;

/// A server that has not answered for this long is down; before, it is degraded.
const DOWN: Duration = Duration::from_secs(2);

/// The state of one server.
#[derive(Debug)]
pub(super) struct Circuit {
    pause: Duration,
    begun: Instant,
    /// Milliseconds since `begun` until which nobody tries; 0 while it answers.
    until: AtomicU64,
    /// Milliseconds since `begun` when the first of the calls that were not answered failed; 0 while it answers.
    failing: AtomicU64,
    /// Milliseconds since `begun` of the last answer.
    answered: AtomicU64,
    /// Why the last call was not answered.
    why: Mutex<String>,
}

/// The leave to call once.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    circuit: &'a Circuit,
    /// Milliseconds.
    begun: u64,
}

impl Circuit {
    /// Of a server that is left alone for `pause` at a time.
    pub(super) fn new(pause: Duration) -> Self {
        let [until, failing, answered] = [(); 3].map(|()| AtomicU64::new(0));
        Self { pause, begun: Instant::now(), until, failing, answered, why: Mutex::default() }
    }

    /// Leave to call; none while the server is left alone.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let until = self.until.load(Ordering::Acquire);
        let now = self.now();
        if until == 0 {
            return Some(Pass { circuit: self, begun: now });
        }
        // The one who moves the moment on is the one who tries.
        let tries = now >= until
            && self
                .until
                .compare_exchange(until, now + millis(self.pause), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        tries.then_some(Pass { circuit: self, begun: now })
    }

    /// Whether it is worth asking for a sign of life: no call was answered for this long, or the last one was not.
    pub(super) fn is_unsure(&self, quiet: Duration) -> bool {
        !self.is_closed() || self.now() >= self.answered.load(Ordering::Acquire) + millis(quiet)
    }

    /// Whether the last call was answered.
    pub(super) fn is_closed(&self) -> bool {
        self.until.load(Ordering::Acquire) == 0
    }

    /// How the server is, by the last call.
    pub(super) fn health(&self) -> Health {
        let failing = self.failing.load(Ordering::Acquire);
        if failing == 0 {
            return Health::Up;
        }
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.now() < failing + millis(DOWN) { Health::Degraded(why) } else { Health::Down(why) }
    }

    fn now(&self) -> u64 {
        millis(self.begun.elapsed())
    }
}

impl Pass<'_> {
    /// The call was answered.
    pub(super) fn answered(self) {
        self.circuit.answered.store(self.circuit.now(), Ordering::Release);
        self.circuit.until.store(0, Ordering::Release);
        self.circuit.failing.store(0, Ordering::Release);
    }

    /// The call was not answered, for this reason. When another one was, meanwhile, it is no sign of a server that is away.
    pub(super) fn failed(self, why: &str) {
        let circuit = self.circuit;
        if circuit.answered.load(Ordering::Acquire) > self.begun {
            return;
        }
        why.clone_into(&mut circuit.why.lock().unwrap_or_else(PoisonError::into_inner));
        let now = circuit.now().max(1);
        let _ = circuit.failing.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        let until = now + millis(circuit.pause);
        circuit.until.store(until, Ordering::Release);
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
        let circuit = Circuit::new(Duration::from_millis(250));
        circuit.pass().unwrap().answered();
        assert_eq!(circuit.health(), Health::Up);
        circuit.pass().unwrap().failed("gone");
        assert!(circuit.pass().is_none());
        assert_eq!(circuit.health(), Health::Degraded("gone".into()));
        // As if the pause were over.
        circuit.until.store(1, Ordering::Release);
        while circuit.now() < 1 {
            std::hint::spin_loop();
        }
        let trial = circuit.pass().unwrap();
        assert!(circuit.pass().is_none(), "another one waits for how it goes");
        trial.answered();
        assert!(circuit.pass().is_some());
    }

    #[test]
    fn one_slow_call_among_others_does_not_open_it() {
        let circuit = Circuit::new(Duration::from_millis(250));
        let slow = circuit.pass().unwrap();
        while circuit.now() <= slow.begun {
            std::hint::spin_loop();
        }
        circuit.pass().unwrap().answered();
        slow.failed("too slow");
        assert_eq!(circuit.health(), Health::Up);
    }
}
