//! Cases about questions: filters, sorts, projections, paging, counting.

use bson::{Bson, Document, doc};
use capability::documents::{Error, Filter, Projection, Sort};

use super::{Subject, filter, insert, query};

fn things() -> Vec<Document> {
    vec![
        doc! { "_id": 1, "a": 1, "b": { "c": "x" }, "l": [1, 2, 3] },
        doc! { "_id": 2, "a": 2.5, "b": { "c": "y" }, "l": [{ "k": 1, "v": "p" }, { "k": 2, "v": "q" }] },
        doc! { "_id": 3, "a": 3i64, "l": [] },
        doc! { "_id": 4, "a": null, "b": 7, "l": [[1, 2]] },
        doc! { "_id": 5, "a": "text", "b": [{ "c": "x" }, { "c": "z" }], "l": 2 },
        doc! { "_id": 6, "b": {}, "l": [2, "two"], "t": true },
    ]
}

/// Every operator finds what it finds in MongoDB.
pub async fn filters_mean_what_they_mean_in_mongodb(subject: &Subject) {
    subject.fill("plain", things()).await;
    let cases: Vec<(Document, &[i32])> = vec![
        (doc! {}, &[1, 2, 3, 4, 5, 6]),
        (doc! { "a": 1.0 }, &[1]),
        (doc! { "a": { "$eq": 3 } }, &[3]),
        (doc! { "a": null }, &[4, 6]),
        (doc! { "a": { "$ne": 1 } }, &[2, 3, 4, 5, 6]),
        (doc! { "a": { "$gt": 1, "$lte": 3 } }, &[2, 3]),
        (doc! { "a": { "$gte": 1, "$lt": 2.5 } }, &[1]),
        (doc! { "a": { "$gte": null } }, &[4, 6]),
        (doc! { "a": { "$lt": "z" } }, &[5]),
        (doc! { "a": { "$in": [1, "text", null] } }, &[1, 4, 5, 6]),
        (doc! { "a": { "$nin": [1, "text", null] } }, &[2, 3]),
        (doc! { "a": { "$exists": true } }, &[1, 2, 3, 4, 5]),
        (doc! { "t": { "$exists": false } }, &[1, 2, 3, 4, 5]),
        (doc! { "b.c": "x" }, &[1, 5]),
        (doc! { "b.c": { "$ne": "x" } }, &[2, 3, 4, 6]),
        (doc! { "b.c": null }, &[3, 4, 6]),
        (doc! { "b": {} }, &[6]),
        (doc! { "l": 2 }, &[1, 5, 6]),
        (doc! { "l": [1, 2] }, &[4]),
        (doc! { "l": [] }, &[3]),
        (doc! { "l.0": 1 }, &[1]),
        (doc! { "l.1.v": "q" }, &[2]),
        (doc! { "l.k": { "$gt": 1 } }, &[2]),
        (doc! { "l": { "$elemMatch": { "$gt": 1, "$lt": 3 } } }, &[1, 6]),
        (doc! { "l": { "$elemMatch": { "k": 1, "v": "q" } } }, &[]),
        (doc! { "l": { "$elemMatch": { "k": 2, "v": "q" } } }, &[2]),
        (doc! { "l": { "$not": { "$elemMatch": { "k": 1 } } } }, &[1, 3, 4, 5, 6]),
        (doc! { "a": { "$not": { "$gt": 1 } } }, &[1, 4, 5, 6]),
        (doc! { "$or": [{ "a": 1 }, { "t": true }] }, &[1, 6]),
        (doc! { "$and": [{ "a": { "$gt": 0 } }, { "b.c": "y" }] }, &[2]),
        (doc! { "_id": { "$gt": 4 }, "$or": [{ "l": 2 }, { "l": 3 }] }, &[5, 6]),
    ];
    for (asked, wanted) in cases {
        let wanted: Vec<Bson> = wanted.iter().map(|id| Bson::Int32(*id)).collect();
        assert_eq!(subject.ids("plain", asked.clone()).await, wanted, "{asked}");
        let count = subject.documents.count("plain", filter(&asked), 0).await.unwrap();
        assert_eq!(count, wanted.len() as u64, "{asked}");
    }
}

/// Values sort by kind and value; ties, and queries without a sort, go by `_id`.
pub async fn sorts_are_total(subject: &Subject) {
    subject
        .fill(
            "people",
            vec![
                doc! { "_id": 4, "name": "d", "age": 3 },
                doc! { "_id": 3, "name": "c", "age": "old" },
                doc! { "_id": 2, "name": "b", "age": [7, 1] },
                doc! { "_id": 1, "name": "a", "age": 3.0 },
                doc! { "_id": 5, "name": "e" },
                doc! { "_id": 6, "name": "f", "age": [] },
                doc! { "_id": 7, "name": "g", "age": f64::NAN },
            ],
        )
        .await;
    let cases: Vec<(Document, &[i32])> = vec![
        (doc! {}, &[1, 2, 3, 4, 5, 6, 7]),
        (doc! { "_id": -1 }, &[7, 6, 5, 4, 3, 2, 1]),
        (doc! { "age": 1 }, &[6, 5, 7, 2, 1, 4, 3]),
        (doc! { "age": -1 }, &[3, 2, 1, 4, 7, 5, 6]),
        (doc! { "age": -1, "_id": -1 }, &[3, 2, 4, 1, 7, 5, 6]),
        (doc! { "missing": 1 }, &[1, 2, 3, 4, 5, 6, 7]),
        (doc! { "age": 1, "name": -1 }, &[6, 5, 7, 2, 4, 1, 3]),
    ];
    for (sort, wanted) in cases {
        let mut asked = query("people", &doc! {});
        asked.sort = Sort::from_document(&sort).unwrap();
        let found = subject.ask(asked).await;
        let ids: Vec<i32> = found.iter().map(|document| document.get_i32("_id").unwrap()).collect();
        assert_eq!(ids, wanted, "{sort}");
    }
}

