//! Keys: byte strings that sort as the values they stand for.
//!
//! Equal values have equal keys (1 and 1.0), and no key is a prefix of another, so keys can be joined and inverted.
//! They are stored in indexes: changing the encoding means a new version of the file. Pure functions.

use bson::{RawBsonRef, RawDocument};

use crate::documents::order::{Class, Number, class, foreign};

/// The bytes that stand for a value.
pub type Key = Vec<u8>;

/// In an index, instead of a value's key: the path met an array, so only the document itself shows what it matches.
/// Above every key of a value.
pub const ARRAY: &[u8] = &[0xF0];

/// The key of a value. Its order among keys is the value's order among values.
pub fn key(value: RawBsonRef<'_>) -> Key {
    let mut out = Key::with_capacity(16);
    append(&mut out, value);
    out
}

/// The first key that a value of this kind can have.
pub fn class_start(class: Class) -> Key {
    vec![class as u8]
}

/// Above every key that a value of this kind can have, and below the next kind.
pub fn class_end(class: Class) -> Key {
    vec![class as u8 + 1]
}

/// Directly above this key: no value's key lies between the two.
pub fn after(mut key: Key) -> Key {
    key.push(0x00);
    key
}

/// Adds the key of a value. Values nest at most `MAX_DEPTH` deep because they were validated.
pub(super) fn append(out: &mut Key, value: RawBsonRef<'_>) {
    out.push(class(value) as u8);
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => append_escaped(out, text.as_bytes()),
        RawBsonRef::Document(document) => append_document(out, document),
        RawBsonRef::Array(array) => {
            for element in array.into_iter().flatten() {
                append(out, element);
            }
            out.push(0x00);
        }
        RawBsonRef::Binary(binary) => {
            let length = u32::try_from(binary.bytes.len()).unwrap_or(u32::MAX);
            out.extend(length.to_be_bytes());
            out.push(binary.subtype.into());
            out.extend(binary.bytes);
        }
        RawBsonRef::ObjectId(id) => out.extend(id.bytes()),
        RawBsonRef::Boolean(value) => out.push(value.into()),
        RawBsonRef::DateTime(date) => out.extend(ordered(date.timestamp_millis())),
        RawBsonRef::Timestamp(stamp) => {
            out.extend(stamp.time.to_be_bytes());
            out.extend(stamp.increment.to_be_bytes());
        }
        _ => {
            if let Some(number) = Number::of(value) {
                append_number(out, number);
            } else if class(value) == Class::Foreign {
                append_escaped(out, &foreign(value));
            }
        }
    }
}

fn append_document(out: &mut Key, document: &RawDocument) {
    for (name, value) in document.iter().flatten() {
        out.push(class(value) as u8);
        append_escaped(out, name.as_str().as_bytes());
        append(out, value);
    }
    out.push(0x00);
}

/// The bytes with an end mark that is below every continuation; a zero inside is escaped as 0x00 0xFF.
fn append_escaped(out: &mut Key, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0x00 {
            out.push(0xFF);
        }
    }
    out.extend([0x00, 0x00]);
}

fn ordered(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

/// The nearest Double not above the number, then the rest. The rest is 0 for a Double and at most 1,023 for
/// an Int64, as neighbouring Doubles below 2^63 are at most 1,024 apart; so big whole numbers stay exact.
fn append_number(out: &mut Key, number: Number) {
    let (base, rest) = match number {
        Number::Real(real) => (real, 0),
        Number::Whole(whole) => {
            let nearest = whole as f64;
            let below = if nearest as i128 > i128::from(whole) { nearest.next_down() } else { nearest };
            (below, i128::from(whole) - below as i128)
        }
    };
    out.extend(ordered_real(base));
    out.extend((rest as u16).to_be_bytes());
}

fn ordered_real(real: f64) -> [u8; 8] {
    if real.is_nan() {
        return [0; 8];
    }
    // Adding zero makes -0.0 into 0.0.
    let bits = (real + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    ordered.to_be_bytes()
}
