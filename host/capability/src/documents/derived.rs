//! Derived fields: fields that follow from others of the same document, so that an index can serve or refuse by them.
//!
//! Components write them with the fields they follow from; documents of an earlier version lack them, and [`fill`] adds
//! them before the host serves. The rules are here and pure; the application says which field follows from which.

mod fill;
mod marker;

use bson::{RawBsonRef, RawDocument};
use serde::Deserialize;

use crate::documents::order::valid_path;

pub use fill::{Commits, Filled, Uncached, fill};
pub use marker::COLLECTION as MARKERS;

/// How a derived field follows from others of the same document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derived {
    /// The text of this field, trimmed and in lower case, both as Unicode defines them.
    LowerCase(String),
    /// The ids of these two fields in hex, whichever is in which: `lesser:greater`.
    Unordered(#[serde(deserialize_with = "two")] [String; 2]),
}

/// Exactly two: an array would accept more.
fn two<'de, D: serde::Deserializer<'de>>(list: D) -> Result<[String; 2], D::Error> {
    let list = Vec::<String>::deserialize(list)?;
    let count = list.len();
    list.try_into().map_err(|_| serde::de::Error::custom(format!("`unordered` takes two fields, not {count}")))
}

impl Derived {
    /// The fields it follows from.
    pub fn sources(&self) -> &[String] {
        match self {
            Derived::LowerCase(source) => std::slice::from_ref(source),
            Derived::Unordered(sources) => sources,
        }
    }

    /// Its value for a document; none when a source is missing or not of the rule's kind (text, or an ObjectId).
    pub fn value(&self, document: &RawDocument) -> Option<String> {
        let source = |name: &String| document.get(name).ok().flatten();
        match self {
            Derived::LowerCase(name) => match source(name)? {
                RawBsonRef::String(text) => Some(text.trim().to_lowercase()),
                _ => None,
            },
            Derived::Unordered([one, other]) => match (source(one)?, source(other)?) {
                (RawBsonRef::ObjectId(one), RawBsonRef::ObjectId(other)) => {
                    Some(format!("{}:{}", one.min(other), one.max(other)))
                }
                _ => None,
            },
        }
    }

    /// Refuses a rule that can't be followed for the derived field `field`; the text says why.
    pub fn check(&self, field: &str) -> Result<(), String> {
        for name in std::iter::once(field).chain(self.sources().iter().map(String::as_str)) {
            valid_path(name).map_err(|error| error.to_string())?;
            if name.contains('.') {
                return Err(format!("{name:?} is inside a field; a derived field and its sources are whole fields"));
            }
        }
        if field == "_id" {
            return Err("`_id` can't be derived: it never changes".into());
        }
        if self.sources().iter().any(|source| source == field) {
            return Err("it can't follow from itself".into());
        }
        match self {
            Derived::Unordered([one, other]) if one == other => Err(format!("{one:?} twice is no pair")),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Derived {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Derived::LowerCase(source) => write!(formatter, "lower-case({source})"),
            Derived::Unordered([one, other]) => write!(formatter, "unordered({one},{other})"),
        }
    }
}
