//! Key locks: commits of this host on the same documents or event keys run one after the other.
//!
//! A server would let one of them win and abort the others; waiting here saves the retries. A call whose commit was refused
//! holds its lock for up to 300 ms, so that what it reads next is still true when it commits again. An optimisation only:
//! hosts do not see each other's locks, and the transactions decide.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::documents::{Commit, Filter, Write};

const STRIPES: usize = 1_024;
/// A commit on more stripes than this takes no lock.
const MAX_STRIPES: usize = 64;
/// For how long a refused call holds its lock until it commits again.
const HOLD: Duration = Duration::from_millis(300);

/// The striped locks of one store.
pub struct KeyLocks {
    stripes: Vec<Arc<AsyncMutex<()>>>,
    hash: RandomState,
}

/// The lock of one commit, released on drop.
pub struct KeyLock {
    stripes: BTreeSet<usize>,
    _guards: Vec<OwnedMutexGuard<()>>,
}

/// A lock that a call holds between two commits; it is released after 300 ms, and with the call.
#[derive(Default)]
pub struct HeldKeyLock(Option<Arc<Mutex<Option<KeyLock>>>>);

impl Default for KeyLocks {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Arc::default()).collect(), hash: RandomState::new() }
    }
}

impl KeyLocks {
    /// Locks the stripes of a commit. Stripes are locked in ascending order, so there is no deadlock; for the same reason a
    /// held lock is used only when it covers all of them.
    pub async fn lock(&self, commit: &Commit, held: Option<KeyLock>) -> KeyLock {
        let mut stripes = self.stripes(commit);
        match held {
            Some(held) if stripes.is_subset(&held.stripes) => return held,
            other => drop(other),
        }
        let mut guards = Vec::new();
        if stripes.len() <= MAX_STRIPES {
            for mutex in stripes.iter().filter_map(|stripe| self.stripes.get(*stripe)) {
                guards.push(mutex.clone().lock_owned().await);
            }
        } else {
            stripes.clear();
        }
        KeyLock { stripes, _guards: guards }
    }

    /// Whether nobody has the lock of a commit at this moment.
    pub fn are_free(&self, commit: &Commit) -> bool {
        let stripes = self.stripes(commit);
        stripes.iter().filter_map(|stripe| self.stripes.get(*stripe)).all(|mutex| mutex.try_lock().is_ok())
    }

    fn stripes(&self, commit: &Commit) -> BTreeSet<usize> {
        let mut stripes = BTreeSet::new();
        for write in &commit.writes {
            if let Write::Update { collection, filter, .. } | Write::Delete { collection, filter, .. } = write {
                stripes.insert(self.stripe((collection, lock_key(filter))));
            }
        }
        stripes.extend(commit.events.iter().map(|event| self.stripe((&event.topic, &event.key))));
        stripes
    }

    fn stripe(&self, key: impl std::hash::Hash) -> usize {
        usize::try_from(self.hash.hash_one(key)).unwrap_or_default() % STRIPES
    }
}

impl HeldKeyLock {
    /// Holds a lock for 300 ms. Needs a runtime.
    pub fn keep(&mut self, lock: KeyLock) {
        let held = Arc::new(Mutex::new(Some(lock)));
        let weak = Arc::downgrade(&held);
        tokio::spawn(async move {
            tokio::time::sleep(HOLD).await;
            if let Some(held) = weak.upgrade() {
                held.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
        });
        self.0 = Some(held);
    }

    /// The lock, unless it was released.
    pub fn take(&mut self) -> Option<KeyLock> {
        let held = self.0.take()?;
        held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The key by which a filter is locked: its equalities, or the `_id` alone where they have one.
fn lock_key(filter: &Filter) -> String {
    let equalities = filter.equalities();
    match equalities.iter().find(|(path, _)| *path == "_id") {
        Some((_, id)) => id.to_string(),
        None => format!("{equalities:?}"),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::documents::Change;

    fn commit(id: i32) -> Commit {
        let filter = Filter::from_document(&doc! { "_id": id }).unwrap();
        let change = Change::from_document(&doc! { "$set": { "a": 1 } }).unwrap();
        let (collection, upsert, many, must_match) = ("things".to_owned(), false, false, true);
        Commit { writes: vec![Write::Update { collection, filter, change, upsert, many, must_match }], events: vec![] }
    }

    /// Whether a commit would have to wait.
    async fn waits(locks: &KeyLocks, id: i32) -> bool {
        tokio::time::timeout(Duration::from_millis(20), locks.lock(&commit(id), None)).await.is_err()
    }

    #[tokio::test]
    async fn a_kept_turn_is_had_again_and_ends_by_itself() {
        let (locks, mut held) = (KeyLocks::default(), HeldKeyLock::default());
        held.keep(locks.lock(&commit(1), None).await);
        assert!(waits(&locks, 1).await);
        assert!(!waits(&locks, 2).await);
        let lock = locks.lock(&commit(1), held.take()).await;
        assert!(waits(&locks, 1).await);
        // A held lock that does not cover a commit is released for one that does.
        let lock = locks.lock(&commit(2), Some(lock)).await;
        assert!(!waits(&locks, 1).await && waits(&locks, 2).await);
        held.keep(lock);
        // It is released, although nobody takes it.
        drop(locks.lock(&commit(2), None).await);
        assert!(held.take().is_none());
        held.keep(locks.lock(&commit(3), None).await);
        drop(held);
        assert!(!waits(&locks, 3).await, "it ends with its call");
    }
}
