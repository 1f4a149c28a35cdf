//! Subscriptions: what a member of a group of consumers sees of the log, the same on every engine.
//!
//! A group has each event at least once: a partition belongs to one member at a time, and what its member had not
//! finished is told again to the next one.

use async_trait::async_trait;

use super::{Error, Record};

/// Where a group begins that has no offsets yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Latest,
    /// With the oldest that the log has.
    Earliest,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic's name without any prefix.
    pub topic: String,
    /// From 0.
    pub partition: u32,
}

/// What a subscription says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Records of one partition, at least one, in order and after those that were told before.
    Records(Place, Vec<Record>),
    /// These partitions are another member's now, who is told everything again that was not finished. Whatever is
    /// still to be done for them is to be left. A partition may come back, and begins at what was finished then.
    Taken(Vec<Place>),
}

/// A member of a group. Any number of tasks may use it at once; only one of them should ask for what is next. Dropped, it
/// hands its partitions back like [`Subscription::close`], in the background.
#[async_trait]
pub trait Subscription: Send + Sync + 'static {
    /// Waits for what is next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once it is closed, or while the log's store can't be read: it can be asked again later.
    async fn next(&self) -> Result<Next, Error>;

    /// Durably remembers that the group has finished everything before `offset` in a partition; an offset before one
    /// that was finished already changes nothing. False when the partition is not this member's any more: then the group
    /// does not remember it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an offset that is after everything that was told, [`Error::Unavailable`] when the log
    /// does not answer, or is just giving partitions to others: it is to be said again, or may be told again.
    async fn finished(&self, place: &Place, offset: u64) -> Result<bool, Error>;

    /// No more records of a partition until it is resumed. It begins un-paused each time it becomes this member's.
    fn pause(&self, place: &Place);

    /// Records of a paused partition again.
    fn resume(&self, place: &Place);

    /// Hands the partitions back, so that other members have them at once; what was finished stays so. Twice is once.
    async fn close(&self);
}
