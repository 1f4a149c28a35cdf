//! Reading: the server finds, in the order of the trait and within its limits.

use std::collections::BTreeMap;

use ::mongodb::{Collection, Database};
use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};

use crate::capability::documents::filter::spread;
use crate::capability::documents::order::{Key, key};
use crate::capability::documents::{Error, Filter, MAX_LIMIT, Query, Sort};

use super::MAX_TIME;
use super::refusal::{code, told};

/// The most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The server's list of different values would not fit into one document.
const TOO_BIG: i32 = 17_217;

pub(super) fn collection(database: &Database, name: &str) -> Collection<RawDocumentBuf> {
    database.collection(name)
}

/// A filter as the driver takes it.
pub(super) fn filter(filter: &Filter) -> Result<Document, Error> {
    Document::try_from(filter.source()).map_err(|error| Error::Invalid(error.to_string()))
}

/// An order without ties: what follows `_id` decides nothing.
pub(super) fn sort(sort: &Sort) -> Document {
    let mut out = Document::new();
    for (path, direction) in sort.to_document() {
        let last = path == "_id";
        out.insert(path, direction);
        if last {
            return out;
        }
    }
    out.insert("_id", 1);
    out
}

/// The matches of a query, projected.
pub(super) async fn find(database: &Database, query: &Query) -> Result<Vec<RawDocumentBuf>, Error> {
    let collection = collection(database, &query.collection);
    let found = collection
        .find(filter(&query.filter)?)
        .sort(sort(&query.sort))
        .projection(query.projection.to_document())
        .skip(query.skip.into())
        .limit(query.limit.into())
        .batch_size(query.limit)
        .max_time(MAX_TIME);
    let mut cursor = found.await.map_err(|error| told(&error))?;
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while cursor.advance().await.map_err(|error| told(&error))? {
        let projected = query.projection.apply(cursor.current());
        bytes += projected.as_bytes().len();
        if bytes > MAX_ANSWER_BYTES {
            return Err(Error::Invalid(format!("the answer has over {MAX_ANSWER_BYTES} bytes; lower the limit")));
        }
        documents.push(projected);
    }
    Ok(documents)
}

/// The number of matches, counted up to `limit` unless that is 0.
pub(super) async fn count(database: &Database, name: &str, asked: &Filter, limit: u32) -> Result<u64, Error> {
    let collection = collection(database, name);
    let mut count = collection.count_documents(filter(asked)?).max_time(MAX_TIME);
    if limit > 0 {
        count = count.limit(limit.into());
    }
    count.await.map_err(|error| told(&error))
}

/// The lowest different values at a path among the matches.
pub(super) async fn distinct(database: &Database, name: &str, field: &str, asked: &Filter) -> Result<Vec<Bson>, Error> {
    // Out of an index alone the server would take a missing field for null, and an array's element apart. What only a
    // document tells keeps it from that.
    let known = doc! { "$and": [filter(asked)?, { "_id": { "$exists": true } }] };
    let values = collection(database, name).distinct(field, known).max_time(MAX_TIME).await;
    let mut lowest = Lowest::default();
    match values {
        Ok(values) => values.into_iter().try_for_each(|value| lowest.add(value))?,
        Err(error) if code(&error) == Some(TOO_BIG) => lowest.read(database, name, field, asked).await?,
        Err(error) => return Err(told(&error)),
    }
    Ok(lowest.values.into_values().collect())
}

/// The lowest different values that were met, at most [`MAX_LIMIT`].
#[derive(Default)]
struct Lowest {
    values: BTreeMap<Key, Bson>,
}

impl Lowest {
    fn add(&mut self, value: Bson) -> Result<(), Error> {
        let raw = RawBson::try_from(value.clone()).map_err(|error| Error::Unavailable(error.to_string()))?;
        self.values.entry(key(raw.as_raw_bson_ref())).or_insert(value);
        if self.values.len() > MAX_LIMIT as usize {
            self.values.pop_last();
        }
        Ok(())
    }

    /// Out of every match, where there are too many values for the server to list.
    async fn read(&mut self, database: &Database, name: &str, field: &str, asked: &Filter) -> Result<(), Error> {
        let whole = field.split('.').next().unwrap_or(field);
        let mut only = Document::new();
        only.insert("_id", i32::from(whole == "_id"));
        only.insert(whole, 1);
        let collection = collection(database, name);
        let found = collection.find(filter(asked)?).projection(only).max_time(MAX_TIME);
        let mut cursor = found.await.map_err(|error| told(&error))?;
        while cursor.advance().await.map_err(|error| told(&error))? {
            let mut met = Vec::new();
            spread(cursor.current(), field, &mut |value| met.extend(Bson::try_from(value).ok()));
            met.into_iter().try_for_each(|value| self.add(value))?;
        }
        Ok(())
    }
}
