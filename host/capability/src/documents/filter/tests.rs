use bson::{Bson, Document, doc};

use crate::documents::filter::*;
use crate::documents::{Error, MAX_DEPTH};

fn matches(filter: Document, document: Document) -> bool {
    let raw = RawDocumentBuf::try_from(&document).unwrap();
    Filter::from_document(&filter).unwrap().matches(&raw)
}

#[track_caller]
fn yes(filter: Document, document: Document) {
    assert!(matches(filter.clone(), document.clone()), "{filter} should match {document}");
}

#[track_caller]
fn no(filter: Document, document: Document) {
    assert!(!matches(filter.clone(), document.clone()), "{filter} should not match {document}");
}

#[test]
fn equality() {
    yes(doc! {}, doc! { "a": 1 });
    yes(doc! { "a": 1 }, doc! { "a": 1.0 });
    yes(doc! { "a": 1 }, doc! { "a": 1i64 });
    no(doc! { "a": 1 }, doc! { "a": "1" });
    no(doc! { "a": 1 }, doc! { "a": true });
    yes(doc! { "a": { "$eq": "x" } }, doc! { "a": "x" });
    yes(doc! { "a": { "b": 1, "c": 2 } }, doc! { "a": { "b": 1.0, "c": 2 } });
    no(doc! { "a": { "b": 1, "c": 2 } }, doc! { "a": { "c": 2, "b": 1 } });
    no(doc! { "a": { "b": 1 } }, doc! { "a": { "b": 1, "c": 2 } });
    yes(doc! { "a": [1, 2] }, doc! { "a": [1, 2] });
    no(doc! { "a": [1, 2] }, doc! { "a": [2, 1] });
    yes(doc! { "a": [1, 2] }, doc! { "a": [[1, 2], 3] });
    yes(doc! { "a": f64::NAN }, doc! { "a": f64::NAN });
    no(doc! { "a": 9007199254740992.0 }, doc! { "a": 9007199254740993i64 });
}

#[test]
fn null_is_also_missing() {
    yes(doc! { "a": null }, doc! {});
    yes(doc! { "a": null }, doc! { "a": null });
    no(doc! { "a": null }, doc! { "a": 0 });
    yes(doc! { "a.b": null }, doc! { "a": 1 });
    yes(doc! { "a.b": null }, doc! { "a": [{ "b": 1 }, {}] });
    no(doc! { "a.b": null }, doc! { "a": [1, 2] });
    no(doc! { "a.b": null }, doc! { "a": [] });
    yes(doc! { "a": { "$in": [null, 7] } }, doc! {});
    no(doc! { "a": { "$ne": null } }, doc! {});
    yes(doc! { "a": { "$gte": null } }, doc! {});
    no(doc! { "a": { "$gt": null } }, doc! {});
}

#[test]
fn comparisons_stay_within_a_kind() {
    yes(doc! { "a": { "$gt": 1 } }, doc! { "a": 1.5 });
    no(doc! { "a": { "$gt": 1 } }, doc! { "a": 1i64 });
    yes(doc! { "a": { "$gte": 1, "$lt": 2 } }, doc! { "a": 1 });
    no(doc! { "a": { "$gt": 1 } }, doc! { "a": "x" });
    no(doc! { "a": { "$lt": "b" } }, doc! { "a": 1 });
    no(doc! { "a": { "$lt": 1 } }, doc! {});
    no(doc! { "a": { "$lt": 1 } }, doc! { "a": null });
    yes(doc! { "a": { "$lte": "b" } }, doc! { "a": "b" });
    no(doc! { "a": { "$lt": 5 } }, doc! { "a": f64::NAN });
    no(doc! { "a": { "$gte": f64::NAN } }, doc! { "a": 5 });
    yes(doc! { "a": { "$gte": f64::NAN } }, doc! { "a": f64::NAN });
    no(doc! { "a": { "$gt": f64::NAN } }, doc! { "a": f64::NAN });
    // Different elements may satisfy the two sides.
    yes(doc! { "a": { "$gt": 5, "$lt": 2 } }, doc! { "a": [1, 6] });
}

