//! Documents: the application's data, behind one trait that each store implements.
//!
//! This file says what a store must do; `filter`, `update` and `order` define the operators and refuse every other one by
//! name; `derived` fills the fields that documents of an earlier version lack. The stores are crates of their own. Nothing
//! here knows a collection of the application, a component or HTTP.

mod counted;
mod derived;
mod distinct;
mod elements;
pub mod filter;
#[cfg(test)]
mod fuzz;
mod grant;
pub mod indexed;
pub mod key_locks;
pub mod order;
pub mod schema;
mod update;

use std::time::Duration;

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};

pub use crate::budget::{MAX_ANSWER, MAX_LIMIT};
pub use counted::{Counted, StoreCalls};
pub use derived::{Commits, Derived, Filled, MARKERS, Uncached, fill};
pub use distinct::Lowest;
pub use filter::Filter;
pub use grant::{CollectionGrant, Grant, View};
pub use key_locks::{HeldKeyLock, KeyLock};
pub use order::{Projection, Sort};
pub use schema::{Collection, Index, Schema};
pub use update::{Change, Changed};

use crate::events::Event;
use crate::text;

/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// The deepest nesting of documents and arrays, counted from the document itself.
pub const MAX_DEPTH: usize = 32;

/// Why a store refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request can't be understood or is outside a limit; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// A unique index refused the write at this position of the commit; nothing was done.
    #[error("write {write} repeats a value of the unique index `{index}`")]
    Duplicate {
        /// The write's position in the commit, from 0.
        write: u32,
        /// The name of the index.
        index: String,
    },
    /// The write at this position had to match a document and did not; nothing was done.
    #[error("write {0} had to match a document and matched none")]
    Unmet(u32),
    /// The store ended this request before it was done: it takes longer than a request may, or than its caller waits. Nothing was
    /// done. Asking again helps when the store was busy, and not when the request is too large.
    #[error("the document store gave the request up: {0}")]
    Overdue(String),
    /// The store did not answer; whether a commit happened is not known.
    #[error("the document store is not available: {0}")]
    Unavailable(String),
}

impl Error {
    /// [`Error::Invalid`] with a text that may repeat what a component wrote: it is cut.
    pub fn invalid(text: impl AsRef<str>) -> Self {
        Self::Invalid(text::cut(text.as_ref(), text::MAX_REASON))
    }

    /// The answer is larger than [`MAX_ANSWER`].
    pub fn too_large_an_answer() -> Self {
        Self::Invalid(format!("the answer has over {MAX_ANSWER} bytes; lower the limit, or ask for fewer fields"))
    }
}

/// A query on one collection.
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
    /// How many to skip first.
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
        /// The collection.
        collection: String,
        /// The whole document.
        document: RawDocumentBuf,
    },
    /// A change to the first match (by `_id`), or to all of them.
    Update {
        /// The collection.
        collection: String,
        /// Which documents.
        filter: Filter,
        /// The change.
        change: Change,
        /// Insert the filter's equalities plus the change when nothing matches.
        upsert: bool,
        /// Every match, not just the first.
        many: bool,
        /// Refuse the commit when nothing matches and nothing is upserted.
        must_match: bool,
    },
    /// A deletion of the first match (by `_id`), or of all of them.
    Delete {
        /// The collection.
        collection: String,
        /// Which documents.
        filter: Filter,
        /// Every match, not just the first.
        many: bool,
        /// Refuse the commit when nothing matches.
        must_match: bool,
    },
}

impl Write {
    /// The collection.
    pub fn collection(&self) -> &str {
        match self {
            Write::Insert { collection, .. } | Write::Update { collection, .. } | Write::Delete { collection, .. } => {
                collection
            }
        }
    }

    /// Whether there may be more or fewer documents after it.
    pub fn adds_or_removes(&self) -> bool {
        !matches!(self, Write::Update { upsert: false, .. })
    }

    /// About how many bytes it takes in memory. A change takes more than its source: its values are parsed.
    pub fn weight(&self) -> usize {
        match self {
            Write::Insert { collection, document } => collection.len() + document.as_bytes().len(),
            Write::Update { collection, filter, change, .. } => collection.len() + filter.weight() + change.weight(),
            Write::Delete { collection, filter, .. } => collection.len() + filter.weight(),
        }
    }

