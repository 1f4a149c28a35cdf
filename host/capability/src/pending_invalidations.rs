//! Pending invalidations: those that the cache does not have yet. Readers of the cache check here first.
//!
//! Written by `invalidations`; read by sessions and readers of the cache. In memory only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// How many there are: usually none, which readers see without the lock.
    count: AtomicUsize,
}

/// By the id of the invalidation: its stale entries, and since when they are known.
pub(crate) type Pending = HashMap<ObjectId, (Stale, Instant)>;

impl PendingInvalidations {
    /// Whether the cached value of this key may be stale.
    pub fn has_key(&self, key: &str) -> bool {
        self.has(|stale| stale.keys.iter().any(|pending| pending == key))
    }

    /// Whether the cached sessions of this subject may be stale.
    pub fn has_subject(&self, subject: &str) -> bool {
        self.has(|stale| stale.subjects.iter().any(|pending| pending == subject))
    }

    fn has(&self, names: impl Fn(&Stale) -> bool) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().values().any(|(stale, _)| names(stale))
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.lock();
        change(&mut pending);
        self.count.store(pending.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
