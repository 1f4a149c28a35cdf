//! The unit of work: what a call does together or not at all. Its writes, events and stale keys are one commit; its emits
//! to sockets follow when that is durable.
//!
//! A request's call commits one per commit call. An event's call gathers one, which is committed when it returns. After a
//! crash between the commit and its effects other hosts apply the stored invalidation; emits are lost then.

use serde_json::value::RawValue;

use crate::Capabilities;
#[cfg(doc)]
use crate::documents::Documents;
use crate::documents::{Commit, Effect, Error, KeyLock, Write};
use crate::events::Event;
use crate::invalidations::Invalidation;
use crate::pending_invalidations::Stale;
use crate::sessions::Ending;
use crate::sockets::Target;

/// The most items of each kind that one unit takes.
const MAX_ITEMS: usize = 1_000;

/// What is done together.
#[derive(Debug, Default)]
pub struct UnitOfWork {
    /// In order; each sees the effects of those before it.
    pub writes: Vec<Write>,
    /// In order.
    pub events: Vec<Event>,
    /// Keys of the cache that the commit makes stale.
    pub stale: Vec<String>,
    /// Sessions that end, by their user. The writes that end them are among the writes.
    pub ended: Vec<(String, Ending)>,
    /// Emits after the commit, in order.
    pub emits: Vec<Emit>,
}

/// An emit to sockets.
#[derive(Debug)]
pub struct Emit {
    /// Its receivers.
    pub targets: Vec<Target>,
    /// Its name.
    pub event: String,
    /// Its payload.
    pub payload: Box<RawValue>,
}

impl UnitOfWork {
    /// Appends `more`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it would be too much; then nothing of `more` is added.
    pub fn add(&mut self, more: UnitOfWork) -> Result<(), Error> {
        for (name, there, more) in [
            ("writes", self.writes.len(), more.writes.len()),
            ("events", self.events.len(), more.events.len()),
            ("stale keys", self.stale.len(), more.stale.len()),
            ("emits", self.emits.len(), more.emits.len()),
        ] {
            if there + more > MAX_ITEMS {
                return Err(Error::Invalid(format!("one call for an event gathers at most {MAX_ITEMS} {name}")));
            }
        }
        self.writes.extend(more.writes);
        self.events.extend(more.events);
        self.stale.extend(more.stale);
        self.ended.extend(more.ended);
        self.emits.extend(more.emits);
        Ok(())
    }

    /// Whether there is nothing to commit.
    pub fn writes_nothing(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty() && self.stale.is_empty()
    }

    /// Commits it. One effect for each of its writes; the lock is the one of [`Documents::commit_in_key_order`].
    pub async fn commit(
        self,
        capabilities: &Capabilities,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        let count = self.writes.len();
        let (commit, after) = match self.split(capabilities) {
            Ok(split) => split,
            Err(error) => return (Err(error), held),
        };
        crate::abort::here("commit");
        let (done, lock) = capabilities.documents.commit_in_key_order(commit, held).await;
        crate::abort::here("committed");
        match done {
            Err(error) => (Err(error), lock),
            Ok(mut effects) => {
                after.follow(capabilities).await;
                effects.truncate(count);
                (Ok(effects), lock)
            }
        }
    }

    /// The commit, and what follows it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the stale keys are too large for a document.
    pub fn split(self, capabilities: &Capabilities) -> Result<(Commit, After), Error> {
        let UnitOfWork { mut writes, events, stale, ended, emits } = self;
        let stale = Stale { keys: stale, subjects: ended.iter().map(|(subject, _)| subject.clone()).collect() };
        let mut invalidation = None;
        if !stale.is_empty() {
            // Last, so that the call's own writes keep their positions.
            let (stored, write) = capabilities.invalidations.prepare(stale)?;
            writes.extend(write);
            invalidation = Some(stored);
        }
        Ok((Commit { writes, events }, After { invalidation, ended, emits }))
    }
}

/// What follows a durable commit. It may run twice: clients recognise an emit by its payload.
#[must_use = "nothing follows before `follow`"]
pub struct After {
    invalidation: Option<Invalidation>,
    ended: Vec<(String, Ending)>,
    emits: Vec<Emit>,
}

impl After {
    /// Invalidates the cache, ends sockets, and emits.
    pub async fn follow(self, capabilities: &Capabilities) {
        if let Some(invalidation) = self.invalidation {
            capabilities.invalidations.settle(invalidation).await;
        }
        for (subject, ending) in &self.ended {
            capabilities.sockets.end(subject, ending).await;
        }
        for Emit { targets, event, payload } in self.emits {
            if let Err(why) = capabilities.sockets.emit(&targets, &event, &payload).await {
                tracing::debug!(%why, event, "an emit does not reach every socket");
            }
        }
    }
}
