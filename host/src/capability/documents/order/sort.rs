//! Sorting: by which fields, and the one key per document that puts documents in order.
//!
//! Pure functions over raw BSON; how a store finds the documents in this order is the store's business.

use bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf};

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
    /// Among the elements of an array the smallest counts ascending and the largest descending, as in MongoDB, but
    /// for each field by itself (MongoDB pairs up elements when two fields are in the same array).
    pub(crate) fn key(&self, document: &RawDocument) -> Key {
        let mut out = Key::new();
        for field in &self.fields {
            let start = out.len();
            out.extend(field_key(document, field));
            if field.descending {
                out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
            }
        }
        out.extend(key(document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null)));
        out
    }
}

fn field_key(document: &RawDocument, field: &Field) -> Key {
    let path: Vec<&str> = field.path.split('.').collect();
    let mut best: Option<Key> = None;
    filter::walk(document, &path, filter::Leaf::Elements, &mut |value| {
        let candidate = key(value.unwrap_or(RawBsonRef::Null));
        let better =
            best.as_ref().is_none_or(|best| if field.descending { candidate > *best } else { candidate < *best });
        if better {
            best = Some(candidate);
        }
        false
    });
    best.unwrap_or_else(|| {
        let mut empty = false;
        filter::walk(document, &path, filter::Leaf::Whole, &mut |value| {
            empty |= matches!(value, Some(RawBsonRef::Array(array)) if array.is_empty());
            false
        });
        vec![if empty { Class::Empty } else { Class::Null } as u8]
    })
}
