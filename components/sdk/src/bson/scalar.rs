//! The values that are carried rather than used: binary data, and the kinds that a component never makes but that
//! a document may have (timestamps, decimals, regular expressions…), kept byte for byte so that they survive.
//! Ids and dates have files of their own.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::raw::Value;
use super::{TAG, TAGGED, decimal, kind};

/// Bytes with a subtype. In JSON, base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binary {
    /// 0 for plain bytes; the others are in the BSON specification.
    pub subtype: u8,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A value of a kind that is only carried, or one that lies too deep to be looked into. In JSON a symbol is its text, a decimal is
/// `{"$numberDecimal": "1.50"}`, and anything else is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
}

impl Opaque {
    /// The text of a symbol.
    pub(super) fn symbol(&self) -> Option<&str> {
        match (self.kind, self.payload.get(4..)) {
            (kind::SYMBOL, Some([text @ .., 0])) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The text of a decimal.
    pub fn decimal_text(&self) -> Option<String> {
        if self.kind == kind::DECIMAL128 { decimal::text(&self.payload) } else { None }
    }

    /// The number nearest to a decimal.
    pub(super) fn decimal(&self) -> Option<f64> {
        self.decimal_text()?.parse().ok()
    }
}

/// Bytes that serialize as bytes and not as a list of numbers.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Passes a value of `kind` through serde; see [`TAGGED`].
fn serialize_tagged<S: Serializer>(serializer: S, kind: u8, parts: &[&[u8]]) -> Result<S::Ok, S::Error> {
    let mut tagged = vec![TAG, kind];
    parts.iter().for_each(|part| tagged.extend_from_slice(part));
    serializer.serialize_newtype_struct(TAGGED, &Bytes(&tagged))
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&base64(&self.bytes));
        }
        let length = i32::try_from(self.bytes.len()).unwrap_or(i32::MAX).to_le_bytes();
        serialize_tagged(serializer, kind::BINARY, &[&length, &[self.subtype], &self.bytes])
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Binary;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("binary data")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
                match bytes {
                    [TAG, kind::BINARY, payload @ ..] => {
                        let (subtype, bytes) =
                            Value { kind: kind::BINARY, payload, depth: 0 }.as_binary().map_err(E::custom)?;
                        Ok(Binary { subtype, bytes: bytes.to_vec() })
                    }
                    _ => Err(E::invalid_type(serde::de::Unexpected::Bytes(bytes), &self)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match (self.symbol(), self.decimal_text()) {
                (Some(text), _) => serializer.serialize_str(text),
                (_, Some(text)) => serializer.collect_map([("$numberDecimal", text)]),
                _ => serializer.serialize_none(),
            };
        }
        serialize_tagged(serializer, self.kind, &[&self.payload])
    }
}

/// With the standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place)) as usize & 63).copied().unwrap_or_default();
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(super::base64(bytes.as_bytes()), text);
        }
    }
}
