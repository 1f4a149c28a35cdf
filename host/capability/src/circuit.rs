//! A circuit breaker: calls to a server that did not answer fail at once for a pause, so that no caller waits for it.
//!
//! After each pause one call tries; the others fail at once. An answer closes the circuit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::health::Health;

/// A server that has not answered for this long is down; before, it is degraded.
const DOWN: Duration = Duration::from_secs(2);

/// The circuit of one server.
#[derive(Debug)]
pub struct Circuit {
    pause: Duration,
    begun: Instant,
    /// The end of the pause, in milliseconds since `begun`; 0 while the server answers.
    until: AtomicU64,
    /// When the first unanswered call failed, in milliseconds since `begun`; 0 while the server answers.
    failing: AtomicU64,
    /// When the last answer came, in milliseconds since `begun`.
    answered: AtomicU64,
    /// Why the last call was not answered.
    why: Mutex<String>,
}

/// Permission for one call.
#[derive(Debug)]
pub struct Pass<'a> {
    circuit: &'a Circuit,
    /// Milliseconds since the circuit's `begun`.
    begun: u64,
}

impl Circuit {
    /// The circuit of a server; it pauses for `pause` after a call that was not answered.
    pub fn new(pause: Duration) -> Self {
        let [until, failing, answered] = [(); 3].map(|()| AtomicU64::new(0));
        Self { pause, begun: Instant::now(), until, failing, answered, why: Mutex::default() }
    }

    /// Permission for a call; none during a pause.
    pub fn pass(&self) -> Option<Pass<'_>> {
        let until = self.until.load(Ordering::Acquire);
        let now = self.now();
        if until == 0 {
            return Some(Pass { circuit: self, begun: now });
        }
        // The call that moves the end of the pause is the one that tries.
        let tries = now >= until
            && self
                .until
                .compare_exchange(until, now + millis(self.pause), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        tries.then_some(Pass { circuit: self, begun: now })
    }

    /// Whether a ping is worthwhile: no call was answered for this long, or the last one was not.
    pub fn is_unsure(&self, quiet: Duration) -> bool {
        !self.is_closed() || self.now() >= self.answered.load(Ordering::Acquire) + millis(quiet)
    }

    /// Whether the last call was answered.
    pub fn is_closed(&self) -> bool {
        self.until.load(Ordering::Acquire) == 0
    }

    /// The server's health, by the last calls.
    pub fn health(&self) -> Health {
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
    pub fn answered(self) {
        self.circuit.answered.store(self.circuit.now(), Ordering::Release);
        self.circuit.until.store(0, Ordering::Release);
        self.circuit.failing.store(0, Ordering::Release);
    }

    /// The call was not answered, for this reason. It does not count when another call was answered meanwhile.
    pub fn failed(self, why: &str) {
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
        let probe = circuit.pass().unwrap();
        assert!(circuit.pass().is_none(), "another one waits for how it goes");
        probe.answered();
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
