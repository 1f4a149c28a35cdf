//! Whom to score where there are more members than are scored at once: those who share the rarest skills with the caller, then
//! those whose skills go with the caller's, and the newest. There are never more than [`MOST`], however large the network is.

use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::prelude::*;
use model::matching::catalogue::Catalogue;
use model::matching::profile::Profile;

use crate::available::{Available, Order};
use crate::index::{self, LISTED};

/// The most members that are scored.
pub(crate) const MOST: usize = 2_000;
/// So many of them are the newest, whatever they know: nobody has seen them yet.
const NEWCOMERS: usize = 200;
/// How many skills are looked up that go with the caller's.
const COMPLEMENTS: usize = 50;

/// Who is scored.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The newest first, each once.
    pub(crate) ids: Vec<ObjectId>,
    /// Whether there is nobody else.
    pub(crate) is_all: bool,
}

/// The pool of a member; `newest` are the newest thousand whom the member may be shown.
pub(crate) fn of(
    member: &Profile,
    catalogue: &Catalogue,
    available: &Available,
    mut newest: Vec<ObjectId>,
) -> Result<Pool, Error> {
    let more = available.ids(Order::NewestFirst, documents::MOST, documents::MOST)?;
    let is_all = more.len() < documents::MOST as usize;
    newest.extend(more);
    if is_all {
        return Ok(Pool { ids: newest, is_all });
    }
    let mut chosen = Chosen { ids: newest.iter().take(NEWCOMERS).copied().collect(), available };
    let own: BTreeSet<u64> = member.skills.iter().map(|skill| catalogue.fingerprint(*skill)).collect();
    let own: Vec<u64> = own.into_iter().collect();
    chosen.take(by_rarity(index::members(&own)?));
    if !chosen.is_full() {
        let related = member.skills.iter().flat_map(|skill| catalogue.complements(*skill));
        let related: BTreeSet<u64> = related.map(|skill| catalogue.fingerprint(*skill)).collect();
        let related: Vec<u64> = related.into_iter().filter(|skill| !own.contains(skill)).take(COMPLEMENTS).collect();
        chosen.take(by_rarity(index::members(&related)?));
    }
    chosen.take(newest);
    let ids = chosen.ids.into_iter().rev().collect();
    Ok(Pool { ids, is_all: false })
}

/// Who is chosen so far, in the order of their ids.
struct Chosen<'a> {
    ids: BTreeSet<ObjectId>,
    available: &'a Available,
}

impl Chosen<'_> {
    fn is_full(&self) -> bool {
        self.ids.len() >= MOST
    }

    /// Takes the first of these as long as there is room.
    fn take(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        for id in ids {
            if self.is_full() {
                return;
            }
            if self.available.has(id) {
                self.ids.insert(id);
            }
        }
    }
}

/// The members of these lists: first those who are in the rarest and in the most of them, and of equals the newest. Of a list that
/// is cut off nobody knows how long it is: it counts as the most usual.
fn by_rarity(lists: Vec<Vec<ObjectId>>) -> Vec<ObjectId> {
    let mut weights: BTreeMap<ObjectId, f64> = BTreeMap::new();
    for list in lists {
        let weight = (f64::from(LISTED) * 2.0 / (list.len() + 1) as f64).ln();
        for id in list {
            *weights.entry(id).or_default() += weight;
        }
    }
    let mut members: Vec<(ObjectId, f64)> = weights.into_iter().rev().collect();
    // Stable: of equals the newest came first.
    members.sort_by(|one, other| other.1.total_cmp(&one.1));
    members.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> ObjectId {
        let [a, b] = number.to_be_bytes();
        ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b])
    }

    fn list(numbers: std::ops::Range<u16>) -> Vec<ObjectId> {
        numbers.rev().map(id).collect()
    }

    #[test]
    fn the_rarest_come_first_and_then_who_shares_most() {
        // 5 has the rare one; 1 to 10 have the usual two, and the rest one of them.
        let found = by_rarity(vec![list(0..1_000), vec![id(5)], list(1..11)]);
        assert_eq!(found[..3], [id(5), id(10), id(9)]);
        assert_eq!(found[10..13], [id(999), id(998), id(997)]);
        assert_eq!(found.len(), 1_000);
        assert!(by_rarity(Vec::new()).is_empty());
    }

    #[test]
    fn two_usual_skills_are_more_than_one() {
        let found = by_rarity(vec![list(0..1_000), list(990..1_990)]);
        assert_eq!(found[..10], list(990..1_000)[..]);
    }
}
