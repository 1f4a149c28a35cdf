//! The truth: collections of documents. Reading is `collection("users").find(filter)…`; every write goes through
//! one [`Commit`], which happens as a whole or not at all. The operators of filters and updates are those of the
//! WIT file; the host refuses any other by name.

mod commit;

use serde::de::DeserializeOwned;

pub use commit::Commit;

use crate::bindings::imports::documents as wit;
use crate::bson::{self, Bson, Document};
use crate::doc;

pub use wit::Effect;

/// Why a read or a commit did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The manifest does not grant this; the text is the line that would.
    Denied(String),
    /// The store did not answer in time, and nothing is known about the effect of a commit; or it ended a request that takes
    /// longer than one may, and nothing was done.
    Unavailable(String),
    /// Not BSON, an unknown operator, or outside a limit; the text says which.
    Invalid(String),
    /// A unique index refused a write. Nothing of the commit was done.
    Duplicate {
        /// The refused write's place in the commit, from 0.
        write: u32,
        /// The index's name: its fields joined by `_`.
        index: String,
    },
    /// A write with [`Commit::must_match`] matched nothing. Nothing of the commit was done.
    Unmet {
        /// The write's place in the commit, from 0.
        write: u32,
    },
    /// A stored document does not fit the type it was read into.
    Unreadable(String),
}

impl Error {
    /// Whether the unique index `name` refused a write.
    pub fn is_duplicate_of(&self, name: &str) -> bool {
        matches!(self, Error::Duplicate { index, .. } if index == name)
    }

    /// Whether the write at place `write` (from 0) had to match and did not.
    pub fn is_unmet(&self, write: u32) -> bool {
        *self == Error::Unmet { write }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Denied(text) => write!(f, "documents denied: {text}"),
            Error::Unavailable(text) => write!(f, "documents unavailable: {text}"),
            Error::Invalid(text) => write!(f, "documents: {text}"),
            Error::Duplicate { write, index } => {
                write!(f, "write {write} of the commit is a duplicate in the index {index}")
            }
            Error::Unmet { write } => write!(f, "write {write} of the commit matched nothing"),
            Error::Unreadable(text) => write!(f, "a stored document does not fit its type: {text}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(text) => Error::Denied(text),
            wit::Error::Unavailable(text) => Error::Unavailable(text),
            wit::Error::Invalid(text) => Error::Invalid(text),
            wit::Error::Duplicate(conflict) => Error::Duplicate { write: conflict.write, index: conflict.index },
            wit::Error::Unmet(write) => Error::Unmet { write },
        }
    }
}

/// The collection called `name`, to read from.
pub fn collection(name: &str) -> Collection<'_> {
    Collection { name }
}

/// A collection, to read from.
#[derive(Debug, Clone, Copy)]
pub struct Collection<'a> {
    name: &'a str,
}

/// How many documents a [`Find`] without a limit answers, and the most that one may ask for.
pub const MOST: u32 = 1_000;
/// The most bytes of a document that a component stored. Only those of earlier databases are larger.
const LARGEST: u32 = 1 << 20;
/// So many of them fit into one answer.
const FEW: u32 = 16;

impl<'a> Collection<'a> {
    /// The documents that match `filter`; say more and then [`Find::all`] or [`Find::first`].
    pub fn find(self, filter: Document) -> Find<'a> {
        Find { collection: self.name, filter, sort: None, projection: None, skip: 0, limit: MOST, row_bytes: None }
    }

    /// The first document that matches `filter`, by `_id`.
    pub fn find_one<T: DeserializeOwned>(self, filter: Document) -> Result<Option<T>, Error> {
        self.find(filter).first()
    }

    /// The document whose `_id` is `id`.
    pub fn by_id<T: DeserializeOwned>(self, id: impl Into<Bson>) -> Result<Option<T>, Error> {
        self.find_one(doc! { "_id": id.into() })
    }

    /// How many match.
    pub fn count(self, filter: Document) -> Result<u64, Error> {
        Ok(wit::count(self.name, &filter.to_vec(), 0)?)
    }

    /// How many match, counted up to `limit` (at least 1), which is cheaper than all of them.
    pub fn count_up_to(self, filter: Document, limit: u32) -> Result<u64, Error> {
        Ok(wit::count(self.name, &filter.to_vec(), limit.max(1))?)
    }

    /// Whether any document matches.
    pub fn exists(self, filter: Document) -> Result<bool, Error> {
        Ok(self.count_up_to(filter, 1)? > 0)
    }

    /// The different values of `field` among the matches, at most 1,000.
    pub fn distinct<T: DeserializeOwned>(self, field: &str, filter: Document) -> Result<Vec<T>, Error> {
        #[derive(serde::Deserialize)]
        struct Distinct<T> {
            values: Vec<T>,
        }
        let found = wit::distinct(self.name, field, &filter.to_vec())?;
        read::<Distinct<T>>(&found).map(|found| found.values)
    }
}

/// A query that is being put together.
#[derive(Debug, Clone)]
#[must_use = "nothing is asked before `all`, `first` or `raw`"]
pub struct Find<'a> {
    collection: &'a str,
    filter: Document,
    sort: Option<Document>,
    projection: Option<Document>,
    skip: u32,
    limit: u32,
    row_bytes: Option<u32>,
}

impl Find<'_> {
    /// `doc! { field: 1 or -1, … }`, in order of weight. Ties, and no sort at all, go by `_id`.
    pub fn sort(mut self, order: Document) -> Self {
        self.sort = Some(order);
        self
    }

    /// Which fields to answer: `doc! { field: 1, … }`, or all but some: `doc! { field: 0, … }`.
    pub fn project(mut self, fields: Document) -> Self {
        self.projection = Some(fields);
        self
    }

    /// Leaves out the first `count` matches.
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// At most `count` matches, 1 to 1,000 ([`MOST`], which is also what a query without a limit gets).
    pub fn limit(mut self, count: u32) -> Self {
        self.limit = count;
        self
    }

    /// At most so many bytes of a document, from 1,024 on, and of all together 16 MiB: a larger one comes without its largest fields, and
    /// without any when its `_id` alone is larger. A list says so, where one odd document must not keep the others from being shown.
    /// Otherwise few matches have 1 MiB each, and many are refused when they have more than 16 MiB together.
    pub fn row_bytes(mut self, most: u32) -> Self {
        self.row_bytes = Some(most);
        self
    }

    /// Every match as a `T`: a struct that derives `Deserialize`, or [`Document`].
    pub fn all<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        self.raw()?.iter().map(|document| read(document)).collect()
    }

    /// The first match.
    pub fn first<T: DeserializeOwned>(mut self) -> Result<Option<T>, Error> {
        self.limit = 1;
        self.raw()?.first().map(|document| read(document)).transpose()
    }

    /// Every match as the BSON bytes that are stored; [`bson::Raw`] turns such bytes into JSON without a detour.
    pub fn raw(self) -> Result<Vec<Vec<u8>>, Error> {
        let whole = (self.limit <= FEW).then_some(LARGEST);
        let row_bytes = self.row_bytes.or(whole);
        let query = wit::Query {
            collection: self.collection.into(),
            filter: self.filter.to_vec(),
            sort: self.sort.as_ref().map(Document::to_vec),
            projection: self.projection.as_ref().map(Document::to_vec),
            skip: self.skip,
            limit: self.limit,
        };
        Ok(match row_bytes {
            Some(most) => wit::find_rows(&query, most),
            None => wit::find(&query),
        }?)
    }
}

fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, Error> {
    bson::from_slice(document).map_err(|error| Error::Unreadable(error.to_string()))
}
