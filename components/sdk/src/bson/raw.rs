//! BSON bytes, looked at where they lie: the walk over elements on which everything that reads is built, and
//! [`Raw`], which hands stored bytes to another serializer (JSON, mostly) without making values in between.
//! Every length is checked here, against what is really there.

use std::borrow::Cow;

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Binary, DEEPEST, DateTime, Error, ObjectId, Opaque, kind};

/// A value as it lies in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) kind: u8,
    pub(super) payload: &'a [u8],
    /// How many documents and arrays it lies in.
    pub(super) depth: u32,
}

/// The elements of a document or an array, in order. After an error it ends.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Elements<'a> {
    /// Of a document with its length in front and its zero behind.
    pub(super) fn of(document: &'a [u8], depth: u32) -> Result<Self, Error> {
        let length = length(document)?;
        match document.get(4..) {
            Some([rest @ .., 0]) if length == document.len() => Ok(Self { rest, depth }),
            _ => Err(Error::new(format!("a document of {} bytes says it has {length}", document.len()))),
        }
    }

    fn read(&mut self, kind: u8, after: &'a [u8]) -> Result<(Cow<'a, str>, Value<'a>), Error> {
        let (name, rest) = cstring(after)?;
        let name = String::from_utf8_lossy(name);
        let size = payload_size(kind, rest).map_err(|error| error.within(&name))?;
        let (payload, rest) = rest.split_at_checked(size).ok_or_else(|| Error::new("cut off").within(&name))?;
        self.rest = rest;
        Ok((name, Value { kind, payload, depth: self.depth }))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(Cow<'a, str>, Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, after) = self.rest.split_first()?;
        let element = self.read(*kind, after);
        if element.is_err() {
            self.rest = &[];
        }
        Some(element)
    }
}

/// The length that stands in front of documents, strings and the like.
fn length(bytes: &[u8]) -> Result<usize, Error> {
    let (length, _) = bytes.split_first_chunk().ok_or_else(|| Error::new("cut off"))?;
    usize::try_from(i32::from_le_bytes(*length)).map_err(|_| Error::new("a negative length"))
}

fn cstring(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(|| Error::new("a name without an end"))?;
    let (name, rest) = bytes.split_at(end);
    Ok((name, rest.get(1..).unwrap_or_default()))
}

/// How many bytes of `rest` the payload of a value of this kind has. It may be more than there are.
fn payload_size(kind: u8, rest: &[u8]) -> Result<usize, Error> {
    let more_than_length = |more: usize| length(rest).map(|length| length.saturating_add(more));
    match kind {
        kind::NULL | kind::UNDEFINED | kind::MIN_KEY | kind::MAX_KEY => Ok(0),
        kind::BOOLEAN => Ok(1),
        kind::INT32 => Ok(4),
        kind::DOUBLE | kind::DATE_TIME | kind::INT64 | kind::TIMESTAMP => Ok(8),
        kind::OBJECT_ID => Ok(12),
        kind::DECIMAL128 => Ok(16),
        kind::STRING | kind::CODE | kind::SYMBOL => more_than_length(4),
        kind::BINARY => more_than_length(5),
        kind::DB_POINTER => more_than_length(16),
        kind::DOCUMENT | kind::ARRAY | kind::CODE_WITH_SCOPE => more_than_length(0),
        kind::REGEX => {
            let (pattern, after) = cstring(rest)?;
            let (options, _) = cstring(after)?;
            Ok(pattern.len() + options.len() + 2)
        }
        other => Err(Error::new(format!("0x{other:02x} is no kind of value"))),
    }
}

impl<'a> Value<'a> {
    fn sized<const N: usize>(&self) -> Result<[u8; N], Error> {
        self.payload.try_into().map_err(|_| Error::new("cut off"))
    }

    pub(super) fn as_f64(&self) -> Result<f64, Error> {
        self.sized().map(f64::from_le_bytes)
    }

    pub(super) fn as_i32(&self) -> Result<i32, Error> {
        self.sized().map(i32::from_le_bytes)
    }

