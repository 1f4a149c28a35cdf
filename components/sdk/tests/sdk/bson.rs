//! The codec against the `bson` crate: the same values make the same bytes, their bytes read as the same values,
//! structs pass both ways, and no bytes at all make it panic.
//! A component's documents lie beside those of other programs, so "nearly the same" would not do.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands, also in what its cases share")]

use bson as theirs;
use devconnect_sdk::bson::{Binary, Bson, DateTime, Document, ObjectId, Raw, from_slice, to_vec};
use devconnect_sdk::doc;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The same value twice.
type Pair = (Bson, theirs::Bson);

fn scalar() -> impl Strategy<Value = Pair> {
    prop_oneof![
        Just((Bson::Null, theirs::Bson::Null)),
        any::<bool>().prop_map(|v| (v.into(), v.into())),
        any::<i32>().prop_map(|v| (v.into(), v.into())),
        any::<i64>().prop_map(|v| (v.into(), v.into())),
        prop::num::f64::NORMAL.prop_map(|v| (v.into(), v.into())),
        any::<String>().prop_map(|v| (v.clone().into(), v.into())),
        any::<[u8; 12]>().prop_map(|v| (ObjectId::from_bytes(v).into(), theirs::oid::ObjectId::from_bytes(v).into())),
        any::<i64>().prop_map(|v| (DateTime::from_millis(v).into(), theirs::DateTime::from_millis(v).into())),
        (prop::sample::select(vec![0_u8, 4, 5, 128]), any::<Vec<u8>>()).prop_map(|(subtype, bytes)| {
            let other = theirs::Binary { subtype: subtype.into(), bytes: bytes.clone() };
            (Binary { subtype, bytes }.into(), other.into())
        }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z$.é]{0,8}"
}

fn document() -> impl Strategy<Value = (Document, theirs::Document)> {
    let value = scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|pairs| {
                let (ours, others): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
                (Bson::Array(ours), theirs::Bson::Array(others))
            }),
            prop::collection::btree_map(name(), inner, 0..6).prop_map(|fields| {
                let (ours, others) = documents(fields);
                (ours.into(), others.into())
            }),
        ]
    });
    prop::collection::btree_map(name(), value, 0..8).prop_map(documents)
}

fn documents(fields: impl IntoIterator<Item = (String, Pair)>) -> (Document, theirs::Document) {
    let (mut ours, mut others) = (Document::new(), theirs::Document::new());
    for (name, (our, other)) in fields {
        ours.insert(name.clone(), our);
        others.insert(name, other);
    }
    (ours, others)
}