#[test]
fn arrays_match_by_their_elements() {
    yes(doc! { "a": 2 }, doc! { "a": [1, 2] });
    yes(doc! { "a": { "$gt": 1 } }, doc! { "a": [0, 2] });
    yes(doc! { "a.b": 2 }, doc! { "a": [{ "b": 1 }, { "b": 2 }] });
    yes(doc! { "a.b": 2 }, doc! { "a": [{ "b": [1, 2] }] });
    no(doc! { "a.b": 2 }, doc! { "a": [[{ "b": 2 }]] });
    yes(doc! { "a.1": 2 }, doc! { "a": [1, 2] });
    no(doc! { "a.0": 2 }, doc! { "a": [1, 2] });
    yes(doc! { "a.0.b": 2 }, doc! { "a": [{ "b": 2 }] });
    yes(doc! { "a.0": 2 }, doc! { "a": { "0": 2 } });
    yes(doc! { "a.0": 2 }, doc! { "a": [{ "0": 2 }] });
    yes(doc! { "a.0.0": 2 }, doc! { "a": [[2]] });
    no(doc! { "a.00": 2 }, doc! { "a": [2] });
}

#[test]
fn negations_are_over_the_whole_match() {
    no(doc! { "a": { "$ne": 2 } }, doc! { "a": [1, 2] });
    yes(doc! { "a": { "$ne": 3 } }, doc! { "a": [1, 2] });
    yes(doc! { "a": { "$ne": 3 } }, doc! {});
    no(doc! { "a": { "$nin": [2, 3] } }, doc! { "a": [1, 2] });
    yes(doc! { "a": { "$nin": [4] } }, doc! { "a": [1, 2] });
    no(doc! { "a": { "$nin": [null] } }, doc! {});
    yes(doc! { "a": { "$not": { "$gt": 5 } } }, doc! { "a": "x" });
    yes(doc! { "a": { "$not": { "$gt": 5 } } }, doc! {});
    no(doc! { "a": { "$not": { "$gt": 5 } } }, doc! { "a": [1, 6] });
    yes(doc! { "a": { "$not": { "$gt": 5, "$lt": 8 } } }, doc! { "a": 9 });
}

#[test]
fn existence_and_membership() {
    yes(doc! { "a": { "$exists": true } }, doc! { "a": null });
    no(doc! { "a": { "$exists": true } }, doc! {});
    yes(doc! { "a.b": { "$exists": false } }, doc! { "a": [1] });
    no(doc! { "a.b": { "$exists": false } }, doc! { "a": [{}, { "b": 1 }] });
    yes(doc! { "a": { "$exists": true } }, doc! { "a": [] });
    yes(doc! { "a": { "$in": [1, "x"] } }, doc! { "a": ["x"] });
    no(doc! { "a": { "$in": [] } }, doc! { "a": 1 });
    yes(doc! { "a": { "$in": [[1]] } }, doc! { "a": [1] });
}

#[test]
fn elem_match_is_about_one_element() {
    no(doc! { "a": { "$elemMatch": { "$gt": 5, "$lt": 8 } } }, doc! { "a": [1, 9] });
    yes(doc! { "a": { "$elemMatch": { "$gt": 5, "$lt": 8 } } }, doc! { "a": [1, 7] });
    no(doc! { "a": { "$elemMatch": { "$gt": 5 } } }, doc! { "a": 7 });
    yes(doc! { "a": { "$elemMatch": { "b": 1, "c": 2 } } }, doc! { "a": [{ "b": 1, "c": 2 }] });
    no(doc! { "a": { "$elemMatch": { "b": 1, "c": 2 } } }, doc! { "a": [{ "b": 1 }, { "c": 2 }] });
    yes(doc! { "a": { "$elemMatch": { "$or": [{ "b": 1 }, { "b": 2 }] } } }, doc! { "a": [{ "b": 2 }] });
    yes(doc! { "a": { "$elemMatch": { "$ne": 1 } } }, doc! { "a": [1, 2] });
    no(doc! { "a": { "$elemMatch": { "$ne": 1 } } }, doc! { "a": [1, 1] });
    yes(doc! { "a": { "$elemMatch": { "$elemMatch": { "$gt": 1 } } } }, doc! { "a": [[0, 2]] });
    yes(doc! { "a": { "$elemMatch": { "0": 4 } } }, doc! { "a": [[4]] });
    yes(doc! { "a": { "$not": { "$elemMatch": { "b": 1 } } } }, doc! { "a": [{ "b": 2 }] });
    yes(doc! { "a.b": { "$elemMatch": { "$eq": 1 } } }, doc! { "a": [{ "b": [1] }] });
}

#[test]
fn and_or() {
    yes(doc! { "$and": [{ "a": 1 }, { "b": 2 }] }, doc! { "a": 1, "b": 2 });
    no(doc! { "$and": [{ "a": 1 }, { "b": 2 }] }, doc! { "a": 1 });
    yes(doc! { "$or": [{ "a": 1 }, { "b": 2 }] }, doc! { "b": 2 });
    no(doc! { "$or": [{ "a": 1 }, { "b": 2 }], "c": 3 }, doc! { "b": 2 });
}

