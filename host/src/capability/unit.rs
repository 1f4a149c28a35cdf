//! The unit of work: what a call wants done together or not at all. Its writes, events and stale keys are one commit; what
//! goes out to sockets follows when that is durable.
//!
//! A request's call commits one each time that it asks to. An event's call gathers one, which is committed when it returns.
//! A crash between the commit and what follows it leaves the stale keys to other hosts, by their row; emits are lost then.

use serde_json::value::RawValue;

use super::Capabilities;
#[cfg(doc)]
use super::documents::Documents;
use super::documents::{Commit, Effect, Error, Turn, Write};
use super::events::Event;
use super::invalidations::{Row, Stale};
use super::sessions::Ending;
use super::sockets::Target;

/// The most of each kind of thing that one unit takes.
const MOST: usize = 1_000;

/// What is to be done together.
#[derive(Debug, Default)]
pub struct Unit {
    /// In order; each sees what the ones before it did.
    pub writes: Vec<Write>,
    /// In order.
    pub events: Vec<Event>,
    /// Keys of the cache whose values are over then.
    pub stale: Vec<String>,
    /// Sessions that end, by their user. The writes that end them are among the writes.
    pub ended: Vec<(String, Ending)>,
    /// What goes out afterwards, in order.
    pub emits: Vec<Emit>,
}

/// Something that goes out to sockets.
#[derive(Debug)]
pub struct Emit {
    /// To whom.
    pub targets: Vec<Target>,
    /// Its name.
    pub event: String,
    /// What it carries.
    pub payload: Box<RawValue>,
}

impl Unit {
    /// Puts `more` behind what is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it would be too much; then nothing of `more` is there.
    pub fn add(&mut self, more: Unit) -> Result<(), Error> {
        for (name, there, more) in [
            ("writes", self.writes.len(), more.writes.len()),
            ("events", self.events.len(), more.events.len()),
            ("stale keys", self.stale.len(), more.stale.len()),
            ("emits", self.emits.len(), more.emits.len()),
        ] {
            if there + more > MOST {
                return Err(Error::Invalid(format!("one call for an event gathers at most {MOST} {name}")));
            }
        }
        self.writes.extend(more.writes);
        self.events.extend(more.events);
        self.stale.extend(more.stale);
        self.ended.extend(more.ended);
        self.emits.extend(more.emits);
        Ok(())
    }

    /// Whether nothing of it has to be durable.
    pub fn writes_nothing(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty() && self.stale.is_empty()
    }

    /// Does it. One effect for each of its writes; the turn is the one of [`Documents::commit_in_turn`].
    pub async fn commit(
        self,
        capabilities: &Capabilities,
        kept: Option<Turn>,
    ) -> (Result<Vec<Effect>, Error>, Option<Turn>) {
        let count = self.writes.len();
        let (commit, after) = match self.split(capabilities) {
            Ok(split) => split,
            Err(error) => return (Err(error), kept),
        };
        crate::abort::here("commit");
        let (done, turn) = capabilities.documents.commit_in_turn(commit, kept).await;
        crate::abort::here("committed");
        match done {
            Err(error) => (Err(error), turn),
            Ok(mut effects) => {
                after.follow(capabilities).await;
                effects.truncate(count);
                (Ok(effects), turn)
            }
        }
    }

    /// What is to be durable at once, and what follows it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the stale keys are too large for a row.
    pub fn split(self, capabilities: &Capabilities) -> Result<(Commit, After), Error> {
        let Unit { mut writes, events, stale, ended, emits } = self;
        let stale = Stale { keys: stale, subjects: ended.iter().map(|(subject, _)| subject.clone()).collect() };
        let mut row = None;
        if !stale.is_empty() {
            // Last, so that the places of the call's own writes stay what they are.
            let (made, write) = capabilities.invalidations.row(stale)?;
            writes.extend(write);
            row = Some(made);
        }
        Ok((Commit { writes, events }, After { row, ended, emits }))
    }
}

/// What follows a commit that is durable. Twice is fit to be: clients know an emit by what it carries.
#[must_use = "nothing follows before `follow`"]
pub struct After {
    row: Option<Row>,
    ended: Vec<(String, Ending)>,
    emits: Vec<Emit>,
}

impl After {
    /// Tells the cache, and the sockets.
    pub async fn follow(self, capabilities: &Capabilities) {
        if let Some(row) = self.row {
            capabilities.invalidations.settle(row).await;
        }
        for (subject, ending) in &self.ended {
            capabilities.sockets.end(subject, ending).await;
        }
        for Emit { targets, event, payload } in self.emits {
            if let Err(why) = capabilities.sockets.emit(&targets, &event, &payload).await {
                tracing::debug!(%why, event, "what was committed is not told to every socket");
            }
        }
    }
}
