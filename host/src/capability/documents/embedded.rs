//! The embedded document store: one SQLite file, one writer thread, a few reader threads.
//!
//! A collection is a table of BSON documents by the key of their `_id`, an index is an SQLite index over keys of
//! their fields. SQLite only narrows down: what matches is decided by [`Filter::matches`]. Touches its folder alone.

mod checkpoint;
mod commit;
mod files;
mod functions;
mod plan;
mod query;
mod scans;
mod seek;
mod store;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use rusqlite::Connection;

use crate::capability::documents::order::validate_insert;
use crate::capability::documents::{Commit, Documents, Effect, Error, Filter, MAX_LIMIT, Plan, Query, Schema, Write};
use crate::capability::events::{EmbeddedLog, EmbeddedOutbox, Outlet, Way};

use scans::Scans;
use store::Store;
use tables::Layout;

/// Where the store keeps its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of its own that goes when the store goes. Not durable: for tests.
    Memory,
    /// This folder, made if it is not there. One host at a time.
    Folder(PathBuf),
}

/// The store. A clone is the same store; when the last one is dropped, what was accepted is finished, the threads end
/// and the folder is free for another host.
#[derive(Clone)]
pub struct Embedded {
    store: Arc<Store>,
    scans: Scans,
}

impl Embedded {
    /// Opens or makes the store and brings its indexes in line with the schema. `topics` are the event log's topics
    /// with their numbers of partitions. Blocks while it reads and builds: call it before serving.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the schema can't be had (bad names, or existing documents break a unique index: two of
    /// them are named), [`Error::Unavailable`] when the folder is in use by another host or can't be read or written.
    pub fn open(location: Location, schema: &Schema, topics: &BTreeMap<String, u32>) -> Result<Embedded, Error> {
        Embedded::open_with(location, schema, topics, Way::Log)
    }

    /// Like [`Embedded::open`], for a log of events that is another server: a commit's events wait in the outbox of this
    /// store, see [`Embedded::outbox`]. What an earlier host put into the log in the file stays there. A store that is
    /// opened by [`Embedded::open`] again moves what still waits in the outbox into its log.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with_outbox(
        location: Location,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
    ) -> Result<Embedded, Error> {
        Embedded::open_with(location, schema, topics, Way::Outbox)
    }

    fn open_with(
        location: Location,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
        way: Way,
    ) -> Result<Embedded, Error> {
        let outlet = Outlet::new(topics.clone(), way);
        Ok(Embedded { store: Arc::new(Store::open(location, schema, outlet)?), scans: Scans::Allowed })
    }

    /// The same store, which refuses whatever would read a whole collection: [`Error::Invalid`] then names the index
    /// that is missing. A question reads no more than it asks for when an index narrows it down, or when every document
    /// on its way matches and it stops after at most [`MAX_LIMIT`] of them.
    #[must_use]
    pub fn refusing_scans(&self) -> Embedded {
        Embedded { store: Arc::clone(&self.store), scans: Scans::Refused }
    }

    /// The event log in the same file.
    pub fn event_log(&self) -> EmbeddedLog {
        EmbeddedLog::new(self.clone())
    }

    /// The events that wait in the same file; none ever do unless it was opened by [`Embedded::open_with_outbox`].
    pub fn outbox(&self) -> EmbeddedOutbox {
        EmbeddedOutbox::new(self.clone())
    }

    /// Where the events of commits go.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        self.store.layout().outlet()
    }

    /// Runs one read on a reader thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Layout) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.read(work).await
    }

    /// Runs one write on the writer thread; the answer comes when it is durable.
    pub(crate) async fn write(
        &self,
        work: impl FnOnce(&Connection, &Layout) -> Result<Vec<Effect>, Error> + Send + 'static,
    ) -> Result<Vec<Effect>, Error> {
        self.store.write(work).await
    }
}

#[async_trait]
impl Documents for Embedded {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        within_limit(&query)?;
        let scans = self.scans;
        self.read(move |connection, layout| query::find(connection, layout, &query, scans)).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        let (collection, scans) = (collection.to_owned(), self.scans);
        self.read(move |connection, layout| query::count(connection, layout, &collection, &filter, limit, scans)).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        let (collection, field, scans) = (collection.to_owned(), field.to_owned(), self.scans);
        self.read(move |connection, layout| query::distinct(connection, layout, &collection, &field, &filter, scans))
            .await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        for write in &commit.writes {
            match write {
                Write::Insert { collection, document } => {
                    self.store.layout().table(collection)?;
                    validate_insert(document)?;
                }
                Write::Update { collection, .. } | Write::Delete { collection, .. } => {
                    self.store.layout().table(collection)?;
                }
            }
        }
        let scans = self.scans;
        self.write(move |connection, layout| commit::run(connection, layout, &commit, scans)).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        within_limit(&query)?;
        self.read(move |connection, layout| query::explain(connection, layout, &query)).await
    }
}

fn within_limit(query: &Query) -> Result<(), Error> {
    if (1..=MAX_LIMIT).contains(&query.limit) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the limit is {}; it must be 1 to {MAX_LIMIT}", query.limit)))
}

/// Anything SQLite could not do is a store that is not available.
fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string())
}
