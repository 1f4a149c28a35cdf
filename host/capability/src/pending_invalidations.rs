//! Pending invalidations: those that the cache does not have yet. Readers of the cache check here first.
//!
//! Written by `invalidations`; read by sessions and readers of the cache. In memory only, and bounded: where there are more
//! than are kept here, no cached value is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bson::oid::ObjectId;

/// The stale entries of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    /// Keys of the cache.
    pub keys: Vec<String>,
    /// Subjects some of whose sessions end.
    pub subjects: Vec<String>,
}

impl Stale {
    /// Whether nothing is stale.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.subjects.is_empty()
    }
}

/// The known invalidations that the cache does not have yet.
#[derive(Default)]
pub struct PendingInvalidations {
    pending: Mutex<Pending>,
    /// How many there are, doubts included: usually none, which readers see without a lock.
    count: AtomicUsize,
    /// There are, or may be, others: no cached value is used.
    more: AtomicBool,
    doubts: Mutex<Doubts>,
}

/// What commits with an unknown outcome make stale.
#[derive(Default)]
struct Doubts {
    /// Until when each key is in doubt.
    keys: HashMap<String, Instant>,
    /// The same of subjects, and since when their sessions may have ended; milliseconds since 1970.
    subjects: HashMap<String, (Instant, u64)>,
    /// A task settles them.
    are_settled: bool,
}

/// Doubts whose time is over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) keys: Vec<String>,
    pub(crate) subjects: Vec<(String, u64)>,
}

/// By the id of the invalidation: its stale entries, and since when they are known.
pub(crate) type Pending = HashMap<ObjectId, (Stale, Instant)>;

impl PendingInvalidations {
    /// Whether the cached value of this key may be stale.
    pub fn has_key(&self, key: &str) -> bool {
        self.has(|stale| stale.keys.iter().any(|pending| pending == key), |doubts| doubts.keys.contains_key(key))
    }

    /// Whether the cached sessions of this subject may be stale.
    pub fn has_subject(&self, subject: &str) -> bool {
        let is_pending = |stale: &Stale| stale.subjects.iter().any(|pending| pending == subject);
        self.has(is_pending, |doubts| doubts.subjects.contains_key(subject))
    }

    /// Whether the cache has all that are known, and there are no others.
    pub(crate) fn is_empty(&self) -> bool {
        !self.more.load(Ordering::Acquire) && self.count.load(Ordering::Acquire) == 0
    }

    fn has(&self, names: impl Fn(&Stale) -> bool, doubted: impl FnOnce(&Doubts) -> bool) -> bool {
        self.more.load(Ordering::Acquire)
            || (self.count.load(Ordering::Acquire) > 0
                && (self.lock().values().any(|(stale, _)| names(stale)) || doubted(&self.doubts())))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.lock();
        change(&mut pending);
        self.recount(pending.len(), self.doubts().len());
    }

    /// Whether there are, or may be, others than those that are known here.
    pub(crate) fn set_more(&self, more: bool) {
        self.more.store(more, Ordering::Release);
    }

    /// From now on these cached values are not used, until they are settled. True when no task settles doubts yet.
    pub(crate) fn doubt(&self, stale: &Stale, since: u64, until: Instant) -> bool {
        let pending = self.lock();
        let mut doubts = self.doubts();
        for key in &stale.keys {
            doubts.keys.insert(key.clone(), until);
        }
        for subject in &stale.subjects {
            let since = doubts.subjects.get(subject).map_or(since, |(_, known)| since.min(*known));
            doubts.subjects.insert(subject.clone(), (until, since));
        }
        self.recount(pending.len(), doubts.len());
        !std::mem::replace(&mut doubts.are_settled, true)
    }

    /// The doubts whose time is over. None when there are no doubts: the task that settles them stops.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        let mut doubts = self.doubts();
        if doubts.len() == 0 {
            doubts.are_settled = false;
            return None;
        }
        let keys = doubts.keys.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone());
        let subjects = doubts.subjects.iter().filter(|(_, (until, _))| *until <= now);
        let subjects = subjects.map(|(subject, (_, since))| (subject.clone(), *since));
        Some(Due { keys: keys.collect(), subjects: subjects.collect() })
    }

    /// The cache has these invalidations. Those that came into doubt again meanwhile stay.
    pub(crate) fn settled(&self, due: &Due, now: Instant) {
        let pending = self.lock();
        let mut doubts = self.doubts();
        for key in &due.keys {
            if doubts.keys.get(key).is_some_and(|until| *until <= now) {
                doubts.keys.remove(key);
            }
        }
        for (subject, _) in &due.subjects {
            if doubts.subjects.get(subject).is_some_and(|(until, _)| *until <= now) {
                doubts.subjects.remove(subject);
            }
        }
        self.recount(pending.len(), doubts.len());
    }

    /// The caller holds the lock of `pending`.
    fn recount(&self, pending: usize, doubts: usize) {
        self.count.store(pending + doubts, Ordering::Release);
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doubts {
    fn len(&self) -> usize {
        self.keys.len() + self.subjects.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stale(key: &str, subject: &str) -> Stale {
        Stale { keys: vec![key.to_owned()], subjects: vec![subject.to_owned()] }
    }

    #[test]
    fn what_is_in_doubt_is_not_believed_until_it_is_settled() {
        let (pending, begun) = (PendingInvalidations::default(), Instant::now());
        let until = |seconds| begun + Duration::from_secs(seconds);
        assert!(pending.doubt(&stale("k", "s"), 7, until(10)), "somebody has to settle it");
        assert!(!pending.doubt(&stale("other", "s"), 5, until(20)), "somebody does");
        assert!(pending.has_key("k") && pending.has_key("other") && pending.has_subject("s"));
        assert!(!pending.has_key("s") && !pending.has_subject("k"));

        let due = pending.due(until(10)).unwrap();
        assert_eq!(due, Due { keys: vec!["k".to_owned()], subjects: Vec::new() });
        pending.settled(&due, until(10));
        assert!(!pending.has_key("k") && pending.has_key("other") && pending.has_subject("s"));

        let due = pending.due(until(20)).unwrap();
        assert_eq!(due.subjects, [("s".to_owned(), 5)], "the sessions that ended since the first doubt");
        // It comes into doubt again while it is settled.
        pending.doubt(&stale("other", "t"), 9, until(30));
        pending.settled(&due, until(20));
        assert!(pending.has_key("other") && !pending.has_subject("s") && pending.has_subject("t"));
        let due = pending.due(until(30)).unwrap();
        pending.settled(&due, until(30));
        assert_eq!((pending.due(until(30)), pending.count.load(Ordering::Acquire)), (None, 0));
        assert!(pending.doubt(&stale("k", "s"), 7, until(40)), "the one who settled them has stopped");
    }

    #[test]
    fn where_there_are_more_than_are_known_nothing_is_believed() {
        let pending = PendingInvalidations::default();
        pending.set_more(true);
        assert!(pending.has_key("any") && pending.has_subject("any"));
        pending.set_more(false);
        assert!(!pending.has_key("any") && !pending.has_subject("any"));
    }
}