proptest! {
    #[test]
    fn the_same_value_makes_the_same_bytes((ours, others) in document()) {
        let bytes = theirs::serialize_to_vec(&others).unwrap();
        prop_assert_eq!(&ours.to_vec(), &bytes);
        prop_assert_eq!(&to_vec(&ours).unwrap(), &bytes, "by serde");
        prop_assert_eq!(&Document::from_slice(&bytes).unwrap(), &ours);
        prop_assert_eq!(&from_slice::<Document>(&bytes).unwrap(), &ours, "by serde");
        prop_assert_eq!(theirs::deserialize_from_slice::<theirs::Document>(&ours.to_vec()).unwrap(), others);
    }

    #[test]
    fn raw_bytes_and_values_are_the_same_json((ours, _) in document()) {
        let bytes = ours.to_vec();
        prop_assert_eq!(serde_json::to_string(&Raw::new(&bytes)).unwrap(), serde_json::to_string(&ours).unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        read_every_way(&bytes);
    }

    #[test]
    fn nor_does_a_document_that_was_tampered_with((ours, _) in document(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = ours.to_vec();
        for (place, byte) in places {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        read_every_way(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_every_way(&bytes);
    }
}

/// What is read once is written and read again as the same.
fn read_every_way(bytes: &[u8]) {
    if let Ok(document) = Document::from_slice(bytes) {
        let again = document.to_vec();
        // A NaN is not equal to itself; its bytes are.
        assert_eq!(Document::from_slice(&again).unwrap().to_vec(), again);
    }
    let _ = from_slice::<Document>(bytes);
    let _ = from_slice::<User>(bytes);
    let _ = serde_json::to_vec(&Raw::new(bytes));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(rename = "_id")]
    id: ObjectId,
    first_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u32>,
    #[serde(default)]
    skills: Vec<String>,
    created_at: DateTime,
    #[serde(default)]
    tier: Tier,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<Payment>,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    #[default]
    Free,
    Gold,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Payment {
    Card(String),
    Split(i32, i64),
    Cash { paise: i64 },
}

fn user(payment: Option<Payment>) -> User {
    User {
        id: "64f0c1d2e3a4b5c6d7e8f901".parse().unwrap(),
        first_name: "Ada".into(),
        age: Some(36),
        skills: vec!["rust".into(), "wasm".into()],
        created_at: DateTime::from_millis(1_700_000_000_123),
        tier: Tier::Gold,
        payment,
    }
}

#[test]
fn structs_pass_both_ways() {
    for payment in
        [None, Some(Payment::Card("x".into())), Some(Payment::Split(1, 2)), Some(Payment::Cash { paise: 9_900 })]
    {
        let user = user(payment);
        let bytes = to_vec(&user).unwrap();
        assert_eq!(from_slice::<User>(&bytes).unwrap(), user);
        let document = Document::from_slice(&bytes).unwrap();
        assert_eq!(document.get_oid("_id"), Some(user.id));
        assert_eq!(document.get_date("createdAt"), Some(user.created_at));
        assert_eq!(document.get_str("tier"), Some("gold"));
        let json = serde_json::to_string(&user).unwrap();
        assert!(json.starts_with(r#"{"_id":"64f0c1d2e3a4b5c6d7e8f901","firstName":"Ada""#), "{json}");
        assert!(json.contains(r#""createdAt":"2023-11-14T22:13:20.123Z""#), "{json}");
        assert_eq!(serde_json::from_str::<User>(&json).unwrap(), user);
        theirs::deserialize_from_slice::<theirs::Document>(&bytes).unwrap();
    }
}

#[test]
fn what_javascript_wrote_is_read() {
    let stored = doc! {
        "_id": ObjectId::from_bytes([7; 12]), "firstName": "Ada", "age": 36.0, "createdAt": DateTime::from_millis(5),
        "__v": 0, "unknown": [1, { "deep": null }],
    };
    let user: User = from_slice(&stored.to_vec()).unwrap();
    assert_eq!((user.age, user.tier), (Some(36), Tier::Free));
    let half = doc! { "_id": ObjectId::from_bytes([7; 12]), "firstName": "Ada", "age": 36.5, "createdAt": DateTime::from_millis(5) };
    assert!(from_slice::<User>(&half.to_vec()).unwrap_err().to_string().starts_with("age: "));
    let id_as_name = doc! { "firstName": ObjectId::from_bytes([7; 12]) };
    assert!(from_slice::<User>(&id_as_name.to_vec()).unwrap_err().to_string().contains("ObjectId"));
}

#[test]
fn what_is_flattened_keeps_its_kinds() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Open {
        name: String,
        #[serde(flatten)]
        rest: Document,
    }
    let whole = doc! { "name": "a", "id": ObjectId::from_bytes([9; 12]), "at": DateTime::from_millis(-1), "n": 5_i64, "b": Binary { subtype: 4, bytes: vec![1; 40] } };
    let open: Open = from_slice(&whole.to_vec()).unwrap();
    assert_eq!(open.rest.len(), 4);
    assert_eq!(Document::from_slice(&to_vec(&open).unwrap()).unwrap(), whole);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        user: User,
    }
    let flat: Flat = from_slice(&to_vec(&user(None)).unwrap()).unwrap();
    assert_eq!(flat.user, user(None));
}

#[test]
fn kinds_that_are_only_carried_survive() {
    use theirs::spec::BinarySubtype;
    let stored = theirs::doc! {
        "regex": theirs::Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() },
        "time": theirs::Timestamp { time: 7, increment: 9 },
        "decimal": "1.50".parse::<theirs::Decimal128>().unwrap(),
        "code": theirs::Bson::JavaScriptCode("f()".into()),
        "scope": theirs::JavaScriptCodeWithScope { code: "f()".into(), scope: theirs::doc! { "a": 1 } },
        "symbol": theirs::Bson::Symbol("s".into()),
        "min": theirs::Bson::MinKey, "max": theirs::Bson::MaxKey, "undefined": theirs::Bson::Undefined,
        "old": theirs::Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
        "list": [theirs::Timestamp { time: 1, increment: 2 }],
    };
    let bytes = theirs::serialize_to_vec(&stored).unwrap();
    let document = Document::from_slice(&bytes).unwrap();
    assert_eq!(document.to_vec(), bytes);
    assert_eq!(to_vec(&document).unwrap(), bytes);
    assert_eq!(to_vec(&Raw::new(&bytes)).unwrap(), bytes);
    assert_eq!(from_slice::<Document>(&bytes).unwrap(), document);
}

/// A document in a document, so many levels of them.
fn nested(levels: usize) -> Vec<u8> {
    // Bytes around bytes, so that the test does not itself go as deep.
    let around = |inner: Vec<u8>| [&(inner.len() as i32 + 8).to_le_bytes()[..], b"\x03d\0", &inner, b"\0"].concat();
    (1..levels).fold(doc! {}.to_vec(), |inner, _| around(inner))
}

#[test]
fn what_is_deeper_than_64_levels_is_carried() {
    for levels in [1, 64, 65, 100, 5_000] {
        let bytes = nested(levels);
        let document = Document::from_slice(&bytes).unwrap();
        assert!(document.to_vec() == bytes && to_vec(&document).unwrap() == bytes, "{levels} levels");
        assert!(from_slice::<Document>(&bytes).unwrap() == document && to_vec(&Raw::new(&bytes)).unwrap() == bytes);
        let json = serde_json::to_string(&Raw::new(&bytes)).unwrap();
        assert_eq!(json, serde_json::to_string(&document).unwrap());
        assert_eq!((json.matches('{').count(), json.contains("null")), (levels.min(64), levels > 64));
        assert!(from_slice::<serde::de::IgnoredAny>(&bytes).is_ok(), "what is not looked at is not walked through");
    }
}

/// One element: its type, its name, its value.
fn element(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind][..], name, &[0], value].concat()
}

fn document_of(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    [&(elements.len() as i32 + 5).to_le_bytes()[..], &elements, &[0]].concat()
}

#[test]
fn text_that_is_not_utf_8_is_read_all_the_same() {
    // Half a surrogate pair, as older drivers of JavaScript wrote it, in a value and in a name.
    let bytes = document_of(&[
        element(0x02, b"half", b"\x06\0\0\0a\xED\xA0\xBDb\0"),
        element(0x10, b"\xED\xA0\xBD", &5_i32.to_le_bytes()),
        element(0x02, b"zero", b"\x04\0\0\0a\0b\0"),
        element(0x08, b"odd", &[7]),
    ]);
    let document = Document::from_slice(&bytes).unwrap();
    assert_eq!(document.get_str("half"), Some("a\u{fffd}\u{fffd}\u{fffd}b"));
    assert_eq!(document.get_i64("\u{fffd}\u{fffd}\u{fffd}"), Some(5));
    assert_eq!((document.get_str("zero"), document.get_bool("odd")), (Some("a\0b"), Some(true)));
    assert_eq!(from_slice::<Document>(&bytes).unwrap(), document);
    assert_eq!(serde_json::to_string(&Raw::new(&bytes)).unwrap(), serde_json::to_string(&document).unwrap());
    #[derive(Deserialize)]
    struct Half {
        half: String,
    }
    assert_eq!(from_slice::<Half>(&bytes).unwrap().half, "a\u{fffd}\u{fffd}\u{fffd}b");
}

#[test]
fn decimals_have_their_text_and_the_nearest_number() {
    for text in [
        "0",
        "1.50",
        "-1.50",
        "33",
        "1E+3",
        "1.5E+10",
        "0.000001",
        "1E-7",
        "-0",
        "NaN",
        "Infinity",
        "-Infinity",
        "9999999999999999999999999999999999",
        "1.234567890123456789012345678901234E+6144",
        "1E-6176",
        "12345.678",
    ] {
        let decimal: theirs::Decimal128 = text.parse().unwrap();
        let bytes = theirs::serialize_to_vec(&theirs::doc! { "n": decimal }).unwrap();
        let document = Document::from_slice(&bytes).unwrap();
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["n"]["$numberDecimal"], decimal.to_string(), "{text}");
        let (ours, nearest): (f64, f64) = (document.get_f64("n").unwrap(), text.parse().unwrap());
        assert!(ours == nearest || (ours.is_nan() && nearest.is_nan()), "{text}: {ours}");
    }
    let of = |text: &str| {
        let decimal: theirs::Decimal128 = text.parse().unwrap();
        Document::from_slice(&theirs::serialize_to_vec(&theirs::doc! { "n": decimal }).unwrap()).unwrap().get_i64("n")
    };
    assert_eq!([of("33"), of("33.0"), of("33.5"), of("NaN"), of("1E+40")], [Some(33), Some(33), None, None, None]);
}

#[test]
fn what_javascript_can_not_hold_is_null_in_json() {
    let document = doc! {
        "nan": f64::NAN, "infinite": f64::INFINITY, "first": DateTime::from_millis(i64::MIN),
        "last": DateTime::from_millis(8_640_000_000_000_000), "later": DateTime::from_millis(8_640_000_000_000_001),
    };
    let json = serde_json::to_string(&document).unwrap();
    let wanted = r#"{"nan":null,"infinite":null,"first":null,"last":"+275760-09-13T00:00:00.000Z","later":null}"#;
    assert_eq!(json, wanted);
    assert_eq!((document.get_date("first"), document.get_date("later")), (None, None));
    assert_eq!(Document::from_slice(&document.to_vec()).unwrap().to_vec(), document.to_vec(), "and stays what it is");
}

#[test]
fn a_symbol_is_text() {
    let bytes = theirs::serialize_to_vec(&theirs::doc! { "name": theirs::Bson::Symbol("Ada".into()) }).unwrap();
    let document = Document::from_slice(&bytes).unwrap();
    assert_eq!((document.get_str("name"), document.to_vec()), (Some("Ada"), bytes));
    assert_eq!(serde_json::to_value(&document).unwrap(), serde_json::json!({ "name": "Ada" }));
}

#[test]
fn what_can_not_be_a_document_is_an_error() {
    assert!(to_vec(&5).is_err());
    assert!(to_vec(&[1, 2]).is_err());
    assert!(to_vec(&ObjectId::from_bytes([1; 12])).is_err());
    assert!(to_vec(&std::collections::BTreeMap::from([("a", u64::MAX)])).is_err());
    assert!(to_vec(&std::collections::BTreeMap::from([("a\0b", 1)])).is_err());
    let by_number = to_vec(&std::collections::BTreeMap::from([(7, true)])).unwrap();
    assert_eq!(Document::from_slice(&by_number).unwrap().get_bool("7"), Some(true));
}

#[test]
fn ids_are_strict_and_new_ones_differ() {
    for text in [
        "",
        "64f0c1d2e3a4b5c6d7e8f90",
        "64f0c1d2e3a4b5c6d7e8f9011",
        "64f0c1d2e3a4b5c6d7e8f90g",
        "+4f0c1d2e3a4b5c6d7e8f901",
        "é4f0c1d2e3a4b5c6d7e8f90",
    ] {
        assert!(text.parse::<ObjectId>().is_err(), "{text}");
    }
    let ids: std::collections::BTreeSet<ObjectId> = std::iter::repeat_with(ObjectId::new).take(1_000).collect();
    assert_eq!(ids.len(), 1_000);
    let id = ids.first().unwrap();
    assert_eq!(id.to_hex().parse::<ObjectId>().unwrap(), *id);
    let age = DateTime::from_millis(theirs::DateTime::now().timestamp_millis()).millis() - id.created_at().millis();
    assert!((0..10_000).contains(&age), "made {age} ms ago");
}
