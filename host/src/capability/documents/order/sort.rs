//! Sorting: by which fields, and the one key per document that puts documents in order.
//!
//! Pure functions over raw BSON; how a store finds the documents in this order is the store's business.

use bson::{Document, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::capability::documents::{Error, filter};

use super::{Class, Key, Number, key, valid_path, validate};

/// The most fields of a sort.
const MAX_FIELDS: usize = 8;

/// In which order documents come; what it leaves open is decided by `_id`, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sort {
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) descending: bool,
}

impl Sort {
    /// By `_id` only.
    pub fn none() -> Sort {
        Sort::default()
    }

    /// Reads `{field: 1 | -1, …}`, at most 8 fields, in order of weight.
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
                _ => return Err(Error::Invalid(format!("the sort by `{name}` must be 1 or -1"))),
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
        let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::Invalid(error.to_string()))?;
        Sort::parse(&raw)
    }

    /// The dotted paths it names.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.path.as_str())
    }

    /// As a store that speaks BSON wants it.
    pub fn to_document(&self) -> Document {
        self.fields.iter().map(|field| (field.path.clone(), if field.descending { -1 } else { 1 }.into())).collect()
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The bytes by which a document sorts, `_id` included.
    ///
    /// An array stands for its elements: of all the keys that they give, the first in this order counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when two fields of the sort meet two arrays.
    pub(crate) fn key(&self, document: &RawDocument) -> Result<Key, Error> {
        // What follows `_id` decides nothing.
        let last = self.fields.iter().position(|field| field.path == "_id").unwrap_or(MAX_FIELDS);
        let starts = self.fields.iter().take(last + 1).map(|field| Way::Inside(document, &field.path)).collect();
        let mut best = None;
        self.expand(starts, &mut best)?;
        let mut out = best.unwrap_or_default();
        out.extend(key(document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null)));
        Ok(out)
    }

    /// Goes on along all fields to their values, or to the array that some of them meet, and from there with each of its
    /// elements.
    fn expand(&self, ways: Vec<Way<'_>>, best: &mut Option<Key>) -> Result<(), Error> {
        let ways: Vec<Way<'_>> = ways.into_iter().map(Way::advance).collect();
        let mut met: Option<&RawArray> = None;
        for way in &ways {
            let Way::Array(array, _) = way else { continue };
            if met.is_some_and(|met| !std::ptr::eq(met.as_bytes(), array.as_bytes())) {
                return Err(Error::Invalid(
                    "a document has two arrays at the fields of the sort; sort by one".to_owned(),
                ));
            }
            met = Some(array);
        }
        let Some(array) = met else {
            let key = self.joined(&ways);
            if best.as_ref().is_none_or(|best| key < *best) {
                *best = Some(key);
            }
            return Ok(());
        };
        if array.is_empty() {
            return self.expand(ways.into_iter().map(Way::past_an_empty_array).collect(), best);
        }
        let elements = array.into_iter().flatten();
        elements
            .into_iter()
            .try_for_each(|element| self.expand(ways.iter().map(|way| way.into_element(element)).collect(), best))
    }

    fn joined(&self, ways: &[Way<'_>]) -> Key {
        let mut out = Key::new();
        for (field, way) in self.fields.iter().zip(ways) {
            let start = out.len();
            match way {
                Way::End(value) => out.extend(key(value.unwrap_or(RawBsonRef::Null))),
                _ => out.push(Class::Empty as u8),
            }
            if field.descending {
                out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
            }
        }
        out
    }
}

/// How far the path of a field was followed.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// To a document, with what is left of the path.
    Inside(&'a RawDocument, &'a str),
    /// To an array, with what is left behind it; none: the array is at the end.
    Array(&'a RawArray, Option<&'a str>),
    /// To an empty array at the end.
    Empty,
    /// To a value, or to where there is none.
    End(Option<RawBsonRef<'a>>),
}

impl<'a> Way<'a> {
    /// To the next array or the end.
    fn advance(self) -> Way<'a> {
        let Way::Inside(document, path) = self else { return self };
        let (part, rest) = match path.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (path, None),
        };
        match (document.get(part).ok().flatten(), rest) {
            (Some(RawBsonRef::Array(array)), rest) => Way::at(array, rest),
            (value, None) => Way::End(value),
            (Some(RawBsonRef::Document(inner)), Some(rest)) => Way::Inside(inner, rest).advance(),
            (_, Some(_)) => Way::End(None),
        }
    }

    /// At an array, and at one of its elements when the path goes on with a place.
    fn at(array: &'a RawArray, rest: Option<&'a str>) -> Way<'a> {
        let Some(path) = rest else { return Way::Array(array, None) };
        let (part, behind) = match path.split_once('.') {
            Some((part, behind)) => (part, Some(behind)),
            None => (path, None),
        };
        let place = filter::place(part).and_then(|place| array.get(place).ok().flatten());
        match (place, behind) {
            (None, _) => Way::Array(array, rest),
            (Some(RawBsonRef::Array(inner)), behind) => Way::at(inner, behind),
            (Some(value), None) => Way::End(Some(value)),
            (Some(RawBsonRef::Document(inner)), Some(behind)) => Way::Inside(inner, behind).advance(),
            (Some(_), Some(_)) => Way::End(None),
        }
    }

    fn past_an_empty_array(self) -> Way<'a> {
        match self {
            Way::Array(_, None) => Way::Empty,
            Way::Array(_, Some(_)) => Way::End(None),
            other => other,
        }
    }

    /// On with one element of the array.
    fn into_element(self, element: RawBsonRef<'a>) -> Way<'a> {
        match (self, element) {
            (Way::Array(_, None), element) => Way::End(Some(element)),
            (Way::Array(_, Some(rest)), RawBsonRef::Document(inner)) => Way::Inside(inner, rest),
            (Way::Array(_, Some(_)), _) => Way::End(None),
            (other, _) => other,
        }
    }
}
