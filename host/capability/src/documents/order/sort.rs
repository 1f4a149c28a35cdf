//! Sorting: by which fields, and the one sort key per document.
//!
//! Pure functions over raw BSON; how documents are read in this order is up to the store.

use std::cmp::Ordering;
use std::rc::Rc;

use bson::{Document, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::documents::{Error, filter};

use crate::documents::order::{Class, Key, Number, key, valid_path, validate};

/// The most fields of a sort.
const MAX_FIELDS: usize = 8;
/// The most bytes of a document's sort key. The key of one field has about its bytes, but fields may be inside one another.
const MAX_KEY: usize = 2 << 20;

/// The order of documents; ties are decided by `_id`, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sort {
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub path: String,
    pub descending: bool,
}

impl Sort {
    /// By `_id` only.
    pub fn none() -> Sort {
        Sort::default()
    }

    /// Reads `{field: 1 | -1, …}`, at most 8 fields, the most significant first.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn parse(document: &RawDocument) -> Result<Sort, Error> {
        validate(document)?;
        let mut fields = Vec::new();
        for (name, value) in document.iter().flatten() {
            valid_path(name.as_str())?;
            let descending = match Number::of(value) {
                Some(Number::Whole(1) | Number::Real(1.0)) => false,
                Some(Number::Whole(-1) | Number::Real(-1.0)) => true,
                _ => return Err(Error::invalid(format!("the sort by `{name}` must be 1 or -1"))),
            };
            fields.push(Field { path: name.as_str().to_owned(), descending });
        }
        if fields.len() > MAX_FIELDS {
            return Err(Error::Invalid(format!("a sort has at most {MAX_FIELDS} fields")));
        }
        Ok(Sort { fields })
    }

    /// [`Sort::parse`] of a document in memory.
    ///
    /// # Errors
    /// As [`Sort::parse`].
    pub fn from_document(document: &Document) -> Result<Sort, Error> {
        let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
        Sort::parse(&raw)
    }

    /// The dotted paths it names.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.path.as_str())
    }

    /// As a BSON document for a store.
    pub fn to_document(&self) -> Document {
        self.fields.iter().map(|field| (field.path.clone(), if field.descending { -1 } else { 1 }.into())).collect()
    }

    /// The fields to sort by, the most significant first.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The bytes by which a document sorts, `_id` included.
    ///
    /// An array stands for its elements: of all the keys that they give, the first in this order counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two fields of the sort meet two arrays, or when the key would have more than 2 MiB.
    pub fn key(&self, document: &RawDocument) -> Result<Key, Error> {
        // Fields after `_id` decide nothing.
        let last = self.fields.iter().position(|field| field.path == "_id").unwrap_or(MAX_FIELDS);
        let starts = self.fields.iter().take(last + 1).map(|field| Cursor::Inside(document, &field.path)).collect();
        let mut best = None;
        self.expand(starts, &mut best)?;
        let mut out = Key::new();
        best.unwrap_or_default().iter().for_each(|field| out.extend_from_slice(field));
        out.extend(key(document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null)));
        Ok(out)
    }

    /// Follows all fields to their values, or to the array that some of them meet, and from there through each of its elements.
    /// Linear in the document: what the elements of an array share is read once.
    fn expand(&self, cursors: Vec<Cursor<'_>>, best: &mut Option<Vec<Rc<[u8]>>>) -> Result<(), Error> {
        let cursors = cursors.into_iter().zip(&self.fields);
        let cursors: Vec<Cursor<'_>> =
            cursors.map(|(cursor, field)| cursor.advance().known(field.descending)).collect();
        let mut met: Option<&RawArray> = None;
        for cursor in &cursors {
            let Cursor::Array(array, _) = cursor else { continue };
            if met.is_some_and(|met| !std::ptr::eq(met.as_bytes(), array.as_bytes())) {
                return Err(Error::Invalid(
                    "a document has two arrays at the fields of the sort; sort by one".to_owned(),
                ));
            }
            met = Some(array);
        }
        let Some(array) = met else {
            let keys: Vec<Rc<[u8]>> = cursors.into_iter().filter_map(Cursor::into_key).collect();
            if keys.iter().map(|key| key.len()).sum::<usize>() > MAX_KEY {
                return Err(Error::Invalid(format!(
                    "a document has over {MAX_KEY} bytes at the fields of the sort; sort by smaller ones"
                )));
            }
            if best.as_ref().is_none_or(|best| is_before(&keys, best)) {
                *best = Some(keys);
            }
            return Ok(());
        };
        if array.is_empty() {
            return self.expand(cursors.into_iter().map(Cursor::past_an_empty_array).collect(), best);
        }
        array.into_iter().flatten().try_for_each(|element| {
            self.expand(cursors.iter().map(|cursor| cursor.clone().into_element(element)).collect(), best)
        })
    }
}

