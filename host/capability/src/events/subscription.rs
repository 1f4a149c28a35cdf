//! Subscriptions: a member of a consumer group and the records it receives, the same in every store.
//!
//! A group receives each event at least once: a partition is assigned to one member at a time, and the next one starts at
//! the committed offset.

use async_trait::async_trait;

use crate::events::{Error, Record};

/// Where a group without committed offsets in a topic starts. A partition that the topic gets later starts at its oldest
/// event whatever this is: the group has missed nothing of it on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the end of the log: only new events.
    Latest,
    /// At the oldest event of the log.
    Earliest,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name without any prefix.
    pub topic: String,
    /// From 0.
    pub partition: u32,
}

/// The next item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Records of one partition, at least one, in order and after those that were delivered before.
    Records(TopicPartition, Vec<Record>),
    /// These partitions were revoked; their next member gets every record after the committed offset again. Work for them
    /// that is not done has to be dropped. A partition may be assigned again, and starts at the offset committed then; also one
    /// whose topic was deleted and made anew, and then that offset is a smaller one.
    Revoked(Vec<TopicPartition>),
    /// The partition has no further record before this offset. Kafka keeps the ends of transactions in such gaps.
    Skipped(TopicPartition, u64),
}

/// A member of a group. Any number of tasks may use it at once; only one of them should call [`Subscription::next`]. When
/// dropped, it leaves the group like [`Subscription::close`], in the background.
#[async_trait]
pub trait Subscription: Send + Sync + 'static {
    /// Waits for the next item. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once it is closed, or while the log's store can't be read: it can be called again later.
    async fn next(&self) -> Result<Next, Error>;

    /// Durably commits `offset` of a partition for the group: every record before it is processed. An offset below the
    /// committed one changes nothing. False when the partition is no longer assigned to this member: then nothing is
    /// committed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an offset beyond every delivered record, [`Error::Unavailable`] when the log does not
    /// answer or the group is rebalancing: commit again, or the records may be delivered again.
    async fn commit(&self, partition: &TopicPartition, offset: u64) -> Result<bool, Error>;

    /// Pauses a partition: no more records until it is resumed. A partition that is assigned again is not paused.
    fn pause(&self, partition: &TopicPartition);

    /// Resumes a paused partition.
    fn resume(&self, partition: &TopicPartition);

    /// Whether it has ended, by itself or by [`Subscription::close`]: no call of it succeeds any more, and the group has to be
    /// joined again.
    fn is_closed(&self) -> bool;

    /// Leaves the group, so that other members get the partitions at once; committed offsets stay. Idempotent.
    async fn close(&self);
}
