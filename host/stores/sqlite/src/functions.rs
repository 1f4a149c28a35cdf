//! SQL functions on a document: the key at a path, and whether there is a value.
//!
//! The indexes are built from the results, so these functions must never change for a file.

use bson::RawDocument;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use capability::documents::indexed::{has, index_key};

use crate::budget;

/// Registers `bson_key(doc, path)` and `bson_has(doc, path)` at a connection.
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
    budget::spend(bytes.len()).map_err(|error| other(error.into()))?;
    let path = context.get_raw(1).as_str().map_err(|error| other(error.into()))?;
    let document = RawDocument::from_bytes(bytes).map_err(|error| other(error.into()))?;
    Ok(answer(document, path))
}
