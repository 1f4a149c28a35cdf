//! What was begun and is not waited for yet.

use serde::de::DeserializeOwned;

use crate::process::Waiting;

/// An answer that comes; several that were begun run at once.
#[must_use = "what is not waited for may not be done before the test goes on"]
pub struct Pending<'a, T> {
    waiting: Waiting<'a>,
    read: fn(Waiting<'a>) -> T,
}

impl<'a, T> Pending<'a, T> {
    /// Of an answer that is what is waited for.
    pub(crate) fn of(waiting: Waiting<'a>) -> Self
    where
        T: DeserializeOwned,
    {
        Self { waiting, read: Waiting::read }
    }

    /// Of an answer that what is waited for is made of.
    pub(crate) fn made(waiting: Waiting<'a>, read: fn(Waiting<'a>) -> T) -> Self {
        Self { waiting, read }
    }

    /// Waits for it.
    pub fn wait(self) -> T {
        (self.read)(self.waiting)
    }
}

/// Begins all of them before it waits for any; their answers are in their order.
pub fn all<'a, T>(pending: impl IntoIterator<Item = Pending<'a, T>>) -> Vec<T> {
    let begun: Vec<_> = pending.into_iter().collect();
    begun.into_iter().map(Pending::wait).collect()
}
