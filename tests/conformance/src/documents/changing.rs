//! Cases about changes: every operator, upserts, writes of many, and what is refused.

use bson::{Bson, Document, Timestamp, doc};
use capability::documents::{Effect, Error, MAX_DEPTH, MAX_DOCUMENT};

use super::{Subject, delete, filter, insert, of_all, update, upserting};

/// What a change makes of a document, or that it is refused.
pub async fn changes_mean_what_they_mean_in_mongodb(subject: &Subject) {
    let big = i64::from(i32::MAX) + 1;
    let cases = [
        (doc! {}, doc! { "$set": { "b.c": 1, "a": 2 } }, Some(doc! { "a": 2, "b": { "c": 1 } })),
        (doc! { "a": [1] }, doc! { "$set": { "a.3": 9 } }, Some(doc! { "a": [1, null, null, 9] })),
        (doc! { "a": 1 }, doc! { "$set": { "a.b": 1 } }, None),
        (doc! { "a": [1, 2], "b": 1 }, doc! { "$unset": { "a.0": "", "b": "" } }, Some(doc! { "a": [null, 2] })),
        (doc! { "a": 1 }, doc! { "$inc": { "a": 2, "b": 0.5 } }, Some(doc! { "a": 3, "b": 0.5 })),
        (doc! { "a": i32::MAX }, doc! { "$inc": { "a": 1 } }, Some(doc! { "a": big })),
        (doc! { "a": i64::MAX }, doc! { "$inc": { "a": 1 } }, None),
        (doc! { "a": "x" }, doc! { "$inc": { "a": 1 } }, None),
        (doc! { "a": 5 }, doc! { "$min": { "a": 3, "b": 1 } }, Some(doc! { "a": 3, "b": 1 })),
        (doc! { "a": 5 }, doc! { "$max": { "a": "x" } }, Some(doc! { "a": "x" })),
        (doc! { "a": [1] }, doc! { "$push": { "a": [2] } }, Some(doc! { "a": [1, [2]] })),
        (
            doc! { "a": [1, 2] },
            doc! { "$push": { "a": { "$each": [3, 4], "$slice": -3 } } },
            Some(doc! { "a": [2, 3, 4] }),
        ),
        (doc! { "a": 1 }, doc! { "$push": { "a": 1 } }, None),
        (doc! { "a": [1] }, doc! { "$addToSet": { "a": { "$each": [1.0, 2, 2] } } }, Some(doc! { "a": [1, 2] })),
        (doc! { "a": 1 }, doc! { "$addToSet": { "a": 1 } }, None),
        (doc! { "a": [1, 2, 1.0] }, doc! { "$pull": { "a": 1 } }, Some(doc! { "a": [2] })),
        (
            doc! { "a": [{ "k": 1 }, { "k": 2 }, 3] },
            doc! { "$pull": { "a": { "k": { "$gt": 1 } } } },
            Some(doc! { "a": [{ "k": 1 }, 3] }),
        ),
        (doc! { "a": 1 }, doc! { "$pull": { "a": 1 } }, None),
        (doc! { "a": 1 }, doc! { "$setOnInsert": { "b": 1 } }, Some(doc! { "a": 1 })),
        (doc! { "a": 1 }, doc! { "$set": { "_id": 2 } }, None),
        (doc! { "__v": 0, "a": 1 }, doc! { "$set": { "a": 2 } }, Some(doc! { "__v": 0, "a": 2 })),
    ];
    for (before, change, after) in cases {
        let mut stored = doc! { "_id": 1 };
        stored.extend(before.clone());
        subject.fill("plain", vec![stored.clone()]).await;
        let done = subject.commit(vec![update("plain", &doc! { "_id": 1 }, &change)]).await;
        let mut wanted = doc! { "_id": 1 };
        match after {
            Some(after) => {
                wanted.extend(after.clone());
                let changed = u64::from(after != before);
                assert_eq!(done, Ok(vec![Effect { matched: 1, changed, upserted: false }]), "{change}");
            }
            None => {
                wanted = stored;
                assert!(matches!(done, Err(Error::Invalid(_))), "{change}: {done:?}");
            }
        }
        assert_eq!(subject.find("plain", doc! {}).await, [wanted], "{change}");
        subject.commit(vec![delete("plain", &doc! { "_id": 1 })]).await.unwrap();
    }
}

