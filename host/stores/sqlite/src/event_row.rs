//! The columns of an event in a row, the same in the log and in the outbox.

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::Row;

use capability::events::Event;

/// Their names, in the order of [`read`].
pub(super) const COLUMNS: &str = "topic, id, key, kind, value, headers, at";

/// Their definitions.
pub(super) const DEFINITIONS: &str = "topic TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
    value BLOB NOT NULL, headers BLOB NOT NULL, at INTEGER NOT NULL";

/// The event of a row whose columns from `first` on are [`COLUMNS`].
pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Event> {
    Ok(Event {
        topic: row.get(first)?,
        id: row.get(first + 1)?,
        key: row.get(first + 2)?,
        kind: row.get(first + 3)?,
        value: row.get(first + 4)?,
        headers: decode_headers(row.get_ref(first + 5)?.as_blob()?),
        at: row.get::<_, i64>(first + 6)?.cast_unsigned(),
    })
}

/// Headers as one BSON array of alternating names and values: a name may occur twice.
pub(super) fn encode_headers(headers: &[(String, String)]) -> Vec<u8> {
    let mut array = RawArrayBuf::new();
    for (name, value) in headers {
        array.push(name.as_str());
        array.push(value.as_str());
    }
    let mut document = RawDocumentBuf::new();
    document.append(bson::raw::cstr!("headers"), array);
    document.into_bytes()
}

fn decode_headers(bytes: &[u8]) -> Vec<(String, String)> {
    let array = RawDocument::from_bytes(bytes).ok().and_then(|document| document.get_array("headers").ok());
    let texts: Vec<&str> =
        array.into_iter().flat_map(|array| array.into_iter().flatten()).filter_map(RawBsonRef::as_str).collect();
    let (pairs, _) = texts.as_chunks::<2>();
    pairs.iter().map(|[name, value]| ((*name).to_owned(), (*value).to_owned())).collect()
}
