//! The place in a document that a dotted path leads to.
//!
//! Goes through documents by name and through arrays by number, making what is missing on the way when asked to.

use bson::{Bson, Document};

use crate::capability::documents::Error;
use crate::capability::documents::filter::place;

/// How far beyond its end an array may be written; what lies between becomes null.
const MAX_GAP: usize = 1_000;

/// A place that can be read, filled and emptied.
pub(super) enum Place<'a> {
    Field(&'a mut Document, &'a str),
    Element(&'a mut Vec<Bson>, usize),
}

/// What is done about a way that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make it; an error where something else stands in the way.
    Make,
    /// Nothing; an error where something else stands in the way.
    Leave,
    /// Nothing, whatever stands in the way.
    Pass,
}

/// The place at a path; `None` when the way to it is missing and is not made.
pub(super) fn find<'a>(
    document: &'a mut Document,
    path: &str,
    parts: &'a [String],
    missing: Missing,
) -> Result<Option<Place<'a>>, Error> {
    let Some((part, rest)) = parts.split_first() else { return Ok(None) };
    if rest.is_empty() {
        return Ok(Some(Place::Field(document, part)));
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
) -> Result<Option<Place<'a>>, Error> {
    match value {
        Bson::Document(document) => find(document, path, parts, missing),
        Bson::Array(array) => element(array, path, name, parts, missing),
        _ if missing == Missing::Pass => Ok(None),
        _ => Err(Error::Invalid(format!("`{path}` can't be: `{name}` is neither a document nor an array"))),
    }
}

fn element<'a>(
    array: &'a mut Vec<Bson>,
    path: &str,
    name: &str,
    parts: &'a [String],
    missing: Missing,
) -> Result<Option<Place<'a>>, Error> {
    let Some((part, rest)) = parts.split_first() else { return Ok(None) };
    let Some(index) = place(part) else {
        return if missing == Missing::Pass {
            Ok(None)
        } else {
            Err(Error::Invalid(format!("`{path}` can't be: `{name}` is an array and `{part}` is no place in it")))
        };
    };
    if missing == Missing::Make && index > array.len() + MAX_GAP {
        return Err(Error::Invalid(format!("`{path}` is more than {MAX_GAP} places beyond the array's end")));
    }
    if rest.is_empty() {
        return Ok(Some(Place::Element(array, index)));
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

impl Place<'_> {
    pub(super) fn get(&mut self) -> Option<&mut Bson> {
        match self {
            Place::Field(document, name) => document.get_mut(&**name),
            Place::Element(array, index) => array.get_mut(*index),
        }
    }

    pub(super) fn put(self, value: Bson) {
        match self {
            Place::Field(document, name) => drop(document.insert(name, value)),
            Place::Element(array, index) => match array.get_mut(index) {
                Some(element) => *element = value,
                None => {
                    array.resize(index, Bson::Null);
                    array.push(value);
                }
            },
        }
    }

    /// Takes the value away; in an array null stays in its place, so that the others keep theirs.
    pub(super) fn clear(self) -> bool {
        match self {
            Place::Field(document, name) => document.remove(name).is_some(),
            Place::Element(array, index) => match array.get_mut(index) {
                Some(element) => std::mem::replace(element, Bson::Null) != Bson::Null,
                None => false,
            },
        }
    }
}
