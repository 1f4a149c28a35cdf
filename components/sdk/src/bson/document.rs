//! A document: names and values in order, as [`doc!`](crate::doc!) makes it and the database stores it.
//! The getters answer none both for a field that is not there and for one of another kind.

use std::borrow::Cow;

use serde::ser::{Serialize, Serializer};

use super::raw::Elements;
use super::{Bson, DateTime, Error, ObjectId};

/// Names and values, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    fields: Vec<(String, Bson)>,
}

impl Document {
    /// An empty one.
    pub const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// Reads the bytes of one document, to the last of them.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(Elements::of(bytes, 1)?)
    }

    pub(super) fn read(elements: Elements<'_>) -> Result<Self, Error> {
        let read = |element: Result<(Cow<'_, str>, _), Error>| {
            let (name, value) = element?;
            let value = Bson::read(value).map_err(|error| error.within(&name))?;
            Ok((name.into_owned(), value))
        };
        Ok(Self { fields: elements.map(read).collect::<Result<_, _>>()? })
    }

    /// The bytes. A zero character in a name ends the name there.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        super::ser::write_document(&mut out, self);
        out
    }

    /// Puts `value` under `name`, in the place of what was there, or else at the end.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Bson>) {
        self.put(name.into(), value.into());
    }

    /// Not inlined: a `doc!` is a row of these, and components are to be small.
    #[inline(never)]
    fn put(&mut self, name: String, value: Bson) {
        match self.get_mut(&name) {
            Some(old) => *old = value,
            None => self.push(name, value),
        }
    }

    pub(super) fn push(&mut self, name: String, value: Bson) {
        self.fields.push((name, value));
    }

    /// Takes out the value under `name`; the first one where an old document has several, which are all gone then.
    pub fn remove(&mut self, name: &str) -> Option<Bson> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        let value = self.fields.remove(at).1;
        self.fields.retain(|(field, _)| field != name);
        Some(value)
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&Bson> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The value under `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Bson> {
        self.fields.iter_mut().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Whether there is a value under `name`, null included.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Text under `name`.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A whole number under `name`, however it is stored.
    pub fn get_i64(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// A number under `name`, however it is stored.
    pub fn get_f64(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// A truth value under `name`.
    pub fn get_bool(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// An id under `name`.
    pub fn get_oid(&self, name: &str) -> Option<ObjectId> {
        self.get(name)?.as_oid()
    }

    /// A date under `name`.
    pub fn get_date(&self, name: &str) -> Option<DateTime> {
        self.get(name)?.as_date()
    }

    /// The values of an array under `name`.
    pub fn get_array(&self, name: &str) -> Option<&[Bson]> {
        self.get(name)?.as_array()
    }

    /// A document under `name`.
    pub fn get_document(&self, name: &str) -> Option<&Document> {
        self.get(name)?.as_document()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bson)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl IntoIterator for Document {
    type Item = (String, Bson);
    type IntoIter = std::vec::IntoIter<(String, Bson)>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}

impl Extend<(String, Bson)> for Document {
    fn extend<I: IntoIterator<Item = (String, Bson)>>(&mut self, fields: I) {
        fields.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl FromIterator<(String, Bson)> for Document {
    fn from_iter<I: IntoIterator<Item = (String, Bson)>>(fields: I) -> Self {
        let mut document = Self::new();
        document.extend(fields);
        document
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