#[track_caller]
fn refused(filter: Document, words: &str) {
    match Filter::from_document(&filter) {
        Err(Error::Invalid(text)) => assert!(text.contains(words), "{text} should say {words}"),
        other => panic!("{filter}: {other:?}"),
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for name in ["$where", "$expr", "$nor", "$text", "$jsonSchema", "$comment"] {
        refused(doc! { name: { "a": 1 } }, name);
    }
    for name in ["$regex", "$type", "$size", "$all", "$mod", "$near", "$ref"] {
        refused(doc! { "a": { name: 1 } }, name);
        refused(doc! { "a": { "$not": { name: 1 } } }, name);
        refused(doc! { "a": { "$elemMatch": { name: 1 } } }, name);
    }
    refused(doc! { "a": { "$eq": 1, "b": 2 } }, "`b`");
    let regex = Bson::RegularExpression(bson::Regex {
        pattern: bson::raw::cstr!("x").into(),
        options: bson::raw::cstr!("").into(),
    });
    refused(doc! { "a": regex.clone() }, "regular expression");
    refused(doc! { "a": { "$in": [regex] } }, "regular expression");
    refused(doc! { "a": { "$gt": Bson::MaxKey } }, "MaxKey");
    refused(doc! { "a": { "$lte": [1] } }, "array");
    refused(doc! { "a.$b": 1 }, "`$b`");
    refused(doc! { "a..b": 1 }, "empty part");
    refused(doc! { "": 1 }, "empty part");
    refused(doc! { "$and": [] }, "$and");
    refused(doc! { "$or": [1] }, "$or");
    refused(doc! { "a": { "$in": 1 } }, "$in");
    refused(doc! { "a": { "$nin": [1, { "$gt": 1 }] } }, "$nin");
    refused(doc! { "a": { "$not": 1 } }, "$not");
    refused(doc! { "a": { "$exists": "x" } }, "$exists");
}

#[test]
fn limits() {
    let many: Vec<Document> = (0..200).map(|number| doc! { "a": number }).collect();
    refused(doc! { "$or": many }, "conditions");
    refused(doc! { "a": { "$in": (0..1_001).collect::<Vec<i32>>() } }, "elements");
    refused(doc! { "a": { "$in": vec![1; 600] }, "b": { "$nin": vec![1; 600] } }, "elements");
    let mut deep = doc! { "a": 1 };
    for _ in 0..MAX_DEPTH {
        deep = doc! { "$and": [deep] };
    }
    refused(deep, "deep");
    yes(doc! { "a.0.0": 2 }, doc! { "a": [[2]] });
    refused(doc! { "a.0.0.0.0.0": 2 }, "places");
    let long: &str = &"a".repeat(2_000);
    refused(doc! { long: 1 }, "bytes");
    let half: &str = &"a".repeat(600);
    refused(doc! { half: { "$elemMatch": { half: 1 } } }, "bytes");
}

#[test]
fn the_weight_counts_values_and_conditions() {
    let weight = |filter: Document| Filter::from_document(&filter).unwrap().weight();
    assert_eq!(Filter::all().weight(), 15);
    assert!(weight(doc! { "a": "x".repeat(100_000) }) > 300_000);
    let many: Vec<Document> = (0..100).map(|number| doc! { "a": number }).collect();
    assert!(weight(doc! { "$or": many }) > 100 * 200);
}

#[test]
fn paths_and_equalities() {
    let document = doc! {
        "a": 1,
        "$and": [{ "b.c": { "$eq": "x" } }, { "d": { "$gt": 1 } }],
        "$or": [{ "e": 1 }],
        "f": { "$elemMatch": { "g": 1, "$or": [{ "h.i": 2 }] } },
        "j": { "$not": { "$elemMatch": { "k": 1 } } },
    };
    let filter = Filter::from_document(&document).unwrap();
    assert_eq!(filter.paths().collect::<Vec<_>>(), ["a", "b.c", "d", "e", "f", "f.g", "f.h.i", "j", "j.k"]);
    assert_eq!(filter.equalities(), [("a", Bson::Int32(1)), ("b.c", Bson::String("x".into()))]);
    assert_eq!(filter.to_document(), document);
    assert_eq!(Filter::by_id(Bson::Int32(3)).unwrap().equalities(), [("_id", Bson::Int32(3))]);
    assert_eq!(Filter::all().paths().count(), 0);
}
