use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, RawBson, RawDocument, doc};
use proptest::prelude::*;

use crate::documents::order::*;
use crate::documents::{Error, MAX_DEPTH};

fn raw(document: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&document).unwrap()
}

fn value(value: impl Into<Bson>) -> RawBson {
    RawBson::try_from(value.into()).unwrap()
}

/// Numbers close to each other and close to the limits of what a Double holds exactly.
fn number() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (-3i32..3).prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        ((1i64 << 53) - 3..(1i64 << 53) + 3).prop_map(Bson::Int64),
        (i64::MAX - 2_000..=i64::MAX).prop_map(Bson::Int64),
        (i64::MIN..i64::MIN + 2_000).prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        prop::sample::select(vec![0.0, -0.0, 0.5, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9007199254740992.0])
            .prop_map(Bson::Double),
        prop::sample::select(vec![9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0]).prop_map(Bson::Double),
    ]
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        4 => number(),
        3 => "[a-b\u{0}\u{1}é]{0,3}".prop_map(Bson::String),
        1 => Just(Bson::Null),
        1 => Just(Bson::MinKey),
        1 => Just(Bson::MaxKey),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => prop::array::uniform12(0u8..2).prop_map(|bytes| bson::oid::ObjectId::from_bytes(bytes).into()),
        1 => (-2i64..2).prop_map(|millis| bson::DateTime::from_millis(millis).into()),
        1 => (any::<u32>(), 0u32..2).prop_map(|(time, increment)| bson::Timestamp { time, increment }.into()),
        1 => prop::collection::vec(0u8..2, 0..3).prop_map(|bytes| {
            bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }.into()
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::btree_map("[a-b\u{1}]{0,2}", inner, 0..3)
                .prop_map(|fields| fields.into_iter().collect::<Document>().into()),
        ]
    })
}

mod fuzz {
    use super::*;

    proptest! {
        #![proptest_config(fuzzing::cheap(16))]

        #[test]
        fn keys_are_in_the_order_of_their_values(a in any_value(), b in any_value()) {
            let (a, b) = (value(a), value(b));
            let (a, b) = (a.as_raw_bson_ref(), b.as_raw_bson_ref());
            prop_assert_eq!(key(a).cmp(&key(b)), compare(a, b));
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
        }

        #[test]
        fn numbers_are_in_order_without_rounding(a in number(), b in number()) {
            let (a, b) = (value(a), value(b));
            let (a, b) = (a.as_raw_bson_ref(), b.as_raw_bson_ref());
            prop_assert_eq!(key(a).cmp(&key(b)), compare(a, b));
        }

        #[test]
        fn no_key_begins_another(a in any_value(), b in any_value()) {
            let (a, b) = (key(value(a).as_raw_bson_ref()), key(value(b).as_raw_bson_ref()));
            prop_assert!(a == b || !a.starts_with(&b));
        }

        #[test]
        fn what_the_library_writes_is_valid(fields in prop::collection::btree_map("[a-z]{1,3}", any_value(), 0..4)) {
            prop_assert_eq!(validate(&raw(fields.into_iter().collect())), Ok(()));
        }

        #[test]
        fn hostile_bytes_get_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            seal(&mut bytes);
            use_all(&bytes);
        }

        #[test]
        fn damaged_documents_get_an_answer(
            fields in prop::collection::btree_map("[a-z]{1,3}", any_value(), 1..4),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = raw(fields.into_iter().collect()).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            use_all(&bytes);
        }
    }
}

/// Makes the outermost length and end right, so that the inside is read.
fn seal(bytes: &mut Vec<u8>) {
    let length = i32::try_from(bytes.len() + 5).unwrap();
    bytes.splice(0..0, length.to_le_bytes());
    bytes.push(0);
}

/// Bytes that are valid must also be safe to use everywhere.
fn use_all(bytes: &[u8]) {
    use crate::documents::{Change, Filter};
    let Ok(document) = RawDocument::from_bytes(bytes) else { return };
    drop((Filter::parse(document), Change::parse(document), Sort::parse(document), Projection::parse(document)));
    if validate(document).is_ok() {
        key(bson::RawBsonRef::Document(document));
        Document::try_from(document).unwrap();
    }
}

