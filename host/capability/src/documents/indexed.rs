//! Indexing: the key of a document at a path, and which documents an index accepts.
//!
//! The same for every store, so that a document that one of them accepts is accepted by all. Pure functions over raw BSON.

use bson::{RawBsonRef, RawDocument};

use crate::documents::filter::{Leaf, walk};
use crate::documents::order::{ARRAY, Key, key};
use crate::documents::{Error, Index};

/// The key of the value at a path, that of null when there is none, or [`ARRAY`] when the path meets an array.
pub fn index_key(document: &RawDocument, path: &str) -> Key {
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
pub fn has(document: &RawDocument, path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    walk(document, &parts, Leaf::Whole, &mut |value| value.is_some())
}

/// Those of the indexed paths that meet an array in this document.
pub fn arrays<'a>(document: &RawDocument, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    paths.filter(|path| index_key(document, path) == ARRAY).collect()
}

/// Refuses a document with arrays where an index can't have them: a unique index accepts none, any other accepts one.
///
/// # Errors
/// [`Error::Invalid`] that names the path and the index.
pub fn check_arrays(index: &Index, document: &RawDocument, arrays: &[&str]) -> Result<(), Error> {
    let mut met = index.fields.iter().filter(|field| arrays.contains(&field.as_str()));
    let (Some(path), second) = (met.next(), met.next()) else { return Ok(()) };
    if !index.where_exists.iter().all(|wanted| has(document, wanted)) {
        return Ok(());
    }
    let name = index.name();
    match second {
        _ if index.unique => {
            Err(Error::Invalid(format!("`{path}` meets an array, and the unique index `{name}` takes none")))
        }
        Some(second) => Err(Error::Invalid(format!(
            "`{path}` and `{second}` both meet an array, and the index `{name}` takes one only"
        ))),
        None => Ok(()),
    }
}
