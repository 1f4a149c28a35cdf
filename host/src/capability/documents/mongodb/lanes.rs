//! Lanes: commits of this host that are about the same thing go one after the other.
//!
//! The server would let one of them win and make the others begin again; waiting here spares both. A matter of speed
//! only: hosts know nothing of each other's lanes, and the transactions decide.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::capability::documents::{Commit, Filter, Write};

const LANES: usize = 1_024;
/// A commit about more than this waits for nobody.
const MOST: usize = 64;

/// The lanes of one store.
pub(super) struct Lanes {
    lanes: Vec<Mutex<()>>,
    hash: RandomState,
}

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes { lanes: (0..LANES).map(|_| Mutex::default()).collect(), hash: RandomState::new() }
    }
}

impl Lanes {
    /// Waits until no other commit is in the lanes of this one. They are taken in their order, so nobody waits forever.
    pub(super) async fn enter(&self, commit: &Commit) -> Vec<MutexGuard<'_, ()>> {
        let mut places: BTreeSet<usize> = BTreeSet::new();
        for write in &commit.writes {
            if let Write::Update { collection, filter, .. } | Write::Delete { collection, filter, .. } = write {
                places.insert(self.place((collection, about(filter))));
            }
        }
        places.extend(commit.events.iter().map(|event| self.place((&event.topic, &event.key))));
        let mut guards = Vec::new();
        if places.len() > MOST {
            return guards;
        }
        for lane in places.into_iter().filter_map(|place| self.lanes.get(place)) {
            guards.push(lane.lock().await);
        }
        guards
    }

    fn place(&self, about: impl std::hash::Hash) -> usize {
        usize::try_from(self.hash.hash_one(about)).unwrap_or_default() % LANES
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
