use bson::{Bson, Document, doc};

use crate::documents::update::*;
use crate::documents::{Error, Filter};

fn changed(change: Document, before: Document, inserting: bool) -> Result<(Document, bool), Error> {
    let mut document = before;
    let changed = Change::from_document(&change)?.apply(&mut document, inserting)?;
    Ok((document, changed))
}

#[track_caller]
fn becomes(change: Document, before: Document, after: Document) {
    let (document, changed) = changed(change.clone(), before.clone(), false).unwrap();
    assert_eq!(document, after, "{change}");
    assert_eq!(changed, before != after, "{change}");
}

#[track_caller]
fn refused(change: Document, before: Document, words: &str) {
    match changed(change.clone(), before, true) {
        Err(Error::Invalid(text)) => assert!(text.contains(words), "{text} should say {words}"),
        other => panic!("{change}: {other:?}"),
    }
}

#[test]
fn set_and_unset() {
    becomes(doc! { "$set": { "a": 1 } }, doc! {}, doc! { "a": 1 });
    becomes(doc! { "$set": { "a": 1 } }, doc! { "a": 1 }, doc! { "a": 1 });
    becomes(doc! { "$set": { "a.b.c": 1 } }, doc! { "a": { "x": 0 } }, doc! { "a": { "x": 0, "b": { "c": 1 } } });
    becomes(doc! { "$set": { "a.1": 9 } }, doc! { "a": [1, 2] }, doc! { "a": [1, 9] });
    becomes(doc! { "$set": { "a.3": 9 } }, doc! { "a": [1] }, doc! { "a": [1, null, null, 9] });
    becomes(doc! { "$set": { "a.1.b": 9 } }, doc! { "a": [1] }, doc! { "a": [1, { "b": 9 }] });
    becomes(doc! { "$set": { "a.0": 9 } }, doc! {}, doc! { "a": { "0": 9 } });
    becomes(doc! { "$unset": { "a": "" } }, doc! { "a": 1, "b": 2 }, doc! { "b": 2 });
    becomes(doc! { "$unset": { "a.x.y": "" } }, doc! { "a": 1 }, doc! { "a": 1 });
    becomes(doc! { "$unset": { "a.0": "" } }, doc! { "a": [1, 2] }, doc! { "a": [null, 2] });
    becomes(doc! { "$set": { "b": 1, "a": 2 } }, doc! {}, doc! { "a": 2, "b": 1 });
    refused(doc! { "$set": { "a.b": 1 } }, doc! { "a": 1 }, "`a`");
    refused(doc! { "$set": { "a.b": 1 } }, doc! { "a": [1] }, "`b`");
    refused(doc! { "$set": { "a.5000": 1 } }, doc! { "a": [1] }, "beyond");
}

#[test]
fn set_on_insert_is_for_insertions() {
    let change = doc! { "$setOnInsert": { "a": 1 }, "$set": { "b": 2 } };
    assert_eq!(changed(change.clone(), doc! {}, true).unwrap().0, doc! { "a": 1, "b": 2 });
    becomes(change, doc! {}, doc! { "b": 2 });
}

#[test]
fn inc_keeps_numbers_whole() {
    becomes(doc! { "$inc": { "a": 2 } }, doc! { "a": 1 }, doc! { "a": 3 });
    becomes(doc! { "$inc": { "a": 2 } }, doc! {}, doc! { "a": 2 });
    becomes(doc! { "$inc": { "a": 0 } }, doc! { "a": 1 }, doc! { "a": 1 });
    becomes(doc! { "$inc": { "a": 1 } }, doc! { "a": i32::MAX }, doc! { "a": i64::from(i32::MAX) + 1 });
    becomes(doc! { "$inc": { "a": -1i64 } }, doc! { "a": 1 }, doc! { "a": 0i64 });
    becomes(doc! { "$inc": { "a": 0.5 } }, doc! { "a": 1 }, doc! { "a": 1.5 });
    becomes(doc! { "$inc": { "a.b": 1 } }, doc! { "a": { "b": 1.5 } }, doc! { "a": { "b": 2.5 } });
    refused(doc! { "$inc": { "a": 1i64 } }, doc! { "a": i64::MAX }, "overflows");
    refused(doc! { "$inc": { "a": 1 } }, doc! { "a": "x" }, "not a number");
    refused(doc! { "$inc": { "a": 1 } }, doc! { "a": null }, "not a number");
    refused(doc! { "$inc": { "a": 1.5 } }, doc! { "a": "x" }, "not a number");
    refused(doc! { "$inc": { "a": "x" } }, doc! {}, "wants a number");
}

