//! Walking a dotted path to its values, through documents and arrays, the way MongoDB does.
//!
//! A path enters the documents of an array by itself, and one element by its index (`list.0`). Reads only.

use bson::{RawArray, RawBsonRef, RawDocument};

/// What an array at the end of a path counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// Its elements and then itself.
    Both,
    /// Itself.
    Whole,
}

/// Visits the values at a path until the visitor returns true; returns whether it did. A path that ends in a document
/// without the field visits `None`.
pub fn walk<'a>(
    document: &'a RawDocument,
    path: &[&str],
    leaf: Leaf,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>) -> bool,
) -> bool {
    let Some((part, rest)) = path.split_first() else {
        return false;
    };
    match document.get(part).ok().flatten() {
        Some(RawBsonRef::Array(array)) => walk_array(array, rest, leaf, visit),
        Some(value) if rest.is_empty() => visit(Some(value)),
        Some(RawBsonRef::Document(inner)) => walk(inner, rest, leaf, visit),
        Some(_) | None => visit(None),
    }
}

fn walk_array<'a>(
    array: &'a RawArray,
    path: &[&str],
    leaf: Leaf,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>) -> bool,
) -> bool {
    let Some((part, rest)) = path.split_first() else {
        return (leaf == Leaf::Both && array.into_iter().flatten().any(|element| visit(Some(element))))
            || visit(Some(RawBsonRef::Array(array)));
    };
    let wanted = array_index(part);
    array.into_iter().flatten().enumerate().any(|(index, element)| {
        let here = wanted == Some(index);
        let inside = matches!(element, RawBsonRef::Document(inner) if walk(inner, path, leaf, visit));
        inside
            || (here
                && match element {
                    _ if rest.is_empty() => visit(Some(element)),
                    RawBsonRef::Document(inner) => walk(inner, rest, leaf, visit),
                    RawBsonRef::Array(inner) => walk_array(inner, rest, leaf, visit),
                    _ => false,
                })
    })
}

/// Visits the values at a path that `distinct` compares: the elements of an array at its end, those of arrays on its way,
/// and one element alone where the path continues with digits.
pub fn spread<'a>(document: &'a RawDocument, path: &str, visit: &mut dyn FnMut(RawBsonRef<'a>)) {
    let (part, rest) = match path.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (path, None),
    };
    let inside = |array: &'a RawArray| RawDocument::from_bytes(array.as_bytes()).ok();
    match (document.get(part).ok().flatten(), rest) {
        (Some(RawBsonRef::Array(array)), None) => array.into_iter().flatten().for_each(visit),
        (Some(value), None) => visit(value),
        (Some(RawBsonRef::Document(inner)), Some(rest)) => spread(inner, rest, visit),
        (Some(RawBsonRef::Array(array)), Some(rest)) if begins_with_digits(rest) => {
            if let Some(array) = inside(array) {
                spread(array, rest, visit);
            }
        }
        (Some(RawBsonRef::Array(array)), Some(rest)) => {
            for element in array.into_iter().flatten() {
                match element {
                    RawBsonRef::Document(inner) => spread(inner, rest, visit),
                    RawBsonRef::Array(inner) => inside(inner).into_iter().for_each(|inner| spread(inner, rest, visit)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn begins_with_digits(path: &str) -> bool {
    path.split('.').next().is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The array index that a part of a path names: `0`, `12`, never `01`.
pub fn array_index(part: &str) -> Option<usize> {
    let canonical = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    if canonical { part.parse().ok() } else { None }
}
