//! Reading: queries of the server, in the order of the trait and within its limits.

use std::collections::BTreeMap;

use ::mongodb::{Collection, Database};
use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};

use capability::documents::filter::spread;
use capability::documents::order::{Key, key};
use capability::documents::{Error, Filter, MAX_LIMIT, Query, Sort};

use crate::MAX_TIME;
use crate::refusal::{code, store_error};

/// The most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The server's list of distinct values does not fit into one document.
const TOO_BIG: i32 = 17_217;

pub(super) fn collection(database: &Database, name: &str) -> Collection<RawDocumentBuf> {
    database.collection(name)
}

/// A filter for the driver.
pub(super) fn filter(filter: &Filter) -> Result<Document, Error> {
    Document::try_from(filter.source()).map_err(|error| Error::Invalid(error.to_string()))
}

/// An order without ties; fields after `_id` decide nothing.
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
    let mut cursor = found.await.map_err(|error| store_error(&error))?;
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while cursor.advance().await.map_err(|error| store_error(&error))? {
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
pub(super) async fn count(database: &Database, name: &str, wanted: &Filter, limit: u32) -> Result<u64, Error> {
    let collection = collection(database, name);
    let mut count = collection.count_documents(filter(wanted)?).max_time(MAX_TIME);
    if limit > 0 {
        count = count.limit(limit.into());
    }
    count.await.map_err(|error| store_error(&error))
}

/// The lowest distinct values at a path among the matches.
pub(super) async fn distinct(
    database: &Database,
    name: &str,
    field: &str,
    wanted: &Filter,
) -> Result<Vec<Bson>, Error> {
    // With a covered index scan the server would take a missing field for null, and an array's elements apart. A condition
    // that only the document answers prevents that.
    let known = doc! { "$and": [filter(wanted)?, { "_id": { "$exists": true } }] };
    let values = collection(database, name).distinct(field, known).max_time(MAX_TIME).await;
    let mut lowest = Lowest::default();
    match values {
        Ok(values) => values.into_iter().try_for_each(|value| lowest.add(value))?,
        Err(error) if code(&error) == Some(TOO_BIG) => lowest.read(database, name, field, wanted).await?,
        Err(error) => return Err(store_error(&error)),
    }
    Ok(lowest.values.into_values().collect())
}

/// The lowest distinct values so far, at most [`MAX_LIMIT`].
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

    /// Reads every match, where there are too many values for the server to list.
    async fn read(&mut self, database: &Database, name: &str, field: &str, wanted: &Filter) -> Result<(), Error> {
        let whole = field.split('.').next().unwrap_or(field);
        let mut only = Document::new();
        only.insert("_id", i32::from(whole == "_id"));
        only.insert(whole, 1);
        let collection = collection(database, name);
        let found = collection.find(filter(wanted)?).projection(only).max_time(MAX_TIME);
        let mut cursor = found.await.map_err(|error| store_error(&error))?;
        while cursor.advance().await.map_err(|error| store_error(&error))? {
            let mut values = Vec::new();
            spread(cursor.current(), field, &mut |value| values.extend(Bson::try_from(value).ok()));
            values.into_iter().try_for_each(|value| self.add(value))?;
        }
        Ok(())
    }
}