#[test]
fn min_and_max_use_the_order_of_all_values() {
    becomes(doc! { "$min": { "a": 1 } }, doc! { "a": 2 }, doc! { "a": 1 });
    becomes(doc! { "$min": { "a": 3 } }, doc! { "a": 2 }, doc! { "a": 2 });
    becomes(doc! { "$max": { "a": 3.5 } }, doc! { "a": 2 }, doc! { "a": 3.5 });
    becomes(doc! { "$max": { "a": 1 } }, doc! {}, doc! { "a": 1 });
    becomes(doc! { "$max": { "a": "x" } }, doc! { "a": 9 }, doc! { "a": "x" });
    becomes(doc! { "$max": { "a": 2.0 } }, doc! { "a": 2 }, doc! { "a": 2 });
}

#[test]
fn push_adds_and_keeps_a_part() {
    becomes(doc! { "$push": { "a": 2 } }, doc! { "a": [1] }, doc! { "a": [1, 2] });
    becomes(doc! { "$push": { "a": [2] } }, doc! {}, doc! { "a": [[2]] });
    becomes(doc! { "$push": { "a": { "x": 1 } } }, doc! {}, doc! { "a": [{ "x": 1 }] });
    becomes(doc! { "$push": { "a": { "$each": [2, 3] } } }, doc! { "a": [1] }, doc! { "a": [1, 2, 3] });
    becomes(doc! { "$push": { "a": { "$each": [2, 3], "$slice": -2 } } }, doc! { "a": [1] }, doc! { "a": [2, 3] });
    becomes(doc! { "$push": { "a": { "$each": [2], "$slice": 1 } } }, doc! { "a": [1] }, doc! { "a": [1] });
    becomes(doc! { "$push": { "a": { "$each": [], "$slice": 0 } } }, doc! { "a": [1] }, doc! { "a": [] });
    becomes(doc! { "$push": { "a": { "$each": [] } } }, doc! { "a": [1] }, doc! { "a": [1] });
    becomes(doc! { "$push": { "a": { "$each": [2], "$slice": i64::MIN } } }, doc! { "a": [1] }, doc! { "a": [1, 2] });
    refused(doc! { "$push": { "a": 1 } }, doc! { "a": 1 }, "not an array");
    refused(doc! { "$push": { "a": { "$each": [1], "$sort": 1 } } }, doc! {}, "$sort");
    refused(doc! { "$push": { "a": { "$each": [1], "$position": 1 } } }, doc! {}, "$position");
    refused(doc! { "$push": { "a": { "$slice": 1 } } }, doc! {}, "$each");
    refused(doc! { "$push": { "a": { "$each": 1 } } }, doc! {}, "$each");
}