/// Two fields of a sort that are in one array are told apart by its elements; in two arrays they can't be.
pub async fn sorts_look_into_arrays(subject: &Subject) {
    subject
        .fill(
            "plain",
            vec![
                doc! { "_id": 1, "l": [{ "k": 2, "v": 1 }, { "k": 1, "v": 9 }] },
                doc! { "_id": 2, "l": [{ "k": 1, "v": 5 }] },
                doc! { "_id": 3, "l": [4, { "k": 3, "v": 0 }] },
            ],
        )
        .await;
    let mut asked = query("plain", &doc! {});
    asked.sort = Sort::from_document(&doc! { "l.k": 1, "l.v": 1 }).unwrap();
    let found = subject.ask(asked.clone()).await;
    let ids: Vec<i32> = found.iter().map(|document| document.get_i32("_id").unwrap()).collect();
    assert_eq!(ids, [3, 2, 1], "an element without the field counts as null");
    subject.fill("plain", vec![doc! { "_id": 4, "l": [1], "m": [2] }]).await;
    asked.sort = Sort::from_document(&doc! { "l": 1, "m": 1 }).unwrap();
    assert!(matches!(subject.documents.find(asked).await, Err(Error::Invalid(_))));
}

/// What goes out is what was asked for, in the order of the document.
pub async fn projections_keep_or_drop(subject: &Subject) {
    let whole = doc! { "_id": 1, "z": 9, "a": { "b": 1, "c": 2 }, "l": [{ "b": 1, "c": 2 }, 5, [{ "b": 3 }]] };
    subject.fill("plain", vec![whole.clone()]).await;
    let cases = [
        (doc! {}, whole),
        (doc! { "a": 1, "z": 1 }, doc! { "_id": 1, "z": 9, "a": { "b": 1, "c": 2 } }),
        (doc! { "z": 1, "_id": 0 }, doc! { "z": 9 }),
        (doc! { "_id": 1 }, doc! { "_id": 1 }),
        (doc! { "a": 0, "l": false }, doc! { "_id": 1, "z": 9 }),
        (doc! { "a.b": 1, "l.b": 1 }, doc! { "_id": 1, "a": { "b": 1 }, "l": [{ "b": 1 }, [{ "b": 3 }]] }),
        (doc! { "a.b": 0, "l.b": 0, "z": 0 }, doc! { "_id": 1, "a": { "c": 2 }, "l": [{ "c": 2 }, 5, [{}]] }),
        (doc! { "z.y": 1 }, doc! { "_id": 1 }),
    ];
    for (projection, wanted) in cases {
        let mut asked = query("plain", &doc! {});
        asked.projection = Projection::from_document(&projection).unwrap();
        assert_eq!(subject.ask(asked).await, [wanted], "{projection}");
    }
    let mut asked = query("plain", &doc! {});
    asked.projection = Projection::from_document(&doc! { "_id": 0, "z": 1 }).unwrap().without("z");
    assert_eq!(subject.ask(asked).await, [doc! {}], "nothing at all");
}

/// Pages follow each other without a gap, and have their limits.
pub async fn pages_follow_each_other(subject: &Subject) {
    subject.fill("plain", (0..25).map(|n| doc! { "_id": n, "g": n % 2 }).collect()).await;
    let mut seen = Vec::new();
    for page in 0..4 {
        let mut asked = query("plain", &doc! { "g": 0 });
        (asked.skip, asked.limit) = (page * 4, 4);
        seen.extend(subject.ask(asked).await.iter().map(|document| document.get_i32("_id").unwrap()));
    }
    assert_eq!(seen, (0..25).step_by(2).collect::<Vec<i32>>());
    for limit in [0, 1_001] {
        let mut asked = query("plain", &doc! {});
        asked.limit = limit;
        assert!(matches!(subject.documents.find(asked).await, Err(Error::Invalid(_))));
    }
    let count = |limit| subject.documents.count("plain", filter(&doc! { "g": 0 }), limit);
    assert_eq!((count(0).await, count(5).await, count(50).await), (Ok(13), Ok(5), Ok(13)));
    assert!(matches!(subject.documents.find(query("nowhere", &doc! {})).await, Err(Error::Invalid(_))));
    assert!(matches!(subject.documents.count("nowhere", Filter::all(), 0).await, Err(Error::Invalid(_))));
}

