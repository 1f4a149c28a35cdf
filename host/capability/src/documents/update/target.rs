//! The target of a dotted path in a document.
//!
//! Goes through documents by name and through arrays by index; creates what is missing on the way when asked to.

use bson::{Bson, Document};

use crate::documents::Error;
use crate::documents::filter::array_index;

/// How far beyond its end an array may be written; the elements between become null.
const MAX_GAP: usize = 1_000;

/// A field or an element that can be read, set and cleared.
pub(super) enum Target<'a> {
    Field(&'a mut Document, &'a str),
    Element(&'a mut Vec<Bson>, usize),
}

/// What is done when a part of the path is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Create it; an error where another kind of value is in the way.
    Make,
    /// Nothing; an error where another kind of value is in the way.
    Leave,
    /// Nothing, whatever is in the way.
    Pass,
}

/// The target at a path; `None` when a part of the path is missing and is not created.
pub(super) fn find<'a>(
    document: &'a mut Document,
    path: &str,
    parts: &'a [String],
    missing: Missing,
) -> Result<Option<Target<'a>>, Error> {
    let Some((part, rest)) = parts.split_first() else { return Ok(None) };
    if rest.is_empty() {
        return Ok(Some(Target::Field(document, part)));
    }
    if missing == Missing::Make && !document.contains_key(part) {
        document.insert(part.as_str(), Document::new());
    }
    match document.get_mut(part) {
        Some(value) => inside(value, path, part, rest, missing),
        None => Ok(None),
    }
}

fn inside<'a>(
    value: &'a mut Bson,
    path: &str,
    name: &str,
    parts: &'a [String],
    missing: Missing,
) -> Result<Option<Target<'a>>, Error> {
    match value {
        Bson::Document(document) => find(document, path, parts, missing),
        Bson::Array(array) => element(array, path, name, parts, missing),
        _ if missing == Missing::Pass => Ok(None),
        _ => Err(Error::invalid(format!("`{path}` can't be: `{name}` is neither a document nor an array"))),
    }
}

fn element<'a>(
    array: &'a mut Vec<Bson>,
    path: &str,
    name: &str,
    parts: &'a [String],
    missing: Missing,
) -> Result<Option<Target<'a>>, Error> {
    let Some((part, rest)) = parts.split_first() else { return Ok(None) };
    let Some(index) = array_index(part) else {
        return if missing == Missing::Pass {
            Ok(None)
        } else {
            Err(Error::invalid(format!("`{path}` can't be: `{name}` is an array and `{part}` is no place in it")))
        };
    };
    if missing == Missing::Make && index > array.len() + MAX_GAP {
        return Err(Error::invalid(format!("`{path}` is more than {MAX_GAP} places beyond the array's end")));
    }
    if rest.is_empty() {
        return Ok(Some(Target::Element(array, index)));
    }
    if missing == Missing::Make && index >= array.len() {
        array.resize(index, Bson::Null);
        array.push(Bson::Document(Document::new()));
    }
    match array.get_mut(index) {
        Some(value) => inside(value, path, part, rest, missing),
        None => Ok(None),
    }
}

impl Target<'_> {
    pub(super) fn get(&mut self) -> Option<&mut Bson> {
        match self {
            Target::Field(document, name) => document.get_mut(&**name),
            Target::Element(array, index) => array.get_mut(*index),
        }
    }

    pub(super) fn put(self, value: Bson) {
        match self {
            Target::Field(document, name) => drop(document.insert(name, value)),
            Target::Element(array, index) => match array.get_mut(index) {
                Some(element) => *element = value,
                None => {
                    array.resize(index, Bson::Null);
                    array.push(value);
                }
            },
        }
    }

    /// Removes the value; in an array null replaces it, so that the other elements keep their indexes.
    pub(super) fn clear(self) -> bool {
        match self {
            Target::Field(document, name) => document.remove(name).is_some(),
            Target::Element(array, index) => match array.get_mut(index) {
                Some(element) => std::mem::replace(element, Bson::Null) != Bson::Null,
                None => false,
            },
        }
    }
}