#[test]
fn add_to_set_and_pull() {
    becomes(doc! { "$addToSet": { "a": 1.0 } }, doc! { "a": [1] }, doc! { "a": [1] });
    becomes(doc! { "$addToSet": { "a": { "$each": [1, 2, 2] } } }, doc! { "a": [1] }, doc! { "a": [1, 2] });
    becomes(doc! { "$addToSet": { "a": 1 } }, doc! {}, doc! { "a": [1] });
    refused(doc! { "$addToSet": { "a": 1 } }, doc! { "a": "x" }, "not an array");
    refused(doc! { "$addToSet": { "a": { "$each": [1], "$slice": 1 } } }, doc! {}, "$slice");
    becomes(doc! { "$pull": { "a": 1 } }, doc! { "a": [1, 2, 1.0] }, doc! { "a": [2] });
    becomes(doc! { "$pull": { "a": 1 } }, doc! {}, doc! {});
    becomes(doc! { "$pull": { "a": { "$gt": 2 } } }, doc! { "a": [[1, 3], [1]] }, doc! { "a": [[1]] });
    refused(doc! { "$pull": { "a.b": 1 } }, doc! { "a": 1 }, "`a`");
    refused(doc! { "$pull": { "a.b": 1 } }, doc! { "a": [1] }, "`b`");
    becomes(doc! { "$pull": { "a": { "$gte": 2 } } }, doc! { "a": [1, 2, 3, "x"] }, doc! { "a": [1, "x"] });
    becomes(doc! { "$pull": { "a": { "$in": [1, 3] } } }, doc! { "a": [1, 2, 3] }, doc! { "a": [2] });
    becomes(
        doc! { "$pull": { "a": { "id": 1 } } },
        doc! { "a": [{ "id": 1, "x": 2 }, { "id": 2 }, 1] },
        doc! { "a": [{ "id": 2 }, 1] },
    );
    becomes(doc! { "$pull": { "a": [1] } }, doc! { "a": [1, [1]] }, doc! { "a": [1] });
    refused(doc! { "$pull": { "a": 1 } }, doc! { "a": 1 }, "not an array");
    refused(doc! { "$pull": { "a": { "$regex": "x" } } }, doc! {}, "$regex");
}

/// Attack (55): `$addToSet` of tens of thousands of values. Outcome: linear, and bounded.
#[test]
fn a_large_set_is_not_compared_pair_by_pair() {
    let numbers: Vec<i32> = (0..60_000).collect();
    let texts: Vec<String> = (0..40_000).map(|number| format!("text {number}")).collect();
    for (before, each, after) in [
        (doc! { "a": [5, 70_000] }, Bson::from(numbers), 60_001),
        (doc! { "a": ["text 7"] }, Bson::from(texts), 40_000),
        (doc! {}, Bson::from(vec![Bson::Null; 90_000]), 1),
    ] {
        let start = std::time::Instant::now();
        let (document, _) = changed(doc! { "$addToSet": { "a": { "$each": each } } }, before, false).unwrap();
        assert_eq!(document.get_array("a").unwrap().len(), after);
        assert!(start.elapsed().as_secs() < 10);
    }
}

#[test]
fn what_a_change_names_is_bounded() {
    let pulls: Document = (0..10)
        .map(|number| {
            let conditions: Document = (0..150).map(|field| (format!("f{field}"), 1.into())).collect();
            (format!("l{number}"), conditions.into())
        })
        .collect();
    refused(doc! { "$pull": pulls }, doc! {}, "paths");
    let many: Document = (0..300).map(|field| (format!("f{field}"), 1.into())).collect();
    refused(doc! { "$set": many }, doc! {}, "paths");
}

#[test]
fn the_weight_counts_parsed_values() {
    let weight = |change: Document| Change::from_document(&change).unwrap().weight();
    let many = weight(doc! { "$push": { "a": { "$each": vec![Bson::Null; 10_000] } } });
    assert!(many > 10_000 * size_of::<Bson>());
    let text = weight(doc! { "$set": { "a": "x".repeat(100_000) } });
    assert!((100_000..110_000).contains(&text), "{text}");
}