    pub(super) fn as_i64(&self) -> Result<i64, Error> {
        self.sized().map(i64::from_le_bytes)
    }

    pub(super) fn as_date(&self) -> Result<DateTime, Error> {
        self.as_i64().map(DateTime::from_millis)
    }

    pub(super) fn as_oid(&self) -> Result<ObjectId, Error> {
        self.sized().map(ObjectId::from_bytes)
    }

    pub(super) fn as_bool(&self) -> Result<bool, Error> {
        match self.payload {
            [byte] => Ok(*byte != 0),
            _ => Err(Error::new("cut off")),
        }
    }

    /// Of a string, a symbol or code. What is not UTF-8 in it is U+FFFD, as browsers read it.
    pub(super) fn as_str(&self) -> Result<Cow<'a, str>, Error> {
        match self.payload.get(4..) {
            Some([characters @ .., 0]) if length(self.payload)? == characters.len() + 1 => {
                Ok(String::from_utf8_lossy(characters))
            }
            _ => Err(Error::new("a string without its end")),
        }
    }

    /// The subtype and the bytes.
    pub(super) fn as_binary(&self) -> Result<(u8, &'a [u8]), Error> {
        match self.payload.get(4..) {
            Some([subtype, bytes @ ..]) if length(self.payload)? == bytes.len() => Ok((*subtype, bytes)),
            _ => Err(Error::new("binary data with a wrong length")),
        }
    }

    /// Whether it is a document or an array that lies too deep to be looked into.
    pub(super) fn is_too_deep(&self) -> bool {
        matches!(self.kind, kind::DOCUMENT | kind::ARRAY) && self.depth >= DEEPEST
    }

    /// What lies in a document or an array.
    pub(super) fn elements(&self) -> Result<Elements<'a>, Error> {
        Elements::of(self.payload, self.depth + 1)
    }

    pub(super) fn as_opaque(&self) -> Opaque {
        Opaque { kind: self.kind, payload: self.payload.to_vec() }
    }
}

/// A whole document as its bytes, to be serialized as what it says: `Response::json(&Raw::new(&bytes))` answers a
/// stored document without making values of it in between. Bytes that are no BSON are an error of the serializer.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    document: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Of one document's bytes.
    pub fn new(document: &'a [u8]) -> Self {
        Self { document }
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value { kind: kind::DOCUMENT, payload: self.document, depth: 0 }.serialize(serializer)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_too_deep() {
            return self.as_opaque().serialize(serializer);
        }
        match self.kind {
            kind::DOCUMENT => {
                let mut map = serializer.serialize_map(None)?;
                for element in self.elements().map_err(S::Error::custom)? {
                    let (name, value) = element.map_err(S::Error::custom)?;
                    map.serialize_entry(&*name, &value)?;
                }
                map.end()
            }
            kind::ARRAY => {
                let mut seq = serializer.serialize_seq(None)?;
                for element in self.elements().map_err(S::Error::custom)? {
                    seq.serialize_element(&element.map_err(S::Error::custom)?.1)?;
                }
                seq.end()
            }
            kind::STRING => serializer.serialize_str(&self.as_str().map_err(S::Error::custom)?),
            kind::DOUBLE => serializer.serialize_f64(self.as_f64().map_err(S::Error::custom)?),
            kind::INT32 => serializer.serialize_i32(self.as_i32().map_err(S::Error::custom)?),
            kind::INT64 => serializer.serialize_i64(self.as_i64().map_err(S::Error::custom)?),
            kind::BOOLEAN => serializer.serialize_bool(self.as_bool().map_err(S::Error::custom)?),
            kind::NULL => serializer.serialize_none(),
            kind::OBJECT_ID => self.as_oid().map_err(S::Error::custom)?.serialize(serializer),
            kind::DATE_TIME => self.as_date().map_err(S::Error::custom)?.serialize(serializer),
            kind::BINARY => {
                let (subtype, bytes) = self.as_binary().map_err(S::Error::custom)?;
                Binary { subtype, bytes: bytes.to_vec() }.serialize(serializer)
            }
            _ => self.as_opaque().serialize(serializer),
        }
    }
}
