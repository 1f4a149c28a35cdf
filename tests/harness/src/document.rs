//! Documents, as a line has them: canonical Extended JSON with the order of their fields.
//!
//! The `bson` crate reads it so; what it writes for a JSON serializer is the same but for numbers and
//! bytes, which lose their types.

use std::collections::BTreeMap;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD as BASE64;
use bson::{Binary, Bson, Document};
use serde::{Serialize, Serializer};

/// A document on its way into a line.
pub(crate) struct Canonical<'a>(pub(crate) &'a Document);

struct Element<'a>(&'a Bson);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Element(value))))
    }
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Bson::Document(document) => Canonical(document).serialize(serializer),
            Bson::Array(values) => serializer.collect_seq(values.iter().map(Element)),
            Bson::Int32(number) => typed(serializer, "$numberInt", number.to_string()),
            Bson::Int64(number) => typed(serializer, "$numberLong", number.to_string()),
            Bson::Double(number) => typed(serializer, "$numberDouble", double(*number)),
            Bson::Binary(Binary { subtype, bytes }) => {
                let binary = [("base64", BASE64.encode(bytes)), ("subType", format!("{:02x}", u8::from(*subtype)))];
                serializer.collect_map([("$binary", BTreeMap::from(binary))])
            }
            other => other.serialize(serializer),
        }
    }
}

fn typed<S: Serializer>(serializer: S, of: &str, number: String) -> Result<S::Ok, S::Error> {
    serializer.collect_map([(of, number)])
}

fn double(number: f64) -> String {
    match number {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => format!("{number:?}"),
    }
}