#[test]
fn an_error_repeats_a_part_of_a_name() {
    let long: &str = &format!("${}", "x\n".repeat(100_000));
    let field: &str = &"x\n".repeat(100_000);
    for change in [
        doc! { long: 1 },
        doc! { field: 1 },
        doc! { "$set": { field: 1 } },
        doc! { "$push": { "a": { long: 1 } } },
        doc! { "$pull": { "a": { long: 1 } } },
        doc! { "$set": { "a": { "b": Bson::Symbol(field.to_owned()) } } },
    ] {
        let error = Change::from_document(&change).unwrap_err().to_string();
        assert!(error.len() < 1_100 && !error.contains('\n'), "{} bytes", error.len());
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for name in ["$rename", "$mul", "$bit", "$currentDate", "$pop", "$pullAll", "$where"] {
        refused(doc! { name: { "a": 1 } }, doc! {}, name);
        refused(doc! { name: 1 }, doc! {}, name);
    }
    refused(doc! { "a": 1 }, doc! {}, "whole document");
    refused(doc! { "$set": 1 }, doc! {}, "$set");
    refused(doc! { "$set": { "a.$.b": 1 } }, doc! {}, "`$`");
    refused(doc! { "$set": { "a.$[].b": 1 } }, doc! {}, "`$[]`");
    refused(doc! { "$set": { "a": 1 }, "$inc": { "a": 1 } }, doc! {}, "conflict");
    refused(doc! { "$set": { "a.b": 1, "a-b": 1 }, "$unset": { "a": 1 } }, doc! {}, "conflict");
    refused(doc! { "$set": { "a.b.c": 1, "a.b": 1 } }, doc! {}, "conflict");
}

#[test]
fn the_id_stays() {
    becomes(doc! { "$set": { "_id": 1 } }, doc! { "_id": 1 }, doc! { "_id": 1 });
    refused(doc! { "$set": { "_id": 2 } }, doc! { "_id": 1 }, "_id");
    refused(doc! { "$unset": { "_id": 1 } }, doc! { "_id": 1 }, "_id");
    refused(doc! { "$inc": { "_id.x": 1 } }, doc! { "_id": { "x": 1 } }, "_id");
}

#[test]
fn the_result_is_bounded() {
    let half = "x".repeat(600_000);
    refused(doc! { "$set": { "b": &half } }, doc! { "a": &half }, "bytes");
    let deep = vec!["a"; 32].join(".");
    refused(doc! { "$set": { deep: { "b": 1 } } }, doc! {}, "deep");
}

#[test]
fn an_upsert_begins_with_the_filter() {
    let upserted = |filter: Document, change: Document| {
        let filter = Filter::from_document(&filter).unwrap();
        let raw = Change::from_document(&change)?.upserted(&filter)?;
        Ok::<_, Error>(Document::try_from(raw).unwrap())
    };
    let document = upserted(
        doc! { "a": 1, "n.m": 2, "used": { "$lt": 5 }, "_id": "x" },
        doc! { "$inc": { "used": 1 }, "$setOnInsert": { "b": 3 } },
    );
    assert_eq!(document.unwrap(), doc! { "_id": "x", "a": 1, "n": { "m": 2 }, "b": 3, "used": 1 });
    let document = upserted(doc! { "a": 1 }, doc! { "$set": { "a": 2 } }).unwrap();
    assert!(matches!(document.get("_id"), Some(Bson::ObjectId(_))));
    assert_eq!(document.get("a"), Some(&Bson::Int32(2)));
    assert!(upserted(doc! { "a": 1, "$and": [{ "a": 2 }] }, doc! {}).is_err());
    assert!(upserted(doc! { "_id": 1 }, doc! { "$set": { "_id": 2 } }).is_err());
}

#[test]
fn paths_and_source() {
    let document = doc! { "$set": { "b": 1 }, "$pull": { "a.l": { "x": 1, "y.z": 2 } } };
    let change = Change::from_document(&document).unwrap();
    assert_eq!(change.paths().collect::<Vec<_>>(), ["a.l", "a.l.x", "a.l.y.z", "b"]);
    assert_eq!(change.to_document(), document);
}

/// What a change makes of stored bytes.
fn of_stored(change: Document, before: &RawDocument) -> Result<Option<Changed>, Error> {
    Change::from_document(&change).unwrap().changed(before)
}

fn stored(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// Fields that no change may write, by what is odd about them.
fn odd() -> Vec<(&'static str, Bson)> {
    let deep = (0..80).fold(Bson::Int32(1), |inner, _| Bson::Document(doc! { "d": inner }));
    vec![
        ("undefined", Bson::Undefined),
        ("symbol", Bson::Symbol("s".into())),
        ("decimals", Bson::Array(vec![Bson::Decimal128("1.50".parse().unwrap())])),
        ("regex", bson::Regex { pattern: bson::raw::cstr!("^a").into(), options: bson::raw::cstr!("i").into() }.into()),
        ("code", Bson::JavaScriptCode("f()".into())),
        ("scope", bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "a": 1 } }.into()),
        ("$name", 1.into()),
        ("a.b", 1.into()),
        ("", 1.into()),
        ("empty stamp", Timestamp { time: 0, increment: 0 }.into()),
        ("deep", deep),
        ("large", "x".repeat(2 * MAX_DOCUMENT).into()),
        ("old binary", bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] }.into()),
    ]
}

