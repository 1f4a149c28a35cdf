//! Gathered calls: those that arrive while one is under way are the next one together.
//!
//! The tasks of a relay's shards are woken by the same commits and ask the same at the same time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is asked together.
pub(crate) struct Gathered<T>(Mutex<State<T>>);

struct State<T> {
    asked: Vec<T>,
    /// Somebody answers what is asked.
    running: bool,
}

/// The task that answers, until there is nothing left.
pub(crate) struct Turn<'a, T> {
    all: &'a Gathered<T>,
    ended: bool,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self(Mutex::new(State { asked: Vec::new(), running: false }))
    }
}

impl<T> Gathered<T> {
    /// Whether the caller has to answer what is asked, by a [`Gathered::turn`].
    pub(crate) fn ask(&self, asked: T) -> bool {
        let mut state = self.state();
        state.asked.push(asked);
        !std::mem::replace(&mut state.running, true)
    }

    /// The turn of the one who has to answer.
    pub(crate) fn turn(&self) -> Turn<'_, T> {
        Turn { all: self, ended: false }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Turn<'_, T> {
    /// All that is asked by now; none, and the turn ends, when nothing is.
    pub(crate) fn next(&mut self) -> Option<Vec<T>> {
        let mut state = self.all.state();
        let asked = std::mem::take(&mut state.asked);
        state.running = !asked.is_empty();
        self.ended = !state.running;
        state.running.then_some(asked)
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if !self.ended {
            // It broke off: who asked learns it, and who asks next begins anew.
            let mut state = self.all.state();
            state.running = false;
            state.asked.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_meanwhile_is_answered_together() {
        let gathered = Gathered::default();
        assert!(gathered.ask(1), "the first one answers");
        let mut turn = gathered.turn();
        assert_eq!(turn.next(), Some(vec![1]));
        assert!(!gathered.ask(2) && !gathered.ask(3));
        assert_eq!((turn.next(), turn.next()), (Some(vec![2, 3]), None));
        assert!(gathered.ask(4), "a turn that is over leaves it to the next");
        drop(turn);
        let turn = gathered.turn();
        assert!(!gathered.ask(5));
        drop(turn);
        assert!(gathered.ask(6), "and so does one that broke off");
        assert_eq!(gathered.turn().next(), Some(vec![6]));
    }
}
