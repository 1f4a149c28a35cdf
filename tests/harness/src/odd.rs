//! What only old databases have: values that no component may write and each may meet.

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, doc};

/// A value of each odd kind, by its name.
pub fn odd_values() -> Vec<(&'static str, Bson)> {
    let scope = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "a": 1 } };
    vec![
        ("undefined", Bson::Undefined),
        ("null", Bson::Null),
        ("symbol", Bson::Symbol("rust".into())),
        ("decimal", Bson::Decimal128(decimal("1.50"))),
        ("decimals", vec![Bson::Decimal128(decimal("33")), Bson::Decimal128(decimal("NaN"))].into()),
        ("regex", Regex { pattern: cstr!("^a").into(), options: cstr!("i").into() }.into()),
        ("code", Bson::JavaScriptCode("f()".into())),
        ("scope", scope.into()),
        ("lowest", Bson::MinKey),
        ("highest", Bson::MaxKey),
        ("timestamp", Timestamp { time: 5, increment: 6 }.into()),
        ("old binary", Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] }.into()),
        ("uuid", Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] }.into()),
        ("odd names", doc! { "b.c": 2, "": 3, "d\u{1}": 4 }.into()),
        ("70 levels", (0..70).fold(Bson::Int32(1), |inner, _| doc! { "d": inner }.into())),
        ("90 lists", (0..90).fold(Bson::Int32(1), |inner, _| vec![inner].into())),
        ("700 KB", "x".repeat(700_000).into()),
        ("long list", vec![Bson::String("rust".into()); 20_000].into()),
        ("not a number", f64::NAN.into()),
        ("infinity", f64::INFINITY.into()),
        ("fraction", 33.5.into()),
        ("large number", i64::MAX.into()),
        ("first date", DateTime::MIN.into()),
        ("last date", DateTime::MAX.into()),
        ("date", DateTime::from_millis(0).into()),
        ("zero", "a\0b".into()),
        ("empty", "".into()),
        ("text", "33".into()),
        ("truth", true.into()),
        ("document", doc! { "a": 1 }.into()),
        ("list of lists", vec![Bson::Array(vec![1.into(), Bson::Null]), Bson::Null].into()),
    ]
}

fn decimal(text: &str) -> Decimal128 {
    text.parse().unwrap_or(Decimal128::from_bytes([0; 16]))
}

/// Names of fields that are odd themselves.
pub const ODD_NAMES: [&str; 5] = ["", "$name", "dotted.name", "__proto__", "constructor"];
