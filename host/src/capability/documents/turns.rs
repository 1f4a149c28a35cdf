//! Turns: commits of this host that are about the same thing go one after the other.
//!
//! A server would let one of them win and make the others begin again; waiting here spares both. A call whose commit was
//! refused keeps its turn for a moment, so that what it reads next still holds when it commits again. A matter of speed
//! only: hosts know nothing of each other's turns, and the transactions decide.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Commit, Filter, Write};

const LANES: usize = 1_024;
/// A commit about more than this waits for nobody.
const MOST: usize = 64;
/// For how long a refused call may keep others waiting until it commits again.
const KEPT: Duration = Duration::from_millis(300);

/// The turns of one store.
pub(super) struct Turns {
    lanes: Vec<Arc<AsyncMutex<()>>>,
    hash: RandomState,
}

/// A commit's turn, until it is dropped.
pub struct Turn {
    places: BTreeSet<usize>,
    _guards: Vec<OwnedMutexGuard<()>>,
}

/// A turn that a call keeps between two commits; it ends by itself after a moment, and with the call.
#[derive(Default)]
pub struct KeptTurn(Option<Arc<Mutex<Option<Turn>>>>);

impl Default for Turns {
    fn default() -> Self {
        Self { lanes: (0..LANES).map(|_| Arc::default()).collect(), hash: RandomState::new() }
    }
}

impl Turns {
    /// Waits until no other commit about the same is under way. Lanes are taken in their order, so nobody waits for ever;
    /// for the same reason a kept turn only helps when it has all of them.
    pub(super) async fn enter(&self, commit: &Commit, kept: Option<Turn>) -> Turn {
        let mut places = BTreeSet::new();
        for write in &commit.writes {
            if let Write::Update { collection, filter, .. } | Write::Delete { collection, filter, .. } = write {
                places.insert(self.place((collection, about(filter))));
            }
        }
        places.extend(commit.events.iter().map(|event| self.place((&event.topic, &event.key))));
        match kept {
            Some(kept) if places.is_subset(&kept.places) => return kept,
            other => drop(other),
        }
        let mut guards = Vec::new();
        if places.len() <= MOST {
            for lane in places.iter().filter_map(|place| self.lanes.get(*place)) {
                guards.push(lane.clone().lock_owned().await);
            }
        } else {
            places.clear();
        }
        Turn { places, _guards: guards }
    }

    fn place(&self, about: impl std::hash::Hash) -> usize {
        usize::try_from(self.hash.hash_one(about)).unwrap_or_default() % LANES
    }
}

impl KeptTurn {
    /// Keeps a turn. Needs a runtime.
    pub fn keep(&mut self, turn: Turn) {
        let kept = Arc::new(Mutex::new(Some(turn)));
        let watched = Arc::downgrade(&kept);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            if let Some(kept) = watched.upgrade() {
                kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
        });
        self.0 = Some(kept);
    }

    /// The turn, unless it has ended.
    pub fn take(&mut self) -> Option<Turn> {
        let kept = self.0.take()?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a filter demands by name; the `_id` alone where it demands that.
fn about(filter: &Filter) -> String {
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
    use crate::capability::documents::Change;

    fn commit(id: i32) -> Commit {
        let filter = Filter::from_document(&doc! { "_id": id }).unwrap();
        let change = Change::from_document(&doc! { "$set": { "a": 1 } }).unwrap();
        let (collection, upsert, many, must_match) = ("things".to_owned(), false, false, true);
        Commit { writes: vec![Write::Update { collection, filter, change, upsert, many, must_match }], events: vec![] }
    }

    /// Whether a commit would have to wait.
    async fn waits(turns: &Turns, id: i32) -> bool {
        tokio::time::timeout(Duration::from_millis(20), turns.enter(&commit(id), None)).await.is_err()
    }

    #[tokio::test]
    async fn a_kept_turn_is_had_again_and_ends_by_itself() {
        let (turns, mut kept) = (Turns::default(), KeptTurn::default());
        kept.keep(turns.enter(&commit(1), None).await);
        assert!(waits(&turns, 1).await);
        assert!(!waits(&turns, 2).await);
        let turn = turns.enter(&commit(1), kept.take()).await;
        assert!(waits(&turns, 1).await);
        // A turn that does not cover a commit is given up for one that does.
        let turn = turns.enter(&commit(2), Some(turn)).await;
        assert!(!waits(&turns, 1).await && waits(&turns, 2).await);
        kept.keep(turn);
        // It ends, although nobody takes it.
        drop(turns.enter(&commit(2), None).await);
        assert!(kept.take().is_none());
        kept.keep(turns.enter(&commit(3), None).await);
        drop(kept);
        assert!(!waits(&turns, 3).await, "it ends with its call");
    }
}