#[test]
fn what_a_change_does_not_name_stays_byte_for_byte() {
    for (name, value) in odd() {
        let before = stored(&doc! { "_id": 1, "n": 1, name: value.clone(), "l": { "a": 1 } });
        let change = doc! { "$set": { "n": 2, "new": true }, "$inc": { "l.a": 1 } };
        let changed = of_stored(change, &before).unwrap().unwrap();
        let wanted = doc! { "_id": 1, "n": 2, name: value, "l": { "a": 2 }, "new": true };
        assert_eq!(changed.document, stored(&wanted), "{name}");
        assert_eq!(changed.update, stored(&doc! { "$set": { "l": { "a": 2 }, "n": 2, "new": true } }), "{name}");
        assert_eq!(of_stored(doc! { "$set": { "n": 1 }, "$unset": { "none": "" } }, &before), Ok(None), "{name}");
    }
}

#[test]
fn names_that_are_there_twice_and_text_that_is_not_utf_8_stay() {
    let element = |kind: u8, name: &str, value: &[u8]| [&[kind][..], name.as_bytes(), &[0], value].concat();
    let twice = |n: i32| element(0x10, "twice", &n.to_le_bytes());
    let surrogate = element(0x02, "text", b"\x04\0\0\0\xED\xA0\x80\0");
    let parts = [element(0x10, "_id", &1_i32.to_le_bytes()), twice(1), surrogate.clone(), twice(2)];
    let before = document_of(parts.iter().map(Vec::as_slice)).unwrap();
    let one = element(0x10, "n", &7_i32.to_le_bytes());
    let after = document_of(parts.iter().chain([&one]).map(Vec::as_slice)).unwrap();
    assert_eq!(of_stored(doc! { "$set": { "n": 7 } }, &before).unwrap().unwrap().document, after);
    // What can't be read is replaced and removed all the same; only what would have to look inside is refused.
    let [id, first, _, last] = &parts;
    let without = document_of([id, first, last].map(Vec::as_slice)).unwrap();
    assert_eq!(of_stored(doc! { "$unset": { "text": "" } }, &before).unwrap().unwrap().document, without);
    let replaced = element(0x10, "text", &7_i32.to_le_bytes());
    let replaced = document_of([id, first, &replaced, last].map(Vec::as_slice)).unwrap();
    assert_eq!(of_stored(doc! { "$set": { "text": 7 } }, &before).unwrap().unwrap().document, replaced);
    assert!(matches!(of_stored(doc! { "$inc": { "text": 1 } }, &before), Err(Error::Invalid(_))));
    // Of two the first is meant.
    let changed = of_stored(doc! { "$set": { "twice": 9 } }, &before).unwrap().unwrap().document;
    assert_eq!(changed, document_of([id, &twice(9), &surrogate, last].map(Vec::as_slice)).unwrap());
}

#[test]
fn an_old_document_does_not_grow_beyond_its_own_limits() {
    let large = stored(&doc! { "_id": 1, "large": "x".repeat(2 * MAX_DOCUMENT) });
    let set = |bytes: usize| of_stored(doc! { "$set": { "n": "x".repeat(bytes) } }, &large);
    assert!(set(1_000).is_ok());
    assert!(matches!(set(100_000), Err(Error::Invalid(text)) if text.contains("bytes")));
    let shrunk = of_stored(doc! { "$set": { "large": "" } }, &large).unwrap().unwrap();
    assert_eq!(shrunk.document, stored(&doc! { "_id": 1, "large": "" }));
    let deep = (0..80).fold(Bson::Int32(1), |inner, _| Bson::Document(doc! { "d": inner }));
    let deep = stored(&doc! { "_id": 1, "deep": deep });
    assert!(of_stored(doc! { "$set": { "deep.n": 1 } }, &deep).is_ok(), "it is no deeper than before");
    let path = vec!["a"; 32].join(".");
    assert!(
        matches!(of_stored(doc! { "$set": { path: { "b": 1 } } }, &deep), Err(Error::Invalid(text)) if text.contains("deep"))
    );
}
