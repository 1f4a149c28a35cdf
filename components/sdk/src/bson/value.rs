//! One value of a document, of any kind, with the conversions that let `doc!` take what a component has at hand.
//! Numbers keep the width they were stored with; the getters of [`Document`] look past it.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::raw::Value;
use super::{Binary, DateTime, Document, Error, ObjectId, Opaque, TAG, kind};

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Bson {
    Null,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    String(String),
    ObjectId(ObjectId),
    DateTime(DateTime),
    Binary(Binary),
    Array(Vec<Bson>),
    Document(Document),
    /// Of a kind that is only carried.
    Opaque(Opaque),
}

impl Bson {
    /// The text, of a string. A symbol, which old documents have, is one too.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Bson::String(text) => Some(text),
            Bson::Opaque(opaque) => opaque.symbol(),
            _ => None,
        }
    }

    /// A whole number, however it is stored: also a double or a decimal without a fraction.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Bson::Opaque(opaque) => opaque.decimal().and_then(whole),
            Bson::Int32(number) => Some(i64::from(*number)),
            Bson::Int64(number) => Some(*number),
            Bson::Double(number) => whole(*number),
            _ => None,
        }
    }

    /// A number, however it is stored.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Bson::Opaque(opaque) => opaque.decimal(),
            Bson::Int32(number) => Some(f64::from(*number)),
            Bson::Int64(number) => Some(*number as f64),
            Bson::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Bson::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// An id.
    pub fn as_oid(&self) -> Option<ObjectId> {
        match self {
            Bson::ObjectId(id) => Some(*id),
            _ => None,
        }
    }

    /// A date. One that JavaScript can't hold, and so no client, is none.
    pub fn as_date(&self) -> Option<DateTime> {
        match self {
            Bson::DateTime(date) if date.is_of_javascript() => Some(*date),
            _ => None,
        }
    }

    /// The values of an array.
    pub fn as_array(&self) -> Option<&[Bson]> {
        match self {
            Bson::Array(values) => Some(values),
            _ => None,
        }
    }

    /// A document.
    pub fn as_document(&self) -> Option<&Document> {
        match self {
            Bson::Document(document) => Some(document),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> u8 {
        match self {
            Bson::Null => kind::NULL,
            Bson::Boolean(_) => kind::BOOLEAN,
            Bson::Int32(_) => kind::INT32,
            Bson::Int64(_) => kind::INT64,
            Bson::Double(_) => kind::DOUBLE,
            Bson::String(_) => kind::STRING,
            Bson::ObjectId(_) => kind::OBJECT_ID,
            Bson::DateTime(_) => kind::DATE_TIME,
            Bson::Binary(_) => kind::BINARY,
            Bson::Array(_) => kind::ARRAY,
            Bson::Document(_) => kind::DOCUMENT,
            Bson::Opaque(opaque) => opaque.kind,
        }
    }

    pub(super) fn read(value: Value<'_>) -> Result<Self, Error> {
        if value.is_too_deep() {
            return Ok(Bson::Opaque(value.as_opaque()));
        }
        Ok(match value.kind {
            kind::NULL => Bson::Null,
            kind::BOOLEAN => Bson::Boolean(value.as_bool()?),
            kind::INT32 => Bson::Int32(value.as_i32()?),
            kind::INT64 => Bson::Int64(value.as_i64()?),
            kind::DOUBLE => Bson::Double(value.as_f64()?),
            kind::STRING => Bson::String(value.as_str()?.into()),
            kind::OBJECT_ID => Bson::ObjectId(value.as_oid()?),
            kind::DATE_TIME => Bson::DateTime(value.as_date()?),
            kind::BINARY => {
                let (subtype, bytes) = value.as_binary()?;
                Bson::Binary(Binary { subtype, bytes: bytes.to_vec() })
            }
            kind::ARRAY => {
                Bson::Array(value.elements()?.map(|element| Bson::read(element?.1)).collect::<Result<_, _>>()?)
            }
            kind::DOCUMENT => Bson::Document(Document::read(value.elements()?)?),
            _ => Bson::Opaque(value.as_opaque()),
        })
    }
}

/// `number` as an integer when it is one and fits.
pub(super) fn whole(number: f64) -> Option<i64> {
    // 2^63 is exact as a double, and i64 ends just below it.
    let fits = number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    fits.then_some(number as i64)
}

macro_rules! from {
    ($($type:ty => |$value:ident| $bson:expr),* $(,)?) => {
        $(impl From<$type> for Bson {
            fn from($value: $type) -> Self {
                $bson
            }
        })*
    };
}

from! {
    bool => |value| Bson::Boolean(value),
    i32 => |value| Bson::Int32(value),
    i64 => |value| Bson::Int64(value),
    u8 => |value| Bson::Int32(i32::from(value)),
    u16 => |value| Bson::Int32(i32::from(value)),
    u32 => |value| i32::try_from(value).map_or(Bson::Int64(i64::from(value)), Bson::Int32),
    f64 => |value| Bson::Double(value),
    &str => |value| Bson::String(value.into()),
    String => |value| Bson::String(value),
    &String => |value| Bson::String(value.clone()),
    ObjectId => |value| Bson::ObjectId(value),
    &ObjectId => |value| Bson::ObjectId(*value),
    DateTime => |value| Bson::DateTime(value),
    Binary => |value| Bson::Binary(value),
    Document => |value| Bson::Document(value),
    &Document => |value| Bson::Document(value.clone()),
    &Bson => |value| value.clone(),
}

impl<T: Into<Bson>> From<Vec<T>> for Bson {
    fn from(values: Vec<T>) -> Self {
        Bson::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Bson> + Clone> From<&[T]> for Bson {
    fn from(values: &[T]) -> Self {
        Bson::Array(values.iter().cloned().map(Into::into).collect())
    }
}

impl<T: Into<Bson>, const N: usize> From<[T; N]> for Bson {
    fn from(values: [T; N]) -> Self {
        Bson::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Bson>> From<Option<T>> for Bson {
    fn from(value: Option<T>) -> Self {
        value.map_or(Bson::Null, Into::into)
    }
}

impl<T: Into<Bson>> FromIterator<T> for Bson {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Bson::Array(values.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Bson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Bson::Null => serializer.serialize_none(),
            Bson::Boolean(value) => serializer.serialize_bool(*value),
            Bson::Int32(value) => serializer.serialize_i32(*value),
            Bson::Int64(value) => serializer.serialize_i64(*value),
            Bson::Double(value) => serializer.serialize_f64(*value),
            Bson::String(value) => serializer.serialize_str(value),
            Bson::ObjectId(value) => value.serialize(serializer),
            Bson::DateTime(value) => value.serialize(serializer),
            Bson::Binary(value) => value.serialize(serializer),
            Bson::Array(value) => serializer.collect_seq(value),
            Bson::Document(value) => value.serialize(serializer),
            Bson::Opaque(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

/// Takes what a deserializer has. JSON's numbers become the narrowest kind that holds them.
struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Bson;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_none<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bson, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i32<E>(self, value: i32) -> Result<Bson, E> {
        Ok(Bson::Int32(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bson, E> {
        Ok(Bson::Int64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bson, E> {
        Ok(match (i32::try_from(value), i64::try_from(value)) {
            (Ok(narrow), _) => Bson::Int32(narrow),
            (_, Ok(wide)) => Bson::Int64(wide),
            _ => Bson::Double(value as f64),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Bson, E> {
        Ok(Bson::String(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bson, E> {
        match bytes {
            // Too deep to be looked into.
            [TAG, kind @ (kind::DOCUMENT | kind::ARRAY), payload @ ..] => {
                Ok(Bson::Opaque(Opaque { kind: *kind, payload: payload.to_vec() }))
            }
            [TAG, kind, payload @ ..] => Bson::read(Value { kind: *kind, payload, depth: 0 }).map_err(E::custom),
            _ => Ok(Bson::Binary(Binary { subtype: 0, bytes: bytes.to_vec() })),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bson, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Bson::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bson, A::Error> {
        let mut document = Document::new();
        while let Some((name, value)) = map.next_entry::<String, Bson>()? {
            document.push(name, value);
        }
        Ok(Bson::Document(document))
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_map(Anything)? {
            Bson::Document(document) => Ok(document),
            _ => Err(D::Error::custom("expected a document")),
        }
    }
}