/// Field by field. No key begins another, so that the first two that differ decide.
fn is_before(one: &[Rc<[u8]>], other: &[Rc<[u8]>]) -> bool {
    let differing = one.iter().zip(other).filter(|(one, other)| !Rc::ptr_eq(one, other));
    differing.map(|(one, other)| one.cmp(other)).find(|order| order.is_ne()).is_some_and(Ordering::is_lt)
}

/// How far the path of a field was followed.
#[derive(Clone)]
enum Cursor<'a> {
    /// To a document, with the rest of the path.
    Inside(&'a RawDocument, &'a str),
    /// To an array, with the path after it; none when the array is at the end.
    Array(&'a RawArray, Option<&'a str>),
    /// To an empty array at the end.
    Empty,
    /// To a value, or to a missing one.
    End(Option<RawBsonRef<'a>>),
    /// To the end, with the bytes by which the field sorts.
    Known(Rc<[u8]>),
}

impl<'a> Cursor<'a> {
    /// To the next array or the end.
    fn advance(self) -> Cursor<'a> {
        let Cursor::Inside(document, path) = self else { return self };
        let (part, rest) = match path.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (path, None),
        };
        match (document.get(part).ok().flatten(), rest) {
            (Some(RawBsonRef::Array(array)), rest) => Cursor::at(array, rest),
            (value, None) => Cursor::End(value),
            (Some(RawBsonRef::Document(inner)), Some(rest)) => Cursor::Inside(inner, rest).advance(),
            (_, Some(_)) => Cursor::End(None),
        }
    }

    /// At an array, or at one of its elements when the path continues with its index.
    fn at(array: &'a RawArray, rest: Option<&'a str>) -> Cursor<'a> {
        let Some(path) = rest else { return Cursor::Array(array, None) };
        let (part, after) = match path.split_once('.') {
            Some((part, after)) => (part, Some(after)),
            None => (path, None),
        };
        let element = filter::array_index(part).and_then(|index| array.get(index).ok().flatten());
        match (element, after) {
            (None, _) => Cursor::Array(array, rest),
            (Some(RawBsonRef::Array(inner)), after) => Cursor::at(inner, after),
            (Some(value), None) => Cursor::End(Some(value)),
            (Some(RawBsonRef::Document(inner)), Some(after)) => Cursor::Inside(inner, after).advance(),
            (Some(_), Some(_)) => Cursor::End(None),
        }
    }

    /// The key instead of the value at the end.
    fn known(self, descending: bool) -> Cursor<'a> {
        let mut bytes = match self {
            Cursor::End(value) => key(value.unwrap_or(RawBsonRef::Null)),
            Cursor::Empty => vec![Class::Empty as u8],
            other => return other,
        };
        if descending {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Cursor::Known(bytes.into())
    }

    fn into_key(self) -> Option<Rc<[u8]>> {
        match self {
            Cursor::Known(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn past_an_empty_array(self) -> Cursor<'a> {
        match self {
            Cursor::Array(_, None) => Cursor::Empty,
            Cursor::Array(_, Some(_)) => Cursor::End(None),
            other => other,
        }
    }

    /// Continues with one element of the array.
    fn into_element(self, element: RawBsonRef<'a>) -> Cursor<'a> {
        match (self, element) {
            (Cursor::Array(_, None), element) => Cursor::End(Some(element)),
            (Cursor::Array(_, Some(rest)), RawBsonRef::Document(inner)) => Cursor::Inside(inner, rest),
            (Cursor::Array(_, Some(_)), _) => Cursor::End(None),
            (other, _) => other,
        }
    }
}
