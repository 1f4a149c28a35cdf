//! Groups of consumers of the embedded log: who has which partition. Members are tasks of this process.
//!
//! Whoever comes or goes has the partitions shared out anew; as few as possible change their member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::capability::events::Place;

/// All groups of a log.
#[derive(Debug, Default)]
pub(in super::super) struct Groups(Mutex<BTreeMap<String, Group>>);

impl Groups {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group: its members by their numbers.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Seat>,
    next: u64,
}

/// A member.
#[derive(Debug)]
pub(super) struct Seat {
    wanted: BTreeSet<Place>,
    pub(super) held: BTreeMap<Place, Held>,
    /// What others have got since this one was told.
    pub(super) taken: Vec<Place>,
}

/// A partition that a member has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// The offset after everything that was told; none before the first record.
    pub(super) told: Option<u64>,
    pub(super) paused: bool,
}

impl Group {
    pub(super) fn join(&mut self, wanted: BTreeSet<Place>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.members.insert(number, Seat { wanted, held: BTreeMap::new(), taken: Vec::new() });
        self.share_out();
        number
    }

    pub(super) fn leave(&mut self, member: u64) {
        if self.members.remove(&member).is_some() {
            self.share_out();
        }
    }

    pub(super) fn member(&mut self, number: u64) -> Option<&mut Seat> {
        self.members.get_mut(&number)
    }

    fn share_out(&mut self) {
        let wanted: BTreeSet<Place> = self.members.values().flat_map(|seat| seat.wanted.iter().cloned()).collect();
        for place in wanted {
            if !self.members.values().any(|seat| seat.held.contains_key(&place)) {
                self.give(place);
            }
        }
        while let Some((from, place)) = self.uneven() {
            if let Some(seat) = self.members.get_mut(&from) {
                seat.held.remove(&place);
                seat.taken.push(place.clone());
            }
            self.give(place);
        }
    }

    /// To the one that wants it and has the fewest.
    fn give(&mut self, place: Place) {
        let wanting = self.members.values_mut().filter(|seat| seat.wanted.contains(&place));
        if let Some(seat) = wanting.min_by_key(|seat| seat.held.len()) {
            seat.held.insert(place, Held::default());
        }
    }

    /// A member and one of its partitions that another one wants who has at least two fewer.
    fn uneven(&self) -> Option<(u64, Place)> {
        self.members.iter().find_map(|(number, seat)| {
            let poorer = |place: &&Place| {
                let mut others = self.members.values();
                others.any(|other| other.wanted.contains(*place) && other.held.len() + 1 < seat.held.len())
            };
            seat.held.keys().find(poorer).map(|place| (*number, place.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(topic: &str, count: u32) -> BTreeSet<Place> {
        (0..count).map(|partition| Place { topic: topic.to_owned(), partition }).collect()
    }

    fn held(group: &Group) -> Vec<usize> {
        group.members.values().map(|seat| seat.held.len()).collect()
    }

    #[test]
    fn partitions_are_shared_evenly_and_move_seldom() {
        let mut group = Group::default();
        let first = group.join(places("a", 7));
        assert_eq!(held(&group), [7]);
        let second = group.join(places("a", 7));
        assert_eq!(held(&group), [4, 3]);
        assert_eq!(group.member(first).unwrap().taken.len(), 3);
        let third = group.join(places("a", 7));
        assert_eq!(held(&group), [2, 3, 2]);
        assert_eq!(group.member(first).unwrap().taken.len(), 5);
        assert_eq!(group.member(second).unwrap().taken.len(), 0);
        group.leave(first);
        assert_eq!(held(&group), [4, 3]);
        assert_eq!(group.member(third).unwrap().taken.len(), 0);
    }

    #[test]
    fn a_member_has_only_what_it_wants() {
        let mut group = Group::default();
        group.join(places("a", 4));
        group.join(places("b", 2));
        assert_eq!(held(&group), [4, 2]);
        group.join(places("a", 4).into_iter().chain(places("b", 2)).collect());
        assert_eq!(held(&group), [2, 2, 2]);
    }
}
