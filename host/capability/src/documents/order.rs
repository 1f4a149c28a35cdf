//! The order of values: which of two BSON values comes first, and what is built on it (sorting, projecting, keys).
//!
//! The order is MongoDB's and total, so that every store sorts and compares alike. Pure functions over raw BSON; bytes from
//! outside must have passed [`validate`] once.

mod bytes;
mod key;
mod projection;
mod sort;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use bson::raw::cstr;
use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

pub use projection::Projection;
pub use sort::Sort;

pub use bytes::{MAX_PATH, outside, storable, valid_path, validate, validate_insert};
pub use key::{ARRAY, Key, after, class_end, class_start, key};

/// The kinds of values in their order. The number is also the first byte of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Below everything.
    MinKey = 0x10,
    /// Only as a sort key: an empty array sorts below null.
    Empty = 0x18,
    /// Null, and in keys also a missing field. Undefined, which only old documents have, is null as well.
    Null = 0x20,
    /// Int32, Int64 and Double compare by value; NaN is the smallest. A Decimal128 of an old document is the nearest Double.
    Number = 0x30,
    /// By bytes, a symbol of an old document too.
    String = 0x40,
    /// Field by field: kind, then name, then value.
    Document = 0x50,
    /// Element by element.
    Array = 0x60,
    /// By length, then subtype, then bytes.
    Binary = 0x70,
    /// By bytes.
    ObjectId = 0x80,
    /// False, then true.
    Boolean = 0x90,
    /// By milliseconds since 1970.
    Date = 0xA0,
    /// By seconds, then increment.
    Timestamp = 0xB0,
    /// Above everything.
    MaxKey = 0xC0,
    /// Any other type that [`validate`] refuses and old documents have. By bytes.
    Foreign = 0xD0,
}

/// The kind of a value.
pub fn class(value: RawBsonRef<'_>) -> Class {
    match value {
        RawBsonRef::MinKey => Class::MinKey,
        RawBsonRef::Null | RawBsonRef::Undefined => Class::Null,
        RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_) | RawBsonRef::Decimal128(_) => {
            Class::Number
        }
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => Class::String,
        RawBsonRef::Document(_) => Class::Document,
        RawBsonRef::Array(_) => Class::Array,
        RawBsonRef::Binary(_) => Class::Binary,
        RawBsonRef::ObjectId(_) => Class::ObjectId,
        RawBsonRef::Boolean(_) => Class::Boolean,
        RawBsonRef::DateTime(_) => Class::Date,
        RawBsonRef::Timestamp(_) => Class::Timestamp,
        RawBsonRef::MaxKey => Class::MaxKey,
        _ => Class::Foreign,
    }
}

/// The number of values in a validated value, itself included. Each takes the size of a [`Bson`](bson::Bson) when it is parsed.
pub fn count_values(value: RawBsonRef<'_>) -> usize {
    1 + match value {
        RawBsonRef::Document(document) => document.iter().flatten().map(|(_, value)| count_values(value)).sum(),
        RawBsonRef::Array(array) => array.into_iter().flatten().map(count_values).sum(),
        _ => 0,
    }
}

/// MongoDB's order of two values. Total: NaN equals NaN and is below every other number.
pub fn compare(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Ordering {
    class(left).cmp(&class(right)).then_with(|| within_class(left, right))
}

fn within_class(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Ordering {
    match (left, right) {
        (RawBsonRef::String(a) | RawBsonRef::Symbol(a), RawBsonRef::String(b) | RawBsonRef::Symbol(b)) => {
            a.as_bytes().cmp(b.as_bytes())
        }
        (RawBsonRef::Document(a), RawBsonRef::Document(b)) => compare_documents(a, b),
        (RawBsonRef::Array(a), RawBsonRef::Array(b)) => compare_arrays(a, b),
        (RawBsonRef::Binary(a), RawBsonRef::Binary(b)) => {
            (a.bytes.len(), u8::from(a.subtype), a.bytes).cmp(&(b.bytes.len(), u8::from(b.subtype), b.bytes))
        }
        (RawBsonRef::ObjectId(a), RawBsonRef::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (RawBsonRef::Boolean(a), RawBsonRef::Boolean(b)) => a.cmp(&b),
        (RawBsonRef::DateTime(a), RawBsonRef::DateTime(b)) => a.timestamp_millis().cmp(&b.timestamp_millis()),
        (RawBsonRef::Timestamp(a), RawBsonRef::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        _ => match (Number::of(left), Number::of(right)) {
            (Some(a), Some(b)) => a.compare(b),
            _ if class(left) == Class::Foreign => foreign(left).cmp(&foreign(right)),
            _ => Ordering::Equal,
        },
    }
}

/// The bytes of a value of an old type.
fn foreign(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut alone = RawDocumentBuf::new();
    alone.append(cstr!(""), value);
    alone.into_bytes()
}

/// A number as it was stored.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A 32 or 64 bit integer.
    Whole(i64),
    /// A double.
    Real(f64),
}

impl Number {
    /// The number in a value; none where it is no number.
    pub fn of(value: RawBsonRef<'_>) -> Option<Number> {
        match value {
            RawBsonRef::Int32(n) => Some(Number::Whole(n.into())),
            RawBsonRef::Int64(n) => Some(Number::Whole(n)),
            RawBsonRef::Double(n) => Some(Number::Real(n)),
            RawBsonRef::Decimal128(n) => Some(Number::Real(n.to_string().parse().unwrap_or(f64::NAN))),
            _ => None,
        }
    }

    /// By value and without rounding: 2^53 + 1 as an Int64 is above 2^53 as a Double.
    fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (Number::Real(a), Number::Real(b)) => compare_reals(a, b),
            (Number::Whole(a), Number::Real(b)) => compare_mixed(a, b),
            (Number::Real(a), Number::Whole(b)) => compare_mixed(b, a).reverse(),
        }
    }
}

fn compare_reals(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

fn compare_mixed(whole: i64, real: f64) -> Ordering {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if real.is_nan() || real < -TWO_63 {
        return Ordering::Greater;
    }
    if real >= TWO_63 {
        return Ordering::Less;
    }
    // Within the range of i64 the truncation is exact, so only the fraction is left to compare.
    let truncated = real.trunc();
    whole.cmp(&(truncated as i64)).then_with(|| compare_reals(0.0, real - truncated))
}

fn compare_documents(left: &RawDocument, right: &RawDocument) -> Ordering {
    let (mut left, mut right) = (left.iter().flatten(), right.iter().flatten());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((name, a)), Some((other, b))) => {
                let order = class(a)
                    .cmp(&class(b))
                    .then_with(|| name.as_str().as_bytes().cmp(other.as_str().as_bytes()))
                    .then_with(|| within_class(a, b));
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn compare_arrays(left: &RawArray, right: &RawArray) -> Ordering {
    let (mut left, mut right) = (left.into_iter().flatten(), right.into_iter().flatten());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => {
                let order = compare(a, b);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}
