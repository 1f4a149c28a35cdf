//! Reading: queries of the server, in the order of the trait and within its limits.

use ::mongodb::{Collection, Database};
use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};

use capability::budget::Budget;
use capability::documents::filter::spread;
use capability::documents::{Error, Filter, Lowest, MAX_ANSWER, Query, Sort};

use crate::refusal::{code, store_error};

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
pub(super) async fn find(database: &Database, query: &Query, budget: Budget) -> Result<Vec<RawDocumentBuf>, Error> {
    let collection = collection(database, &query.collection);
    let found = collection
        .find(filter(&query.filter)?)
        .sort(sort(&query.sort))
        .projection(query.projection.to_document())
        .skip(query.skip.into())
        .limit(query.limit.into())
        .batch_size(query.limit)
        .max_time(budget.left());
    let mut cursor = found.await.map_err(|error| store_error(&error))?;
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while cursor.advance().await.map_err(|error| store_error(&error))? {
        let projected = query.projection.apply(cursor.current());
        bytes += projected.as_bytes().len();
        if bytes > MAX_ANSWER {
            return Err(Error::too_large_an_answer());
        }
        documents.push(projected);
    }
    Ok(documents)
}

/// The number of matches, counted up to `limit` unless that is 0.
pub(super) async fn count(
    database: &Database,
    name: &str,
    wanted: &Filter,
    limit: u32,
    budget: Budget,
) -> Result<u64, Error> {
    let collection = collection(database, name);
    let mut count = collection.count_documents(filter(wanted)?).max_time(budget.left());
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
    budget: Budget,
) -> Result<Vec<Bson>, Error> {
    // With a covered index scan the server would take a missing field for null, and an array's elements apart. A condition
    // that only the document answers prevents that.
    let known = doc! { "$and": [filter(wanted)?, { "_id": { "$exists": true } }] };
    let values = collection(database, name).distinct(field, known).max_time(budget.left()).await;
    let mut lowest = Lowest::default();
    match values {
        Ok(values) => {
            for value in values {
                let raw = RawBson::try_from(value).map_err(|error| Error::Unavailable(error.to_string()))?;
                lowest.add(raw.as_raw_bson_ref());
            }
        }
        Err(error) if code(&error) == Some(TOO_BIG) => {
            read_all(&mut lowest, database, name, field, wanted, budget).await?
        }
        Err(error) => return Err(store_error(&error)),
    }
    lowest.finish()
}

/// Reads every match, where there are too many values for the server to list.
async fn read_all(
    lowest: &mut Lowest,
    database: &Database,
    name: &str,
    field: &str,
    wanted: &Filter,
    budget: Budget,
) -> Result<(), Error> {
    let whole = field.split('.').next().unwrap_or(field);
    let mut only = Document::new();
    only.insert("_id", i32::from(whole == "_id"));
    only.insert(whole, 1);
    let collection = collection(database, name);
    let found = collection.find(filter(wanted)?).projection(only).max_time(budget.left());
    let mut cursor = found.await.map_err(|error| store_error(&error))?;
    while cursor.advance().await.map_err(|error| store_error(&error))? {
        spread(cursor.current(), field, &mut |value| lowest.add(value));
    }
    Ok(())
}
