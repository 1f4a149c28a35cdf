//! The one way to write: a list of writes and events that happens durably as a whole, or not at all.
//! Writes happen in order and see each other. When [`Commit::run`] answers ok, the events will be delivered.
//! What can't be expressed (a value that is no BSON, a modifier without its write) comes out as the error of `run`.

use serde::Serialize;

use super::{Effect, Error};
use crate::bindings::imports::documents as wit;
use crate::bson::{self, Document};
use crate::events::{self, Envelope};

/// Writes and events that are being put together.
#[derive(Debug, Default)]
#[must_use = "nothing is written before `run`"]
pub struct Commit {
    writes: Vec<wit::Write>,
    events: Vec<events::Event>,
    stale: Vec<String>,
    /// The first thing that went wrong while putting it together.
    fault: Option<Error>,
}

impl Commit {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts `document`: a [`Document`] or a struct that derives `Serialize`. Without `_id` it gets one on the host.
    pub fn insert<T: Serialize + ?Sized>(mut self, collection: &str, document: &T) -> Self {
        match bson::to_vec(document) {
            Ok(document) => {
                self.writes.push(wit::Write::Insert(wit::Insert { collection: collection.into(), document }))
            }
            Err(error) => self.blame(format!("insert into {collection}: {error}")),
        }
        self
    }

    /// Changes the first document that matches `filter`, by operators: `doc! { "$set": { … } }`.
    /// Say more by [`Commit::must_match`], [`Commit::upsert`] and [`Commit::many`] right behind it.
    pub fn update(mut self, collection: &str, filter: Document, change: Document) -> Self {
        self.writes.push(wit::Write::Update(wit::Update {
            collection: collection.into(),
            filter: filter.to_vec(),
            change: change.to_vec(),
            upsert: false,
            many: false,
            must_match: false,
        }));
        self
    }

    /// Deletes the first document that matches `filter`; [`Commit::must_match`] and [`Commit::many`] say more.
    pub fn delete(mut self, collection: &str, filter: Document) -> Self {
        self.writes.push(wit::Write::Delete(wit::Delete {
            collection: collection.into(),
            filter: filter.to_vec(),
            many: false,
            must_match: false,
        }));
        self
    }

    /// Of the update or delete just before: when it matches nothing (and upserts nothing), the whole commit is
    /// refused with [`Error::Unmet`].
    pub fn must_match(mut self) -> Self {
        match self.writes.last_mut() {
            Some(wit::Write::Update(update)) => update.must_match = true,
            Some(wit::Write::Delete(delete)) => delete.must_match = true,
            _ => self.blame("must_match() stands behind update() or delete()"),
        }
        self
    }

    /// Of the update just before: when nothing matches, insert what the filter's equalities and the change make.
    pub fn upsert(mut self) -> Self {
        match self.writes.last_mut() {
            Some(wit::Write::Update(update)) => update.upsert = true,
            _ => self.blame("upsert() stands behind update()"),
        }
        self
    }

    /// Of the update or delete just before: every match and not just the first.
    pub fn many(mut self) -> Self {
        match self.writes.last_mut() {
            Some(wit::Write::Update(update)) => update.many = true,
            Some(wit::Write::Delete(delete)) => delete.many = true,
            _ => self.blame("many() stands behind update() or delete()"),
        }
        self
    }

    /// Begins a session of `subject` (a user id in hex) with these further claims of its token. In an HTTP call the
    /// host sends its cookie with the answer.
    pub fn open_session(mut self, subject: impl ToString, claims: &[(&str, &str)]) -> Self {
        let claims = claims.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.writes.push(wit::Write::OpenSession(wit::NewSession { subject: subject.to_string(), claims }));
        self
    }

    /// Ends the session `id` of `subject`.
    pub fn end_session(self, subject: impl ToString, id: &str) -> Self {
        self.end(subject.to_string(), wit::Ended::One(id.into()))
    }

    /// Ends all sessions of `subject` but `id`.
    pub fn end_other_sessions(self, subject: impl ToString, id: &str) -> Self {
        self.end(subject.to_string(), wit::Ended::Others(id.into()))
    }

    /// Ends all sessions of `subject`.
    pub fn end_all_sessions(self, subject: impl ToString) -> Self {
        self.end(subject.to_string(), wit::Ended::All)
    }

    fn end(mut self, subject: String, which: wit::Ended) -> Self {
        self.writes.push(wit::Write::EndSessions(wit::EndedSessions { subject, which }));
        self
    }

    /// Publishes an event with the commit: `value` as JSON, at most 256 KiB. Events of one `key` keep their order.
    pub fn event<T: Serialize + ?Sized>(mut self, topic: &str, key: &str, kind: &str, value: &T) -> Self {
        match events::event(topic, key, kind, value) {
            Ok(event) => self.events.push(event),
            Err(events::Error::Denied(text) | events::Error::Unavailable(text) | events::Error::Invalid(text)) => {
                self.blame(text)
            }
        }
        self
    }

    /// Publishes an event of the application's shape with the commit; its kind is the envelope's event type.
    pub fn envelope<D: Serialize>(self, topic: &str, key: &str, envelope: &Envelope<D>) -> Self {
        self.event(topic, key, envelope.event_type, envelope)
    }

    /// With the commit the cached value under `key` is over: no host finds it after [`Commit::run`] answered, and no
    /// [`cache::fill`](crate::cache::fill) of somebody who read before brings it back. Needs the grant `"stale"` of the key, which
    /// `"w"` includes. A key that `application.toml` names for the collection, `stale = ["user:{_id}"]`, is stale without this.
    pub fn stale(mut self, key: impl Into<String>) -> Self {
        self.stale.push(key.into());
        self
    }

    /// Does it all, or nothing. One effect per write, in order.
    pub fn run(self) -> Result<Vec<Effect>, Error> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(wit::commit(&self.writes, &self.events, &self.stale)?),
        }
    }

    fn blame(&mut self, text: impl Into<String>) {
        self.fault.get_or_insert_with(|| Error::Invalid(text.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn modifiers_change_the_write_before_them() {
        let commit = Commit::new()
            .update("counters", doc! { "_id": "a" }, doc! { "$inc": { "n": 1 } })
            .upsert()
            .many()
            .delete("users", doc! { "_id": 1 })
            .must_match();
        assert!(commit.fault.is_none());
        assert!(matches!(&commit.writes[0], wit::Write::Update(u) if u.upsert && u.many && !u.must_match));
        assert!(matches!(&commit.writes[1], wit::Write::Delete(d) if d.must_match && !d.many));
    }

    #[test]
    fn a_misplaced_modifier_is_the_error_of_run() {
        let error = Commit::new().insert("users", &doc! {}).must_match().run().unwrap_err();
        assert!(matches!(error, Error::Invalid(text) if text.contains("must_match")));
    }
}