/// A write is about the first match by `_id`, or about all of them.
pub async fn the_first_match_or_all_of_them(subject: &Subject) {
    subject.fill("plain", (0..5).rev().map(|n| doc! { "_id": n, "g": 1 }).collect()).await;
    let set = |n: i32| update("plain", &doc! { "g": 1 }, &doc! { "$set": { "n": n } });
    let effect = |matched, changed| Ok(vec![Effect { matched, changed, upserted: false }]);
    assert_eq!(subject.commit(vec![set(1)]).await, effect(1, 1));
    assert_eq!(subject.ids("plain", doc! { "n": 1 }).await, [Bson::Int32(0)]);
    assert_eq!(subject.commit(vec![of_all(set(1))]).await, effect(5, 4));
    assert_eq!(subject.commit(vec![of_all(set(1))]).await, effect(5, 0));
    assert_eq!(subject.commit(vec![delete("plain", &doc! { "_id": { "$gt": 1 } })]).await, effect(1, 1));
    assert_eq!(subject.ids("plain", doc! {}).await, [0, 1, 3, 4].map(Bson::Int32));
    assert_eq!(subject.commit(vec![of_all(delete("plain", &doc! { "g": 1 }))]).await, effect(4, 4));
    assert_eq!(subject.commit(vec![of_all(delete("plain", &doc! {}))]).await, effect(0, 0));
}

/// An upsert begins with what the filter demands, and makes an `_id` where there is none.
pub async fn upserts_begin_with_what_the_filter_demands(subject: &Subject) {
    let once = |most: i32| {
        let asked = doc! { "_id": "X", "used": { "$lt": most } };
        upserting(update("plain", &asked, &doc! { "$inc": { "used": 1 }, "$setOnInsert": { "new": 1 } }))
    };
    let inserted = Effect { matched: 0, changed: 1, upserted: true };
    assert_eq!(subject.commit(vec![once(2)]).await, Ok(vec![inserted]));
    assert_eq!(subject.commit(vec![once(2)]).await, Ok(vec![Effect { matched: 1, changed: 1, upserted: false }]));
    let duplicate = Error::Duplicate { write: 0, index: "_id_".to_owned() };
    assert_eq!(subject.commit(vec![once(2)]).await, Err(duplicate), "the day's limit");
    assert_eq!(subject.find("plain", doc! {}).await, [doc! { "_id": "X", "new": 1, "used": 2 }]);
    let asked = doc! { "k": { "$eq": 1 }, "$and": [{ "d.e": "y" }] };
    subject.commit(vec![upserting(update("plain", &asked, &doc! { "$push": { "l": 1 } }))]).await.unwrap();
    let mut made = subject.find("plain", doc! { "k": 1 }).await;
    assert!(matches!(made[0].remove("_id"), Some(Bson::ObjectId(_))));
    assert_eq!(made, [doc! { "k": 1, "d": { "e": "y" }, "l": [1] }]);
}

