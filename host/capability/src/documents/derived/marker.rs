//! Markers: the progress of a filling, in the store itself.
//!
//! One document per field and rule, so that another rule is another filling. It is written after the work that it
//! reports: after a crash some documents are read again, none is left out.

use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::documents::{Change, Commit, Derived, Documents, Error, Filter, Query, Write};

/// The host's own collection of markers. No component can be granted it.
pub const COLLECTION: &str = "host-markers";

/// The progress of a filling.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Progress {
    /// Every document up to this `_id` was read; none at the start.
    pub(super) after: Option<Bson>,
    /// Documents that were read.
    pub(super) seen: i64,
    /// Documents that got the field.
    pub(super) filled: i64,
    /// Documents that lack the field and can't have it.
    pub(super) skipped: i64,
    /// Some of the skipped ones and why, for people.
    pub(super) examples: Vec<String>,
    /// All documents were read.
    pub(super) done: bool,
}

/// The marker of one field and rule.
pub(super) struct Marker<'a> {
    pub(super) store: &'a dyn Documents,
    pub(super) id: String,
}

impl<'a> Marker<'a> {
    pub(super) fn of(store: &'a dyn Documents, collection: &str, field: &str, rule: &Derived) -> Self {
        Self { store, id: format!("derived:{collection}.{field}={rule}") }
    }

    /// The progress so far; creates the marker when there is none.
    pub(super) async fn read(&self) -> Result<Progress, Error> {
        let query = Query { limit: 1, ..Query::all(COLLECTION, self.filter()?) };
        if let Some(found) = self.store.find(query).await?.first() {
            return Document::try_from(found.as_ref()).map(|found| Progress::from(&found)).map_err(damaged);
        }
        let document = RawDocumentBuf::try_from(&doc! { "_id": &self.id }).map_err(damaged)?;
        match self.commit(Write::Insert { collection: COLLECTION.to_owned(), document }).await {
            // Another host was first.
            Ok(()) | Err(Error::Duplicate { .. }) => Ok(Progress::default()),
            Err(error) => Err(error),
        }
    }

    /// Clears the progress: the filling starts again.
    pub(super) async fn reset(&self) -> Result<(), Error> {
        self.update(doc! { "$unset": { "after": "", "doneAt": "" } }).await
    }

    /// Writes the progress. Of two hosts that fill at once the farther `after` stays: each has read all documents up to its
    /// own.
    pub(super) async fn write(&self, progress: &Progress, now: bson::DateTime) -> Result<(), Error> {
        let mut set = doc! {
            "seen": progress.seen,
            "filled": progress.filled,
            "skipped": progress.skipped,
            "examples": &progress.examples,
        };
        if progress.done {
            set.insert("doneAt", now);
        }
        let mut change = doc! { "$set": set };
        if let Some(after) = &progress.after {
            change.insert("$max", doc! { "after": after });
        }
        self.update(change).await
    }

    async fn update(&self, change: Document) -> Result<(), Error> {
        self.commit(Write::Update {
            collection: COLLECTION.to_owned(),
            filter: self.filter()?,
            change: Change::from_document(&change)?,
            upsert: false,
            many: false,
            must_match: false,
        })
        .await
    }

    async fn commit(&self, write: Write) -> Result<(), Error> {
        self.store.commit(Commit { writes: vec![write], events: Vec::new() }).await.map(drop)
    }

    fn filter(&self) -> Result<Filter, Error> {
        Filter::by_id(Bson::String(self.id.clone()))
    }
}

impl From<&Document> for Progress {
    fn from(marker: &Document) -> Self {
        let number = |field: &str| marker.get_i64(field).unwrap_or_default();
        let examples = marker.get_array("examples").map(Vec::as_slice).unwrap_or_default();
        Self {
            after: marker.get("after").cloned(),
            seen: number("seen"),
            filled: number("filled"),
            skipped: number("skipped"),
            examples: examples.iter().filter_map(Bson::as_str).map(str::to_owned).collect(),
            done: marker.get_datetime("doneAt").is_ok(),
        }
    }
}

fn damaged(error: bson::error::Error) -> Error {
    Error::Unavailable(format!("a marker is damaged: {error}"))
}
