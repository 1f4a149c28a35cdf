//! Consumer groups of the embedded log: the assignment of partitions. Members are tasks of this process.
//!
//! When a member joins or leaves, the group is rebalanced; as few partitions as possible change their member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use capability::events::TopicPartition;

/// All groups of a log.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<BTreeMap<String, Group>>);

impl Groups {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups that have members now, each with the topics of these.
    pub(super) fn subscribed(&self) -> BTreeSet<(String, String)> {
        let groups = self.lock();
        let members = groups.iter().flat_map(|(name, group)| group.members.values().map(move |member| (name, member)));
        let topics = members.flat_map(|(name, member)| {
            member.subscribed.iter().map(move |partition| (name.clone(), partition.topic.clone()))
        });
        topics.collect()
    }
}

/// A group: its members by number.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<u64, MemberState>,
    next: u64,
}

/// A member.
#[derive(Debug)]
pub(super) struct MemberState {
    subscribed: BTreeSet<TopicPartition>,
    pub(super) assigned: BTreeMap<TopicPartition, Assignment>,
    /// Revoked partitions that the member does not know of yet.
    pub(super) revoked: Vec<TopicPartition>,
}

/// An assigned partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Assignment {
    /// The offset to read from next; none before the first read, which begins at the committed offset.
    pub(super) position: Option<u64>,
    /// The offset after the last delivered record; none before the first.
    pub(super) delivered: Option<u64>,
    pub(super) paused: bool,
}

impl Group {
    pub(super) fn join(&mut self, subscribed: BTreeSet<TopicPartition>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.members.insert(number, MemberState { subscribed, assigned: BTreeMap::new(), revoked: Vec::new() });
        self.rebalance();
        number
    }

    pub(super) fn leave(&mut self, member: u64) {
        if self.members.remove(&member).is_some() {
            self.rebalance();
        }
    }

    pub(super) fn member(&mut self, number: u64) -> Option<&mut MemberState> {
        self.members.get_mut(&number)
    }

    fn rebalance(&mut self) {
        let subscribed: BTreeSet<TopicPartition> =
            self.members.values().flat_map(|member| member.subscribed.iter().cloned()).collect();
        for partition in subscribed {
            if !self.members.values().any(|member| member.assigned.contains_key(&partition)) {
                self.assign(partition);
            }
        }
        while let Some((from, partition)) = self.imbalance() {
            if let Some(member) = self.members.get_mut(&from) {
                member.assigned.remove(&partition);
                member.revoked.push(partition.clone());
            }
            self.assign(partition);
        }
    }

    /// Assigns a partition to the subscribed member with the fewest.
    fn assign(&mut self, partition: TopicPartition) {
        let subscribed = self.members.values_mut().filter(|member| member.subscribed.contains(&partition));
        if let Some(member) = subscribed.min_by_key(|member| member.assigned.len()) {
            member.assigned.insert(partition, Assignment::default());
        }
    }

    /// A member and one of its partitions to which another member with at least two fewer is subscribed.
    fn imbalance(&self) -> Option<(u64, TopicPartition)> {
        self.members.iter().find_map(|(number, member)| {
            let movable = |partition: &&TopicPartition| {
                let mut others = self.members.values();
                let fewer = |other: &MemberState| other.assigned.len() + 1 < member.assigned.len();
                others.any(|other| other.subscribed.contains(*partition) && fewer(other))
            };
            member.assigned.keys().find(movable).map(|partition| (*number, partition.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(topic: &str, count: u32) -> BTreeSet<TopicPartition> {
        (0..count).map(|partition| TopicPartition { topic: topic.to_owned(), partition }).collect()
    }

    fn assigned(group: &Group) -> Vec<usize> {
        group.members.values().map(|member| member.assigned.len()).collect()
    }

    #[test]
    fn partitions_are_shared_evenly_and_move_seldom() {
        let mut group = Group::default();
        let first = group.join(partitions("a", 7));
        assert_eq!(assigned(&group), [7]);
        let second = group.join(partitions("a", 7));
        assert_eq!(assigned(&group), [4, 3]);
        assert_eq!(group.member(first).unwrap().revoked.len(), 3);
        let third = group.join(partitions("a", 7));
        assert_eq!(assigned(&group), [2, 3, 2]);
        assert_eq!(group.member(first).unwrap().revoked.len(), 5);
        assert_eq!(group.member(second).unwrap().revoked.len(), 0);
        group.leave(first);
        assert_eq!(assigned(&group), [4, 3]);
        assert_eq!(group.member(third).unwrap().revoked.len(), 0);
    }

    #[test]
    fn a_member_has_only_what_it_wants() {
        let mut group = Group::default();
        group.join(partitions("a", 4));
        group.join(partitions("b", 2));
        assert_eq!(assigned(&group), [4, 2]);
        group.join(partitions("a", 4).into_iter().chain(partitions("b", 2)).collect());
        assert_eq!(assigned(&group), [2, 2, 2]);
    }
}
