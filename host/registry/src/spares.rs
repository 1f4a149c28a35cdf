//! Spares: versions that are out of service and ready to be called. A rollback to one loads nothing.
//!
//! They are bounded in number and in bytes of machine code and files; the one that went out of service first is dropped first. Touches no
//! store.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many there are at most, of all components together.
const SPARES: usize = 64;
/// The most bytes of machine code and files of all of them.
const SPARE_BYTES: usize = 64 << 20;

/// Versions by their hashes, the oldest first.
pub(super) struct Spares<T>(Mutex<VecDeque<Spare<T>>>);

struct Spare<T> {
    sha256: String,
    bytes: usize,
    version: T,
}

/// How many versions there are, and their machine code and files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpareFigures {
    /// How many.
    pub versions: usize,
    /// The bytes of their machine code and files.
    pub bytes: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Spares<T> {
    /// Adds a version; those that went out of service before it make room.
    pub(super) fn add(&self, sha256: &str, bytes: usize, version: T) {
        let mut spares = self.lock();
        spares.retain(|spare| spare.sha256 != sha256);
        spares.push_back(Spare { sha256: sha256.to_owned(), bytes, version });
        while spares.len() > SPARES || figures(&spares).bytes > SPARE_BYTES {
            spares.pop_front();
        }
    }

    /// The version with this hash. It stays.
    pub(super) fn get(&self, sha256: &str) -> Option<T> {
        self.lock().iter().find(|spare| spare.sha256 == sha256).map(|spare| spare.version.clone())
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<T> {
        self.lock().iter().map(|spare| spare.version.clone()).collect()
    }

    /// Drops all but those that `wanted` names.
    pub(super) fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.lock().retain(|spare| wanted(&spare.sha256));
    }

    /// How many there are.
    pub(super) fn figures(&self) -> SpareFigures {
        figures(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Spare<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn figures<T>(spares: &VecDeque<Spare<T>>) -> SpareFigures {
    SpareFigures { versions: spares.len(), bytes: spares.iter().map(|spare| spare.bytes).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spares: &Spares<usize>, count: usize) -> Vec<usize> {
        (0..count).filter(|number| spares.get(&number.to_string()) == Some(*number)).collect()
    }

    #[test]
    fn the_bytes_are_bounded_and_the_oldest_goes_first() {
        let spares = Spares::default();
        for number in 0..10 {
            spares.add(&number.to_string(), SPARE_BYTES / 4, number);
            assert!(spares.figures().bytes <= SPARE_BYTES);
        }
        assert_eq!(names(&spares, 10), [6, 7, 8, 9]);
        spares.add("6", SPARE_BYTES / 4, 6);
        spares.add("10", SPARE_BYTES / 4, 10);
        assert_eq!(names(&spares, 11), [6, 8, 9, 10], "one that is added again is the newest");
        // One that is larger than all of them may be is none.
        spares.add("11", SPARE_BYTES + 1, 11);
        assert_eq!(spares.figures(), SpareFigures::default());
    }

    #[test]
    fn the_number_is_bounded() {
        let spares = Spares::default();
        for number in 0..3 * SPARES {
            spares.add(&number.to_string(), 1, number);
        }
        assert_eq!(spares.figures(), SpareFigures { versions: SPARES, bytes: SPARES });
        assert_eq!(names(&spares, 3 * SPARES), (2 * SPARES..3 * SPARES).collect::<Vec<_>>());
    }

    #[test]
    fn what_nobody_wants_goes() {
        let spares = Spares::default();
        for number in 0..4 {
            spares.add(&number.to_string(), 1, number);
        }
        spares.retain(|sha256| ["1", "3"].contains(&sha256));
        assert_eq!((names(&spares, 4), spares.all()), (vec![1, 3], vec![1, 3]));
    }
}
