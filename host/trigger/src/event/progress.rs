//! Progress: which offset of a partition can be committed, when its events finish out of order.

use std::collections::BTreeSet;

/// The unfinished events of a partition, by their offsets.
#[derive(Debug, Default)]
pub(super) struct Progress {
    unfinished: BTreeSet<u64>,
    /// The offset after the newest event.
    end: u64,
    /// The group's committed offset, or the first event's.
    committed: Option<u64>,
}

impl Progress {
    /// An event came; offsets grow, and may have gaps.
    pub(super) fn start(&mut self, offset: u64) {
        self.committed.get_or_insert(offset);
        self.unfinished.insert(offset);
        self.end = offset + 1;
    }

    /// Before `offset` there are no further events than those that came.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.committed.get_or_insert(0);
        self.end = self.end.max(offset);
    }

    /// An event is finished.
    pub(super) fn finish(&mut self, offset: u64) {
        self.unfinished.remove(&offset);
    }

    /// The offset before which every event is finished.
    pub(super) fn finished(&self) -> u64 {
        self.unfinished.first().copied().unwrap_or(self.end)
    }

    /// How far the newest event is ahead of the oldest unfinished one.
    pub(super) fn ahead(&self) -> u64 {
        self.end - self.finished()
    }

    /// The offset to commit, where it is beyond the committed one.
    pub(super) fn to_commit(&self) -> Option<u64> {
        let finished = self.finished();
        self.committed.is_some_and(|committed| committed < finished).then_some(finished)
    }

    /// The offset is committed.
    pub(super) fn committed(&mut self, offset: u64) {
        self.committed = Some(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_behind_the_oldest_that_is_open() {
        let mut progress = Progress::default();
        assert_eq!(progress.to_commit(), None);
        for offset in [7, 8, 10] {
            progress.start(offset);
        }
        assert_eq!((progress.ahead(), progress.to_commit()), (4, None));
        progress.finish(8);
        assert_eq!((progress.ahead(), progress.to_commit()), (4, None));
        progress.finish(7);
        assert_eq!((progress.ahead(), progress.to_commit()), (1, Some(10)));
        progress.committed(10);
        assert_eq!(progress.to_commit(), None);
        progress.finish(10);
        progress.finish(10);
        assert_eq!((progress.ahead(), progress.to_commit()), (0, Some(11)));
    }

    #[test]
    fn what_is_no_event_is_passed_over_once_all_before_it_is_finished() {
        let mut progress = Progress::default();
        progress.skip_to(3);
        assert_eq!((progress.ahead(), progress.to_commit()), (0, Some(3)), "where no event ever came, too");
        progress.committed(3);
        progress.start(3);
        progress.skip_to(6);
        assert_eq!(progress.to_commit(), None);
        progress.finish(3);
        assert_eq!(progress.to_commit(), Some(6));
        progress.skip_to(5);
        assert_eq!(progress.to_commit(), Some(6), "it never goes back");
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            #[test]
            fn nothing_open_is_ever_remembered(order in proptest::collection::vec(0_u64..50, 1..200)) {
                let mut progress = Progress::default();
                (0..50).for_each(|offset| progress.start(offset));
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
}
