//! Extended JSON: documents on their way out, as canonical MongoDB Extended JSON v2 with the order of their fields.
//!
//! The `bson` crate reads it so; what it writes for a JSON serializer is the same but for numbers and
//! bytes, which lose their types.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::{Binary, Bson, Document};
use serde::{Serialize, Serializer};

/// A document.
pub(super) struct Canonical<'a>(pub(super) &'a Document);

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

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::spec::BinarySubtype;
    use bson::{DateTime, Timestamp, doc};

    use super::*;

    #[test]
    fn what_goes_out_comes_back_with_its_types_and_its_order() {
        let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] };
        let document = doc! {
            "z": 1, "y": 1_i64, "x": 1.0, "w": -0.0, "v": f64::INFINITY, "u": f64::MIN_POSITIVE, "t": null, "s": true,
            "_id": ObjectId::from_bytes([7; 12]), "at": DateTime::from_millis(-5), "list": [1, [2_i64], { "b": 1, "a": "x\ny" }],
            "binary": binary, "stamp": Timestamp { time: 1, increment: 2 }, "": {}, "a.b": { "$gt": 5 },
        };
        let text = serde_json::to_string(&Canonical(&document)).unwrap();
        assert!(text.starts_with(r#"{"z":{"$numberInt":"1"},"y":{"$numberLong":"1"},"x":{"$numberDouble":"1.0"},"#));
        let back: Document = serde_json::from_str(&text).unwrap();
        assert_eq!(back, document);
        assert!(back.get_f64("w").unwrap().is_sign_negative());
        assert_eq!(back.keys().collect::<Vec<_>>(), document.keys().collect::<Vec<_>>());
        let inner = back.get_array("list").unwrap()[2].as_document().unwrap();
        assert_eq!(inner.keys().collect::<Vec<_>>(), ["b", "a"]);
    }
}