/// Documents stay what they are: every type, unknown fields, and `_id` in front.
pub async fn documents_stay_what_they_are(subject: &Subject) {
    let whole = doc! {
        "_id": bson::oid::ObjectId::new(), "__v": 3, "double": -0.0, "long": 5i64, "nan": f64::NAN, "text": "a\0b",
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
        "date": bson::DateTime::from_millis(-5), "stamp": Timestamp { time: 5, increment: 6 }, "yes": true, "none": null,
        "low": Bson::MinKey, "high": Bson::MaxKey, "deep": [[{ "a.b": [], "": {} }]],
    };
    subject.fill("plain", vec![whole.clone()]).await;
    let found = subject.documents.find(super::query("plain", &doc! {})).await.unwrap();
    assert_eq!(found, [super::raw(&whole)]);
    subject.commit(vec![insert("plain", doc! { "a": 1, "_id": 2 })]).await.unwrap();
    assert_eq!(subject.find("plain", doc! { "_id": 2 }).await, [doc! { "_id": 2, "a": 1 }]);
    let keys: Vec<String> = subject.find("plain", doc! { "_id": 2 }).await[0].keys().cloned().collect();
    assert_eq!(keys, ["_id", "a"]);
}

/// A change with very many values is made at once: its values are not compared pair by pair.
pub async fn large_sets_are_made_at_once(subject: &Subject) {
    let many: Vec<i32> = (0..60_000).collect();
    let add = || update("plain", &doc! { "_id": 1 }, &doc! { "$addToSet": { "l": { "$each": many.clone() } } });
    let made = subject.commit(vec![upserting(add())]).await;
    assert_eq!(made, Ok(vec![Effect { matched: 0, changed: 1, upserted: true }]));
    let again = subject.commit(vec![add()]).await;
    assert_eq!(again, Ok(vec![Effect { matched: 1, changed: 0, upserted: false }]));
    let one = update("plain", &doc! { "_id": 1 }, &doc! { "$addToSet": { "l": -1 } });
    let more = subject.commit(vec![one]).await;
    assert_eq!(more, Ok(vec![Effect { matched: 1, changed: 1, upserted: false }]));
    assert_eq!(subject.find("plain", doc! {}).await[0].get_array("l").unwrap().len(), 60_001);
}

/// What is too large, too deep or no document that can be stored is refused, and harms nothing.
pub async fn documents_have_their_limits(subject: &Subject) {
    let deep = |levels: usize| (0..levels).fold(doc! { "x": 1 }, |inner, _| doc! { "d": inner });
    let long = |bytes: usize| doc! { "_id": 1, "a": "x".repeat(bytes) };
    let mut deepest = deep(MAX_DEPTH - 1);
    deepest.insert("_id", 2);
    subject.fill("people", vec![long(MAX_DOCUMENT - 40)]).await;
    subject.fill("plain", vec![deepest, long(MAX_DOCUMENT - 40)]).await;
    let mut deeper = deep(MAX_DEPTH);
    deeper.insert("_id", 3);
    let refused: Vec<Document> = vec![
        deeper,
        doc! { "_id": 3, "a": "x".repeat(MAX_DOCUMENT) },
        doc! { "a": 1 },
        doc! { "_id": [1] },
        doc! { "_id": { "$a": 1 } },
        doc! { "_id": 3, "$a": 1 },
        doc! { "_id": 3, "a": Timestamp { time: 0, increment: 0 } },
        doc! { "_id": 3, "a": bson::Regex { pattern: bson::raw::cstr!("x").into(), options: bson::raw::cstr!("").into() } },
    ];
    for document in refused {
        let done = subject.commit(vec![insert("plain", doc! { "_id": 9 }), insert("plain", document.clone())]).await;
        assert!(matches!(done, Err(Error::Invalid(_))), "{:?}: {done:?}", document.keys().collect::<Vec<_>>());
    }
    let grow = update("plain", &doc! { "_id": 1 }, &doc! { "$set": { "b": "x".repeat(100) } });
    assert!(matches!(subject.commit(vec![grow]).await, Err(Error::Invalid(_))));
    let deepen = update("plain", &doc! { "_id": 2 }, &doc! { "$set": { ["d"; MAX_DEPTH].join("."): { "e": 1 } } });
    for write in [deepen, insert("nowhere", doc! { "_id": 1 })] {
        assert!(matches!(subject.commit(vec![write]).await, Err(Error::Invalid(_))));
    }
    assert_eq!(subject.documents.count("plain", filter(&doc! {}), 0).await, Ok(2));
}