/// Different values come in order, those of arrays one by one, and not without end.
pub async fn distinct_values_come_in_order(subject: &Subject) {
    subject
        .fill(
            "people",
            vec![
                doc! { "_id": 1, "name": "a", "age": 3, "l": [2, "x", [1]] },
                doc! { "_id": 2, "name": "b", "age": null, "l": [] },
                doc! { "_id": 3, "name": "c", "l": 2 },
                doc! { "_id": 4, "name": "d", "age": "x", "l": [{ "k": 1 }, { "k": [5, 6] }] },
            ],
        )
        .await;
    let distinct = |field: &'static str| subject.documents.distinct("people", field, Filter::all());
    assert_eq!(distinct("age").await, Ok(vec![Bson::Null, Bson::Int32(3), Bson::String("x".into())]));
    let wanted: Vec<Bson> =
        vec![2.into(), "x".into(), doc! { "k": 1 }.into(), doc! { "k": [5, 6] }.into(), vec![Bson::Int32(1)].into()];
    assert_eq!(distinct("l").await, Ok(wanted));
    assert_eq!(distinct("l.k").await, Ok(vec![1.into(), 5.into(), 6.into()]));
    assert_eq!(distinct("missing").await, Ok(vec![]));
    let some = subject.documents.distinct("people", "name", filter(&doc! { "_id": { "$gt": 2 } })).await;
    assert_eq!(some, Ok(vec!["c".into(), "d".into()]));
    assert!(matches!(distinct("a..b").await, Err(Error::Invalid(_))));
    let many = (0..1_100).map(|n| insert("plain", doc! { "_id": n, "n": 1_100 - n })).collect();
    subject.commit(many).await.unwrap();
    let lowest = subject.documents.distinct("plain", "n", Filter::all()).await.unwrap();
    assert_eq!(lowest, (1..=1_000).map(Bson::Int32).collect::<Vec<_>>());
}

/// An answer is whole or refused: neither documents nor distinct values have more than 16 MiB together.
pub async fn answers_are_bounded(subject: &Subject) {
    for n in 0..18 {
        let text = format!("{n:02}{}", "x".repeat(1_000_000));
        subject.fill("plain", vec![doc! { "_id": n, "g": n % 2, "text": text }]).await;
    }
    for sort in [doc! {}, doc! { "g": -1 }] {
        for (limit, fits) in [(16, true), (17, false), (1_000, false)] {
            let mut asked = query("plain", &doc! {});
            (asked.limit, asked.sort) = (limit, Sort::from_document(&sort).unwrap());
            match subject.documents.find(asked).await {
                Ok(found) => assert!(fits && found.len() == limit as usize, "{limit} by {sort}: {}", found.len()),
                Err(Error::Invalid(text)) => assert!(!fits && text.contains("the answer"), "{limit} by {sort}: {text}"),
                Err(error) => panic!("{limit} by {sort}: {error}"),
            }
        }
    }
    let mut asked = query("plain", &doc! {});
    asked.projection = Projection::from_document(&doc! { "g": 1 }).unwrap();
    assert_eq!(subject.ask(asked).await.len(), 18);
    let distinct = |asked: Document| subject.documents.distinct("plain", "text", filter(&asked));
    assert_eq!(distinct(doc! { "_id": { "$lt": 16 } }).await.map(|values| values.len()), Ok(16));
    assert!(matches!(distinct(doc! {}).await, Err(Error::Invalid(text)) if text.contains("the answer")));
}

/// What an index serves is told from what reads the whole collection.
pub async fn plans_tell_what_is_read(subject: &Subject) {
    subject.fill("people", (0..60).map(|n| doc! { "_id": n, "name": n.to_string(), "age": n % 9 }).collect()).await;
    let cases = [
        (doc! { "_id": 3 }, doc! {}, true),
        (doc! { "name": "7" }, doc! {}, true),
        (doc! { "age": 3 }, doc! {}, true),
        (doc! { "age": { "$gt": 3 } }, doc! { "age": 1 }, true),
        (doc! { "$or": [{ "name": "7" }, { "age": 1 }] }, doc! {}, true),
        (doc! {}, doc! {}, true),
        (doc! { "_id": { "$gt": 3 } }, doc! {}, true),
        (doc! { "other": 3 }, doc! {}, false),
        (doc! {}, doc! { "other": 1 }, false),
        (doc! { "_id": { "$gt": 3 }, "other": 1 }, doc! {}, false),
        (doc! { "$or": [{ "name": "7" }, { "other": 1 }] }, doc! {}, false),
    ];
    for (asked, sort, indexed) in cases {
        let mut query = query("people", &asked);
        (query.limit, query.sort) = (10, Sort::from_document(&sort).unwrap());
        let plan = subject.documents.explain(query).await.unwrap();
        assert_eq!(plan.indexed, indexed, "{asked} by {sort}: {:?}", plan.steps);
        assert!(!plan.steps.is_empty());
    }
}
