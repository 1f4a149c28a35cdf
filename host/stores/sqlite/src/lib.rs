//! SQLite: documents, the log of events and the outbox in one file, with one writer thread and a few reader threads.
//!
//! A collection is a table of BSON documents by the key of their `_id`, an index is an SQLite index over keys of their
//! fields. SQLite selects candidates, and [`Filter::matches`] decides. It touches its folder only.

#![forbid(unsafe_code)]

mod budget;
mod checkpoint;
mod commit;
mod event_log;
mod event_row;
mod files;
mod functions;
mod groups;
mod outbox;
mod outlet;
mod plan;
mod query;
mod retention;
mod scans;
mod seek;
mod store;
mod subscription;
mod tables;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use rusqlite::Connection;

use crate::outlet::{Destination, Outlet};
use capability::budget::Budget;
use capability::documents::order::validate_insert;
use capability::documents::{Commit, Documents, Effect, Error, Filter, MAX_LIMIT, Plan, Query, Schema, Write};
pub use event_log::SqliteLog;
pub use outbox::SqliteOutbox;

use scans::Scans;
use store::Store;
use tables::Layout;

/// The place of the store's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A temporary folder that is removed with the store. Not durable: for tests.
    Memory,
    /// This folder, created if it is missing. One host at a time.
    Folder(PathBuf),
}

/// How much of the machine the store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Threads that read. A slow query takes one of them for as long as its budget lasts.
    pub readers: usize,
    /// The page cache of each thread, in KiB.
    pub page_cache_kib: u32,
    /// The part of the file that is mapped into memory, in MiB; 0: none. What is mapped is read without a copy, but a disk that
    /// fails then ends the process instead of one request.
    pub mmap_mib: u32,
}

impl Default for Settings {
    /// A reader for each core, at least 4 and at most 16, with 8 MiB each, and nothing mapped.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { readers: cores.clamp(4, 16), page_cache_kib: 8 << 10, mmap_mib: 0 }
    }
}

/// The store. A clone is the same store; when the last one is dropped, the queued work is finished, the threads end and the
/// folder is free for another host.
#[derive(Clone)]
pub struct Sqlite {
    store: Arc<Store>,
    scans: Scans,
}

impl Sqlite {
    /// Opens or creates the store and brings its indexes in line with the schema. `topics` are the event log's topics with
    /// their numbers of partitions. Blocks while it reads and builds: call it before serving.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the schema is not possible (bad names, or existing documents break a unique index: two of
    /// them are named), [`Error::Unavailable`] when the folder is in use by another host or can't be read or written.
    pub fn open(location: Location, schema: &Schema, topics: &BTreeMap<String, u32>) -> Result<Sqlite, Error> {
        Sqlite::open_with(location, schema, topics, Settings::default())
    }

    /// Like [`Sqlite::open`], for a log of events that is another server: a commit's events go into the outbox of this store,
    /// see [`Sqlite::outbox`]. Events that are in the log of this file stay there. A store that is opened by [`Sqlite::open`]
    /// again moves the events that are still in the outbox into its log.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with_outbox(
        location: Location,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
    ) -> Result<Sqlite, Error> {
        Sqlite::open_for(location, schema, topics, Destination::Outbox, Settings::default())
    }

    /// Like [`Sqlite::open`], with other than the usual settings.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with(
        location: Location,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
        settings: Settings,
    ) -> Result<Sqlite, Error> {
        Sqlite::open_for(location, schema, topics, Destination::Log, settings)
    }

    fn open_for(
        location: Location,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
        destination: Destination,
        settings: Settings,
    ) -> Result<Sqlite, Error> {
        let outlet = Outlet::new(topics.clone(), destination);
        Ok(Sqlite { store: Arc::new(Store::open(location, schema, outlet, settings)?), scans: Scans::Allowed })
    }

    /// The same store, which refuses queries that would read a whole collection: [`Error::Invalid`] then names the missing
    /// index. A query is bounded when an index narrows it down, or when every document that it reads matches and it stops
    /// after at most [`MAX_LIMIT`] of them.
    #[must_use]
    pub fn refusing_scans(&self) -> Sqlite {
        Sqlite { store: Arc::clone(&self.store), scans: Scans::Refused }
    }

    /// The event log in the same file.
    pub fn event_log(&self) -> SqliteLog {
        SqliteLog::new(self.clone())
    }

    /// The outbox in the same file; it is empty unless the store was opened by [`Sqlite::open_with_outbox`].
    pub fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(self.clone())
    }

    /// The outlet for the events of commits.
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

    /// Runs one write on the writer thread; returns when it is durable. It is run again where others that were to become durable
    /// with it had to be undone; nothing is left of the first time then.
    pub(crate) async fn write(
        &self,
        work: impl Fn(&Connection, &Layout) -> Result<Vec<Effect>, Error> + Send + 'static,
    ) -> Result<Vec<Effect>, Error> {
        self.store.write(work).await
    }
}

#[async_trait]
impl Documents for Sqlite {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        within_limit(&query)?;
        let (budget, scans) = (Budget::read(), self.scans);
        self.read(move |connection, layout| budget::within(budget, || query::find(connection, layout, &query, scans)))
            .await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        let (collection, budget, scans) = (collection.to_owned(), Budget::read(), self.scans);
        self.read(move |connection, layout| {
            let count = || query::count(connection, layout, &collection, &filter, limit, scans);
            budget::within(budget, count)
        })
        .await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        let (collection, field) = (collection.to_owned(), field.to_owned());
        let (budget, scans) = (Budget::read(), self.scans);
        self.read(move |connection, layout| {
            let distinct = || query::distinct(connection, layout, &collection, &field, &filter, scans);
            budget::within(budget, distinct)
        })
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
        self.write(move |connection, layout| {
            budget::within(Budget::commit(), || commit::run(connection, layout, &commit, scans))
        })
        .await
    }

    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        let collection = collection.to_owned();
        let adopted = self.write(move |connection, layout| {
            budget::within(Budget::commit(), || commit::adopt(connection, layout, &collection, &documents))
        });
        adopted.await.map(drop)
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

/// Every error of SQLite counts as a store that is not available.
fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string())
}