#[test]
fn kinds_come_in_mongodbs_order() {
    let ascending = [
        Bson::MinKey,
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Int64(i64::MIN),
        Bson::Int32(0),
        Bson::Double(0.5),
        Bson::Int64(i64::MAX),
        Bson::Double(9_223_372_036_854_775_808.0),
        Bson::String(String::new()),
        Bson::String("a".into()),
        Bson::String("a\0".into()),
        Bson::Document(doc! {}),
        Bson::Document(doc! { "b": 1 }),
        Bson::Document(doc! { "a": "x" }),
        Bson::Array(vec![]),
        Bson::Array(vec![1.into()]),
        bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![9] }.into(),
        bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 0] }.into(),
        bson::oid::ObjectId::from_bytes([0; 12]).into(),
        Bson::Boolean(false),
        Bson::Boolean(true),
        bson::DateTime::from_millis(-1).into(),
        bson::DateTime::from_millis(1).into(),
        bson::Timestamp { time: 0, increment: 1 }.into(),
        Bson::MaxKey,
    ];
    let ascending: Vec<RawBson> = ascending.into_iter().map(value).collect();
    for pair in ascending.windows(2) {
        let (a, b) = (pair[0].as_raw_bson_ref(), pair[1].as_raw_bson_ref());
        assert!(compare(a, b).is_lt(), "{a:?} {b:?}");
        assert!(key(a) < key(b), "{a:?} {b:?}");
        assert!(key(a) < ARRAY.to_vec() && key(b) < ARRAY.to_vec());
    }
}

#[test]
fn equal_numbers_have_equal_keys() {
    let keys = [Bson::Int32(1), Bson::Int64(1), Bson::Double(1.0)].map(|number| key(value(number).as_raw_bson_ref()));
    assert!(keys[0] == keys[1] && keys[1] == keys[2]);
    assert_eq!(key(value(-0.0).as_raw_bson_ref()), key(value(0).as_raw_bson_ref()));
}

