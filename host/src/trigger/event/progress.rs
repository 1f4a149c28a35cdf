//! Progress: how far a partition has come, when events finish in another order than they came.

use std::collections::BTreeSet;

/// The events of a partition that were told and are not finished, by their offsets.
#[derive(Debug, Default)]
pub(super) struct Progress {
    open: BTreeSet<u64>,
    /// The offset after everything that was told.
    told: u64,
    /// The offset before which the group remembers everything as finished.
    remembered: Option<u64>,
}

impl Progress {
    /// One was told; offsets grow, and may leave some out.
    pub(super) fn begin(&mut self, offset: u64) {
        self.remembered.get_or_insert(offset);
        self.open.insert(offset);
        self.told = offset + 1;
    }

    /// One is finished.
    pub(super) fn finish(&mut self, offset: u64) {
        self.open.remove(&offset);
    }

    /// Everything before this offset is finished.
    pub(super) fn finished(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.told)
    }

    /// How far the newest event is ahead of the oldest one that is not finished.
    pub(super) fn ahead(&self) -> u64 {
        self.told - self.finished()
    }

    /// What is finished and not remembered yet.
    pub(super) fn to_remember(&self) -> Option<u64> {
        let finished = self.finished();
        self.remembered.is_some_and(|remembered| remembered < finished).then_some(finished)
    }

    /// The group remembers that everything before `offset` is finished.
    pub(super) fn remember(&mut self, offset: u64) {
        self.remembered = Some(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_behind_the_oldest_that_is_open() {
        let mut progress = Progress::default();
        assert_eq!(progress.to_remember(), None);
        for offset in [7, 8, 10] {
            progress.begin(offset);
        }
        assert_eq!((progress.ahead(), progress.to_remember()), (4, None));
        progress.finish(8);
        assert_eq!((progress.ahead(), progress.to_remember()), (4, None));
        progress.finish(7);
        assert_eq!((progress.ahead(), progress.to_remember()), (1, Some(10)));
        progress.remember(10);
        assert_eq!(progress.to_remember(), None);
        progress.finish(10);
        progress.finish(10);
        assert_eq!((progress.ahead(), progress.to_remember()), (0, Some(11)));
    }

    proptest::proptest! {
        #[test]
        fn nothing_open_is_ever_remembered(order in proptest::collection::vec(0_u64..50, 1..200)) {
            let mut progress = Progress::default();
            (0..50).for_each(|offset| progress.begin(offset));
            let mut done = BTreeSet::new();
            for offset in order {
                progress.finish(offset);
                done.insert(offset);
                let finished = progress.finished();
                assert!((0..finished).all(|offset| done.contains(&offset)) && !done.contains(&finished));
            }
        }
    }
}
