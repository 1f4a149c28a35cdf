//! What an index makes of a document: the value at a path, and which documents it takes.
//!
//! The same for every engine, so that a document which one of them takes is taken by all. Pure functions over raw BSON.

use bson::{RawBsonRef, RawDocument};

use super::filter::{Leaf, walk};
use super::order::{ARRAY, Key, key};
use super::{Error, Index};

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

/// The paths of a document, of those that are indexed, that meet an array.
pub(super) fn arrays<'a>(document: &RawDocument, paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    paths.filter(|path| index_key(document, path) == ARRAY).collect()
}

/// Refuses a document with arrays where an index can't have them: a unique index takes none, any other takes one.
///
/// # Errors
/// [`Error::Invalid`] that names the path and the index.
pub(super) fn check_arrays(index: &Index, document: &RawDocument, arrays: &[&str]) -> Result<(), Error> {
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
