//! Derived fields: what the application keeps beside its own fields so that an index can serve or refuse by it.
//!
//! Components write them with the fields they follow from; documents of an earlier version lack them, and [`fill`] puts
//! them in before the host serves. The rules are here and pure; which field follows from which is the application's.

mod fill;
mod marker;
#[cfg(test)]
mod tests;

use bson::{RawBsonRef, RawDocument};
use serde::Deserialize;

use super::order::valid_path;

pub use fill::{Filled, fill};
pub(crate) use marker::COLLECTION as MARKERS;

/// How a derived field follows from others of the same document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derived {
    /// The text of this field without white space around it and in lower case, both as Unicode has them.
    LowerCase(String),
    /// The ids of these two fields in hex, whichever is in which: `lesser:greater`.
    Unordered(#[serde(deserialize_with = "two")] [String; 2]),
}

/// Exactly two: an array would let more pass.
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

    /// What it is for a document; none when a source is missing or of another kind (text, or an ObjectId).
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
    pub(crate) fn check(&self, field: &str) -> Result<(), String> {
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