    /// A change of the one document that matches `known`; the commit is refused when none does (any more). A field that is in
    /// both orders several writers.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `known` is not a filter or `change` is not a change.
    pub fn change_known(collection: &str, known: &Document, change: &Document) -> Result<Self, Error> {
        Ok(Self::Update {
            collection: collection.to_owned(),
            filter: Filter::from_document(known)?,
            change: Change::from_document(change)?,
            upsert: false,
            many: false,
            must_match: true,
        })
    }

    /// Sets these fields in the document of this `_id`; inserts it when it is not there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fields that no document accepts.
    pub fn put(collection: &str, id: &str, fields: Document) -> Result<Self, Error> {
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

/// Writes and events that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Done in order; each sees the effects of those before it.
    pub writes: Vec<Write>,
    /// Appended to the event log in order, in the same transaction.
    pub events: Vec<Event>,
}

/// What one write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Documents that the filter matched; 0 for an insert.
    pub matched: u64,
    /// Documents that changed; an insertion counts 1.
    pub changed: u64,
    /// An update inserted a new document.
    pub upserted: bool,
}

/// How a store would run a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every step as the store describes it.
    pub steps: Vec<String>,
    /// The number of documents read grows with the matches or the limit, and not with the collection.
    pub indexed: bool,
}

/// Called by a store that learns the outcome of a commit after its caller stopped waiting; true: the commit happened.
pub type Late = Box<dyn FnOnce(bool) + Send>;

/// A store of documents and, in the same transaction, of events.
///
/// `Ok` from [`Documents::commit`] means durable: after a crash of the process or of the machine the writes and the events
/// are there. Dropping the future of a call stops the waiting, never the work.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// The matching documents, projected and in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they have more than [`MAX_ANSWER`] bytes.
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error>;
    /// How many match, counted up to `limit`; 0 counts them all.
    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error>;
    /// The distinct values at the dotted path `field` among the matches (an array counts as its elements), at most
    /// [`MAX_LIMIT`], in the order of [`order`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when they have more than [`MAX_ANSWER`] bytes; see [`Lowest`].
    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<bson::Bson>, Error>;
    /// Commits all of it durably, or nothing. One [`Effect`] per write.
    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error>;
    /// The same, one after the other with commits of this host on the same keys, where the store would let them conflict;
    /// `held` is the lock of the commit before. When a unique index or a missing match refuses the commit, the lock is
    /// returned too: what its caller reads while it holds the lock is still true when it commits again.
    async fn commit_in_key_order(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        drop(held);
        (self.commit(commit).await, None)
    }
    /// The same. A store that stops waiting before it knows the outcome, and learns it later, calls `late` then.
    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        drop(late);
        self.commit_in_key_order(commit, held).await
    }
    /// The same for a commit that no client waits for, such as the effect of an event. A store may give other commits
    /// priority; it still commits these, one at a time if need be.
    async fn commit_in_background(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.commit(commit).await
    }
    /// Takes documents of an earlier database as they are: of any type that BSON has, of any depth. A commit takes only what its
    /// operators know. Only `_id` and the indexes refuse one.
    ///
    /// # Errors
    /// [`Error::Duplicate`] with the document's position, and those of a commit. Documents before it may have been taken.
    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        let count = documents.len();
        Err(Error::Invalid(format!("this store adopts no documents, so not these {count} of `{collection}`")))
    }
    /// Tells when others insert documents into a collection: those whose field `by` is not this one.
    fn watch(&self, _collection: &str, _by: ObjectId) -> Box<dyn Watch> {
        Box::new(Polled)
    }
    /// How a query would be run.
    async fn explain(&self, query: Query) -> Result<Plan, Error>;
}

/// What others insert into a collection.
#[async_trait]
pub trait Watch: Send {
    /// Returns soon, about `usual`, after others have inserted documents, and after `longest`. Also when it does not know:
    /// a store that can't tell returns after `usual`. What was inserted before the first call is not told. A call may be
    /// dropped.
    async fn changed(&mut self, usual: Duration, longest: Duration);
}

/// The watch of a store that can't tell.
struct Polled;

#[async_trait]
impl Watch for Polled {
    async fn changed(&mut self, usual: Duration, _longest: Duration) {
        tokio::time::sleep(usual).await;
    }
}
