//! What SQLite may ask about a document: the key at a path, and whether there is anything.
//!
//! The indexes are made of the answers, so these functions must answer alike for as long as a file lives.

use bson::{RawBsonRef, RawDocument};
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use crate::capability::documents::filter::{Leaf, walk};
use crate::capability::documents::order::{ARRAY, Key, key};

/// Makes `bson_key(doc, path)` and `bson_has(doc, path)` known to a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("bson_key", 2, flags, |context| with_arguments(context, index_key))?;
    connection.create_scalar_function("bson_has", 2, flags, |context| {
        with_arguments(context, |document, path| has(document, path).then_some(1))
    })
}

fn with_arguments<T>(context: &Context<'_>, answer: impl FnOnce(&RawDocument, &str) -> T) -> rusqlite::Result<T> {
    let other = |error: Box<dyn std::error::Error + Send + Sync>| rusqlite::Error::UserFunctionError(error);
    let bytes = context.get_raw(0).as_blob().map_err(|error| other(error.into()))?;
    let path = context.get_raw(1).as_str().map_err(|error| other(error.into()))?;
    let document = RawDocument::from_bytes(bytes).map_err(|error| other(error.into()))?;
    Ok(answer(document, path))
}

/// The key of the value at a path, that of null when there is none, or [`ARRAY`] when the path meets an array.
pub(super) fn index_key(document: &RawDocument, path: &str) -> Key {
    let mut document = document;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        match document.get(part).ok().flatten() {
            Some(RawBsonRef::Array(_)) => return ARRAY.to_vec(),
            Some(value) if parts.peek().is_none() => return key(value),
            Some(RawBsonRef::Document(inner)) => document = inner,
            Some(_) | None => break,
        }
    }
    key(RawBsonRef::Null)
}

/// Whether there is any value at a path, null included.
pub(super) fn has(document: &RawDocument, path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    walk(document, &parts, Leaf::Whole, &mut |value| value.is_some())
}
