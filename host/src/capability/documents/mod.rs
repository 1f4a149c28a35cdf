//! Documents: the product's truth, behind one trait with an engine per store.
//!
//! This file says what a store must do; `filter`, `update` and `order` say what the operators mean and refuse the
//! rest by name; `derived` fills what documents of an earlier version lack; `embedded` is the SQLite engine and `mongodb`
//! the one on a server. Nothing here knows a collection of the product, a component or HTTP.

mod derived;
mod embedded;
mod filter;
mod grant;
mod guarded;
mod host;
mod indexed;
mod mongodb;
mod order;
mod schema;
mod turns;
mod update;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, doc};

pub(crate) use derived::MARKERS;
pub use derived::{Derived, Filled, fill};
pub use embedded::{Embedded, Location};
pub use filter::Filter;
pub use grant::{CollectionGrant, Grant};
pub use guarded::Guarded;
pub(crate) use mongodb::{MAX_TIME, Shared, Stop, is_duplicate, told};
pub use mongodb::{MongoDb, Report, Unmade};
pub use order::{Projection, Sort};
pub use schema::{Collection, Index, Schema};
pub use turns::{KeptTurn, Turn};
pub use update::Change;

use crate::capability::events::Event;

/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// The deepest nesting of documents and arrays, counted from the document itself.
pub const MAX_DEPTH: usize = 32;
/// The most documents that one query answers.
pub const MAX_LIMIT: u32 = 1_000;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request can't be understood or is outside a limit; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// A unique index refused the write at this place of the commit; nothing was done.
    #[error("write {write} repeats a value of the unique index `{index}`")]
    Duplicate {
        /// The write's place in the commit, from 0.
        write: u32,
        /// The name of the index.
        index: String,
    },
    /// The write at this place had to match something and did not; nothing was done.
    #[error("write {0} had to match a document and matched none")]
    Unmet(u32),
    /// The store did not answer; what became of a commit is not known.
    #[error("the document store is not available: {0}")]
    Unavailable(String),
}

/// A question to one collection.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its name, as the schema has it.
    pub collection: String,
    /// Which documents.
    pub filter: Filter,
    /// In which order; ties, and queries without one, are by `_id`.
    pub sort: Sort,
    /// Which of their fields.
    pub projection: Projection,
    /// How many to pass over first.
    pub skip: u32,
    /// How many at most, 1 to [`MAX_LIMIT`].
    pub limit: u32,
}

impl Query {
    /// Whole documents, as many as one query answers, by `_id`.
    pub fn all(collection: &str, filter: Filter) -> Self {
        let (sort, projection) = (Sort::none(), Projection::all());
        Self { collection: collection.to_owned(), filter, sort, projection, skip: 0, limit: MAX_LIMIT }
    }
}

/// One write of a commit.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new document. It must have an `_id`.
    Insert {
        /// Where to.
        collection: String,
        /// The whole of it.
        document: RawDocumentBuf,
    },
    /// A change to the first match (by `_id`), or to all of them.
    Update {
        /// Where.
        collection: String,
        /// Which.
        filter: Filter,
        /// What becomes different.
        change: Change,
        /// Insert the filter's equalities plus the change when nothing matches.
        upsert: bool,
        /// Every match, not just the first.
        many: bool,
        /// Refuse the commit when nothing matches and nothing is upserted.
        must_match: bool,
    },
    /// The end of the first match (by `_id`), or of all of them.
    Delete {
        /// Where.
        collection: String,
        /// Which.
        filter: Filter,
        /// Every match, not just the first.
        many: bool,
        /// Refuse the commit when nothing matches.
        must_match: bool,
    },
}

impl Write {
    /// A change of the one document that is as `known` says; the commit is refused when it is not, or not any more. What orders
    /// several writers of it is a field in both.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no filter or no change.
    pub(crate) fn change_known(collection: &str, known: &Document, change: &Document) -> Result<Self, Error> {
        Ok(Self::Update {
            collection: collection.to_owned(),
            filter: Filter::from_document(known)?,
            change: Change::from_document(change)?,
            upsert: false,
            many: false,
            must_match: true,
        })
    }

    /// These fields in the document of this `_id`, whether it is there or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what no document takes.
    pub(crate) fn put(collection: &str, id: &str, fields: Document) -> Result<Self, Error> {
        Ok(Self::Update {
            collection: collection.to_owned(),
            filter: Filter::from_document(&doc! { "_id": id })?,
            change: Change::from_document(&doc! { "$set": fields })?,
            upsert: true,
            many: false,
            must_match: false,
        })
    }
}

/// A date as documents have it, of milliseconds since 1970.
pub fn date(millis: u64) -> bson::DateTime {
    bson::DateTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// What happens together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Done in order; each sees what the ones before it did.
    pub writes: Vec<Write>,
    /// Appended to the event log in order, in the same transaction.
    pub events: Vec<Event>,
}

/// What one write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Documents that the filter found; 0 for an insert.
    pub matched: u64,
    /// Documents that are different now; an insertion counts 1.
    pub changed: u64,
    /// An update inserted a new document.
    pub upserted: bool,
}

/// How a store would answer a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every step as the store describes it.
    pub steps: Vec<String>,
    /// What is read grows with what matches or is asked for, and not with the collection.
    pub indexed: bool,
}

/// A store of documents and, in the same transaction, of events.
///
/// An answer `Ok` to [`Documents::commit`] means durable: after a crash of the process or of the machine the writes
/// and the events are there. Dropping the future of a call abandons the waiting, never the work.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// The matching documents, projected and in order.
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error>;
    /// How many match, counted up to `limit`; 0 counts them all.
    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error>;
    /// The different values at the dotted path `field` among the matches (an array counts as its elements), at most
    /// [`MAX_LIMIT`], in the order of [`order`].
    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<bson::Bson>, Error>;
    /// All of it durably, or nothing. One [`Effect`] per write.
    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error>;
    /// The same in turn with other commits of this host about the same things, where the store is one that would let them
    /// spoil each other; `kept` is the turn of the commit before. When a unique index or a missing match refuses the commit,
    /// the turn is answered too: what its caller reads while it has it is still so when it commits again.
    async fn commit_in_turn(&self, commit: Commit, kept: Option<Turn>) -> (Result<Vec<Effect>, Error>, Option<Turn>) {
        drop(kept);
        (self.commit(commit).await, None)
    }
    /// The same for a commit that nobody waits for, such as the effect of an event. Where the store is one that others
    /// wait for meanwhile, they come first; it is done all the same, one at a time if need be.
    async fn commit_beside(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.commit(commit).await
    }
    /// How a query would be answered.
    async fn explain(&self, query: Query) -> Result<Plan, Error>;
}
