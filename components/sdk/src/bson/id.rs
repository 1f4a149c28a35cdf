//! Ids as MongoDB makes them: 12 bytes, of which the first four are the second they were made in.
//! In BSON an ObjectId, in JSON and in text 24 hex digits, and nothing else is accepted as one.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{DateTime, Error, TAG, TAGGED, kind};

/// The id of a document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// A new one: the present second, five bytes that this instance drew at random, and a counter that began at random.
    #[expect(clippy::new_without_default, reason = "an id that is different each time is no default")]
    pub fn new() -> Self {
        thread_local! {
            static NEXT: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
        }
        let drawn = NEXT.get().unwrap_or_else(|| {
            let drawn = crate::random::bytes(8);
            u64::from_be_bytes(drawn.try_into().unwrap_or_default())
        });
        // The low three bytes count; the five above stay as they are.
        NEXT.set(Some(drawn & !0xFF_FFFF | drawn.wrapping_add(1) & 0xFF_FFFF));
        let seconds = crate::clock::now().millis() / 1_000;
        let id = u128::from(seconds as u32) << 64 | u128::from(drawn);
        let [_, _, _, _, bytes @ ..] = id.to_be_bytes();
        ObjectId(bytes)
    }

    /// Of its twelve bytes.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        ObjectId(bytes)
    }

    /// The twelve bytes.
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }

    /// 24 lower-case hex digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// The second it was made in.
    pub fn created_at(self) -> DateTime {
        let [a, b, c, d, ..] = self.0;
        DateTime::from_millis(i64::from(u32::from_be_bytes([a, b, c, d])) * 1_000)
    }
}

/// Lower-case hex digits, two a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

impl std::str::FromStr for ObjectId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused =
            || Error::new(format!("\"{}\" is not an id of 24 hex digits", text.chars().take(40).collect::<String>()));
        let mut bytes = [0; 12];
        if text.len() != 24 {
            return Err(refused());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or_else(refused)?;
                *byte = *byte << 4 | value as u8;
            }
        }
        Ok(ObjectId(bytes))
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl std::fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&self.to_hex());
        }
        let mut tagged = [TAG; 14];
        let [_, kind, payload @ ..] = &mut tagged;
        *kind = kind::OBJECT_ID;
        *payload = self.0;
        serializer.serialize_newtype_struct(TAGGED, &super::scalar::Bytes(&tagged))
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = ObjectId;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an id of 24 hex digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ObjectId, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<ObjectId, E> {
                match bytes {
                    [TAG, kind::OBJECT_ID, payload @ ..] => payload.try_into().map(ObjectId).map_err(E::custom),
                    _ => Err(E::invalid_type(serde::de::Unexpected::Bytes(bytes), &self)),
                }
            }
        }
        deserializer.deserialize_any(Id)
    }
}