#[track_caller]
fn refused(document: Document, words: &str) {
    match validate_insert(&raw(document)) {
        Err(Error::Invalid(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn documents_that_can_not_be_stored_are_refused() {
    refused(doc! { "a": 1 }, "no `_id`");
    refused(doc! { "_id": [1] }, "can't be an array");
    refused(doc! { "_id": 1, "$set": 1 }, "`$set`");
    refused(doc! { "_id": 1, "a": Bson::JavaScriptCode("x".into()) }, "JavaScript");
    refused(doc! { "_id": 1, "a": [Bson::Undefined] }, "undefined");
    refused(doc! { "_id": 1, "a": bson::Decimal128::from_bytes([0; 16]) }, "Decimal128");
    refused(doc! { "_id": 1, "a": "x".repeat(1 << 20) }, "bytes");
    let mut deep = Bson::Int32(1);
    for _ in 0..MAX_DEPTH {
        deep = Bson::Array(vec![deep]);
    }
    refused(doc! { "_id": 1, "a": deep }, "deep");
}

#[test]
fn bytes_that_are_not_quite_bson_are_refused() {
    let mut twice = vec![0x0A, b'a', 0, 0x0A, b'a', 0];
    seal(&mut twice);
    let mut misnamed = vec![0x04, b'a', 0, 8, 0, 0, 0, 0x0A, b'7', 0, 0];
    seal(&mut misnamed);
    let mut neither = vec![0x08, b'a', 0, 2];
    seal(&mut neither);
    for bytes in [twice, misnamed, neither] {
        assert!(validate(RawDocument::from_bytes(&bytes).unwrap()).is_err());
    }
    for document in [
        doc! { "_id": { "a": [{ "$b": 1 }] } },
        doc! { "_id": 1, "a": Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 }) },
    ] {
        assert!(validate_insert(&raw(document)).is_err());
    }
    // 100,000 nested documents must not overflow the stack.
    let mut nested = Vec::new();
    for depth in 0..100_000 {
        nested.extend([0x03, b'a', 0]);
        nested.extend((i32::MAX - depth).to_le_bytes());
    }
    seal(&mut nested);
    assert!(validate(RawDocument::from_bytes(&nested).unwrap()).is_err());
}

fn sorted(sort: Document, documents: &[Document]) -> Vec<i32> {
    let sort = Sort::from_document(&sort).unwrap();
    let mut documents = documents.to_vec();
    documents.sort_by_key(|document| sort.key(&raw(document.clone())).unwrap());
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

#[test]
fn sorting_takes_the_least_or_greatest_of_an_array() {
    let documents = [
        doc! { "_id": 1, "a": [5, 1] },
        doc! { "_id": 2, "a": 3 },
        doc! { "_id": 3 },
        doc! { "_id": 4, "a": [] },
        doc! { "_id": 5, "a": 3 },
    ];
    assert_eq!(sorted(doc! { "a": 1 }, &documents), [4, 3, 1, 2, 5]);
    assert_eq!(sorted(doc! { "a": -1 }, &documents), [1, 2, 5, 3, 4]);
    assert_eq!(sorted(doc! { "a": 1, "_id": -1 }, &documents), [4, 3, 1, 5, 2]);
    assert_eq!(sorted(doc! {}, &documents), [1, 2, 3, 4, 5]);
}

#[test]
fn sorting_by_two_fields_of_one_array_keeps_its_elements_together() {
    let documents = [
        doc! { "_id": 1, "l": [{ "k": 2, "v": 1 }, { "k": 1, "v": 9 }] },
        doc! { "_id": 2, "l": [{ "k": 1, "v": 5 }] },
        doc! { "_id": 3, "l": [4, { "k": 3 }] },
        doc! { "_id": 4, "l": [] },
        doc! { "_id": 5, "l": { "k": 1, "v": [7, 4] } },
    ];
    assert_eq!(sorted(doc! { "l.k": 1, "l.v": 1 }, &documents), [3, 4, 5, 2, 1]);
    assert_eq!(sorted(doc! { "l.k": -1, "l.v": -1 }, &documents), [3, 1, 5, 2, 4]);
    assert_eq!(sorted(doc! { "l.0.k": -1 }, &documents[..4]), [1, 2, 3, 4]);
    let two = raw(doc! { "_id": 1, "l": [1], "m": [2] });
    let both = Sort::from_document(&doc! { "l": 1, "m": 1 }).unwrap();
    assert!(both.key(&two).is_err());
}

#[test]
fn the_elements_of_an_array_share_what_is_not_in_it() {
    // Built for each element, these keys would have 20 GB.
    let (numbers, text): (Vec<i32>, _) = ((0..50_000).rev().collect(), "x".repeat(400 << 10));
    let large = raw(doc! { "_id": 1, "a": numbers.clone(), "s": text.as_str() });
    let objects: Vec<Document> = numbers.iter().step_by(2).map(|number| doc! { "k": *number }).collect();
    let inside = raw(doc! { "_id": 1, "l": [{ "m": objects, "s": text.as_str() }] });
    for (sort, document, first) in [
        (doc! { "a": 1, "s": 1 }, &large, doc! { "_id": 1, "a": 0, "s": text.as_str() }),
        (doc! { "s": -1, "a": -1 }, &large, doc! { "_id": 1, "a": 49_999, "s": text.as_str() }),
        (doc! { "l.s": 1, "l.m.k": -1 }, &inside, doc! { "_id": 1, "l": { "s": text.as_str(), "m": { "k": 49_999 } } }),
    ] {
        let start = std::time::Instant::now();
        let sort = Sort::from_document(&sort).unwrap();
        assert!(sort.key(document) == sort.key(&raw(first)), "{:?}", sort.to_document());
        assert!(start.elapsed().as_secs() < 10, "{:?}", sort.to_document());
    }
}

#[test]
fn a_sort_key_is_bounded() {
    let document = raw(doc! { "_id": 1, "a": { "b": { "c": "\0".repeat(500_000) } } });
    let sorted = |sort: Document| Sort::from_document(&sort).unwrap().key(&document);
    assert!(sorted(doc! { "a": 1 }).is_ok());
    let error = sorted(doc! { "a": 1, "a.b": 1, "a.b.c": -1 }).unwrap_err();
    assert!(error.to_string().contains("at the fields of the sort"), "{error}");
}

#[test]
fn sorts_that_mean_nothing_are_refused() {
    for sort in [doc! { "a": 2 }, doc! { "a": "x" }, doc! { "$a": 1 }, doc! { "a..b": 1 }] {
        assert!(Sort::from_document(&sort).is_err(), "{sort}");
    }
    let nine: Document = (0..9).map(|number| (format!("f{number}"), 1.into())).collect();
    assert!(Sort::from_document(&nine).is_err());
    let sort = doc! { "a.b": 1, "c": -1 };
    assert_eq!(Sort::from_document(&sort).unwrap().to_document(), sort);
}

#[test]
fn projections_keep_or_drop() {
    let document = doc! { "_id": 1, "a": { "b": 1, "c": 2 }, "l": [{ "b": 1, "c": 2 }, 5, [{ "b": 3 }]], "z": 9 };
    let cases = [
        (doc! {}, document.clone()),
        (doc! { "z": 1 }, doc! { "_id": 1, "z": 9 }),
        (doc! { "z": 1, "_id": 0 }, doc! { "z": 9 }),
        (doc! { "_id": 1 }, doc! { "_id": 1 }),
        (doc! { "a": 0, "l": false }, doc! { "_id": 1, "z": 9 }),
        (doc! { "_id": 0, "a": 0, "l": 0 }, doc! { "z": 9 }),
        (doc! { "a.b": 1, "l.b": 1 }, doc! { "_id": 1, "a": { "b": 1 }, "l": [{ "b": 1 }, [{ "b": 3 }]] }),
        (doc! { "a.b": 0, "l.b": 0, "z": 0 }, doc! { "_id": 1, "a": { "c": 2 }, "l": [{ "c": 2 }, 5, [{}]] }),
        (doc! { "z.y": 1, "missing": 1 }, doc! { "_id": 1 }),
    ];
    for (projection, wanted) in cases {
        let projected = Projection::from_document(&projection).unwrap().apply(&raw(document.clone()));
        assert_eq!(Document::try_from(projected).unwrap(), wanted, "{projection}");
    }
    for refused in
        [doc! { "a": 1, "b": 0 }, doc! { "a": 1, "a.b": 1 }, doc! { "a.b": 1, "a": 1 }, doc! { "a": { "$slice": 1 } }]
    {
        assert!(Projection::from_document(&refused).is_err(), "{refused}");
    }
}

#[test]
fn a_projection_can_lose_a_field() {
    let document = raw(doc! { "_id": 1, "a": { "b": 1 }, "s": 2 });
    for (projection, wanted) in [
        (doc! {}, doc! { "_id": 1, "a": { "b": 1 } }),
        (doc! { "s.x": 0 }, doc! { "_id": 1, "a": { "b": 1 } }),
        (doc! { "s": 1 }, doc! { "_id": 1 }),
        (doc! { "s": 1, "a.b": 1 }, doc! { "_id": 1, "a": { "b": 1 } }),
    ] {
        let projection = Projection::from_document(&projection).unwrap().without("s");
        assert_eq!(Document::try_from(projection.apply(&document)).unwrap(), wanted);
        let projected_by = projection.to_document();
        assert_eq!(Projection::from_document(&projected_by).unwrap().apply(&document), projection.apply(&document));
    }
}

#[test]
fn values_of_old_types_have_an_order_and_keys_of_it() {
    let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
    let regex = |pattern: &str| {
        Bson::RegularExpression(bson::Regex {
            pattern: pattern.to_owned().try_into().unwrap(),
            options: String::new().try_into().unwrap(),
        })
    };
    let scope = |code: &str| bson::JavaScriptCodeWithScope { code: code.into(), scope: doc! { "a": 1 } };
    let values: Vec<RawBson> = vec![
        value(Bson::Undefined),
        value(Bson::Null),
        value(decimal("1.5")),
        value(decimal("-2")),
        value(decimal("NaN")),
        value(1),
        value(2.0),
        value(Bson::Symbol("b".into())),
        value("a"),
        value("b\0"),
        value(regex("^a")),
        value(regex("^b")),
        value(Bson::JavaScriptCode("f()".into())),
        value(scope("f()")),
        value(scope("g()")),
        value(Bson::MaxKey),
    ];
    for one in &values {
        for other in &values {
            let (one, other) = (one.as_raw_bson_ref(), other.as_raw_bson_ref());
            assert_eq!(compare(one, other), key(one).cmp(&key(other)), "{one:?} {other:?}");
            assert_eq!(compare(one, other), compare(other, one).reverse());
        }
    }
    assert!(compare(values[2].as_raw_bson_ref(), values[5].as_raw_bson_ref()).is_gt(), "1.5 is above 1");
    assert!(compare(values[7].as_raw_bson_ref(), values[8].as_raw_bson_ref()).is_gt(), "a symbol is text");
    assert!(compare(values[0].as_raw_bson_ref(), values[1].as_raw_bson_ref()).is_eq(), "undefined is null");
}
