//! Structs from BSON bytes, by serde, straight from where the bytes lie.
//! Whole numbers fit whole-number fields however they are stored (JavaScript writes `33` as a double at times).
//! Ids, dates and the other values that serde has no word for pass as tagged bytes; see `TAGGED`.

use std::borrow::Cow;

use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};

use super::raw::{Elements, Value};
use super::value::whole;
use super::{Error, TAG, kind};

/// Reads the bytes of one document, to the last of them, as a `T`: a struct, a map or a [`Document`](super::Document).
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    T::deserialize(Value { kind: kind::DOCUMENT, payload: bytes, depth: 0 })
}

impl<'de> Value<'de> {
    fn integer(&self) -> Result<Option<i64>, Error> {
        Ok(match self.kind {
            kind::INT32 => Some(i64::from(self.as_i32()?)),
            kind::INT64 | kind::DATE_TIME => Some(self.as_i64()?),
            kind::DOUBLE => whole(self.as_f64()?),
            _ => None,
        })
    }

    fn visit_integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.integer()? {
            Some(number) => visitor.visit_i64(number),
            None => self.visit_any(visitor),
        }
    }

    fn visit_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind {
            kind::STRING | kind::SYMBOL => self.visit_str(visitor),
            kind::OBJECT_ID => Err(de::Error::invalid_type(Unexpected::Other("ObjectId"), &visitor)),
            kind::DATE_TIME => Err(de::Error::invalid_type(Unexpected::Other("date"), &visitor)),
            _ => self.visit_any(visitor),
        }
    }

    fn visit_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.as_str()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn visit_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_too_deep() {
            return self.visit_tagged(visitor);
        }
        match self.kind {
            kind::DOUBLE => visitor.visit_f64(self.as_f64()?),
            kind::INT32 => visitor.visit_i32(self.as_i32()?),
            kind::INT64 => visitor.visit_i64(self.as_i64()?),
            kind::STRING => self.visit_str(visitor),
            kind::BOOLEAN => visitor.visit_bool(self.as_bool()?),
            kind::NULL => visitor.visit_unit(),
            kind::DOCUMENT => visitor.visit_map(Fields { elements: self.elements()?, value: None }),
            kind::ARRAY => visitor.visit_seq(Items { elements: self.elements()? }),
            _ => self.visit_tagged(visitor),
        }
    }

    fn visit_tagged<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Ids and dates, which are nearly all of these, need no allocation.
        let mut short = [TAG; 14];
        let [_, kind, payload @ ..] = &mut short;
        *kind = self.kind;
        match payload.get_mut(..self.payload.len()) {
            Some(room) => {
                room.copy_from_slice(self.payload);
                visitor.visit_bytes(short.get(..2 + self.payload.len()).unwrap_or_default())
            }
            None => visitor.visit_byte_buf([&[TAG, self.kind], self.payload].concat()),
        }
    }
}

macro_rules! forward {
    ($to:ident: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$to(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    forward!(visit_any: deserialize_any deserialize_bool deserialize_f32 deserialize_f64 deserialize_unit deserialize_seq deserialize_map);
    forward!(visit_integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128);
    forward!(visit_integer: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128);
    forward!(visit_text: deserialize_char deserialize_str deserialize_string deserialize_identifier);

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind {
            kind::BINARY => visitor.visit_borrowed_bytes(self.as_binary()?.1),
            _ => self.visit_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind {
            kind::NULL | kind::UNDEFINED => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.kind {
            kind::STRING => visitor.visit_enum(self.as_str()?.into_deserializer()),
            kind::DOCUMENT => {
                let mut elements = self.elements()?;
                match (elements.next().transpose()?, elements.next()) {
                    (Some((name, value)), None) => visitor.visit_enum(Variant { name, value }),
                    _ => Err(Error::new("a variant with data is a document of one field")),
                }
            }
            _ => Err(Error::new("a variant is a string or a document of one field")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Fields<'de> {
    elements: Elements<'de>,
    /// The value whose name was just given out.
    value: Option<(Cow<'de, str>, Value<'de>)>,
}

impl<'de> de::MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.elements.next().transpose()?;
        match &self.value {
            Some((Cow::Borrowed(name), _)) => seed.deserialize(de::value::BorrowedStrDeserializer::new(name)).map(Some),
            Some((Cow::Owned(name), _)) => seed.deserialize(name.as_str().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self.value.take().ok_or_else(|| Error::new("a value was asked for before its name"))?;
        seed.deserialize(value).map_err(|error| error.within(&name))
    }
}

struct Items<'de> {
    elements: Elements<'de>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.elements.next().transpose()? {
            Some((_, value)) => seed.deserialize(value).map(Some),
            None => Ok(None),
        }
    }
}

struct Variant<'de> {
    name: Cow<'de, str>,
    value: Value<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Value<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Value<'de>), Error> {
        let name = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.name))?;
        Ok((name, self.value))
    }
}

impl<'de> de::VariantAccess<'de> for Value<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.visit_any(visitor)
    }
}
