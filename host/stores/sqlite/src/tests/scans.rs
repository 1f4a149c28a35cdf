//! Queries that would read a whole collection are refused, others are not, and the named index serves.

use bson::{Document, doc};

use crate::tests::*;

const SCHEMA: &str = "
[c]
indexes = [
  { fields = ['a'] },
  { fields = ['b', 'n.x'] },
  { fields = ['u'], unique = true, where-exists = ['u'] },
]
";

async fn found(store: &Sqlite, filter: Document, sort: Document, skip: u32, limit: u32) -> Result<usize, Error> {
    let request = Query { skip, limit, ..query("c", filter, sort) };
    store.find(request).await.map(|found| found.len())
}

/// The text of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Invalid(text)) if text.contains("would read all of `c`") => text,
        other => panic!("{other:?}"),
    }
}

fn filter(document: Document) -> Filter {
    Filter::from_document(&document).unwrap()
}

/// Forty documents, through handles without and with the check.
async fn both() -> (Sqlite, Sqlite) {
    let store = memory(SCHEMA);
    let writes = (0..40).map(|n| insert("c", doc! { "_id": n, "a": n % 4, "z": n % 2, "u": n })).collect();
    commit(&store, writes).await.unwrap();
    let checked = store.refusing_scans();
    (store, checked)
}

#[tokio::test]
async fn only_the_handle_that_refuses_does() {
    let (store, checked) = both().await;
    assert_eq!(found(&store, doc! { "z": 1 }, doc! {}, 0, 1_000).await, Ok(20));
    refused(found(&checked, doc! { "z": 1 }, doc! {}, 0, 1_000).await);
    refused(found(&checked.clone(), doc! { "z": 1 }, doc! {}, 0, 1_000).await);
}

#[tokio::test]
async fn a_walk_passes_when_each_step_is_an_answer_and_it_ends_soon() {
    let (_, checked) = both().await;
    for (filter, sort, skip, limit, count) in [
        (doc! {}, doc! {}, 0, 1_000, 40),
        (doc! {}, doc! { "_id": -1 }, 990, 10, 0),
        (doc! {}, doc! { "a": 1 }, 0, 5, 5),
        (doc! { "_id": { "$gt": 30 } }, doc! {}, 0, 1_000, 9),
        (doc! { "_id": { "$lte": 30 } }, doc! { "_id": -1 }, 0, 3, 3),
        (doc! { "_id": { "$gt": 5, "$lt": 9 }, "z": 1 }, doc! {}, 0, 1_000, 1),
        (doc! { "a": { "$gt": 1 }, "z": 1 }, doc! {}, 0, 1_000, 10),
        (doc! { "a": 1, "z": 1 }, doc! { "z": 1 }, 5_000, 1_000, 0),
        (doc! { "$or": [{ "a": 1 }, { "u": 7 }] }, doc! {}, 0, 1_000, 11),
    ] {
        assert_eq!(found(&checked, filter.clone(), sort, skip, limit).await, Ok(count), "{filter}");
    }
    for (filter, sort, skip) in [(doc! { "_id": { "$gt": 30 } }, doc! {}, 991)] {
        let text = refused(found(&checked, filter, sort, skip, 10).await);
        assert!(text.contains("take at most 1000, skipped ones included, and go on from the last `_id`"), "{text}");
    }
    for (filter, sort) in [
        (doc! { "_id": { "$gt": 30 }, "z": 1 }, doc! {}),
        (doc! { "_id": { "$gt": 30 } }, doc! { "z": 1 }),
        (doc! { "_id": { "$gt": 30 } }, doc! { "a": 1 }),
        (doc! { "$or": [{ "a": 1 }, { "_id": { "$gt": 3 } }] }, doc! {}),
        (doc! { "a": { "$ne": 1 } }, doc! { "a": 1 }),
    ] {
        refused(found(&checked, filter, sort, 0, 10).await);
    }
}

/// A page far down a list, and the length of the list: the keys decide them, whichever ids are excluded.
#[tokio::test]
async fn what_keys_decide_is_skipped_and_counted_unread() {
    let store = memory(SCHEMA);
    let id = |n: u32| bson::oid::ObjectId::from_bytes(std::array::from_fn(|at| if at == 11 { n as u8 } else { 7 }));
    let writes = (0..40).map(|n| insert("c", doc! { "_id": id(n), "a": n })).collect();
    commit(&store, writes).await.unwrap();
    commit(&store, vec![insert("c", doc! { "_id": "of another kind" })]).await.unwrap();
    let checked = store.refusing_scans();
    let left_out = [3, 4, 39, 200].map(id);
    for (bounds, expected) in [
        (
            doc! { "$gte": id(0), "$nin": left_out.to_vec() },
            (0..40).filter(|n| ![3, 4, 39].contains(n)).collect::<Vec<_>>(),
        ),
        (doc! { "$gt": id(2), "$lt": id(9), "$nin": left_out.to_vec() }, vec![5, 6, 7, 8]),
        (doc! { "$lte": id(5), "$ne": id(0) }, vec![1, 2, 3, 4, 5]),
    ] {
        let request = doc! { "_id": bounds };
        let count = checked.count("c", filter(request.clone()), 0).await;
        assert_eq!(count, Ok(expected.len() as u64), "{request}");
        assert_eq!(checked.count("c", filter(request.clone()), 2).await, Ok(2));
        for descending in [false, true] {
            let sort = if descending {
                doc! { "_id": -1 }
            } else {
                doc! {}
            };
            let mut wanted = expected.clone();
            if descending {
                wanted.reverse();
            }
            for skip in [0, 1, 3, 5_000] {
                let query = Query { skip, limit: 4, ..query("c", request.clone(), sort.clone()) };
                let found = checked.find(query).await.unwrap();
                let found: Vec<_> = found.iter().map(|found| found.get_object_id("_id").unwrap()).collect();
                let page: Vec<_> = wanted.iter().skip(skip as usize).take(4).map(|n| id(*n)).collect();
                assert_eq!(found, page, "{request} {skip}");
            }
        }
    }
    assert_eq!(found(&checked, doc! {}, doc! {}, 40, 10).await, Ok(1));
    refused(checked.distinct("c", "a", filter(doc! { "_id": { "$gte": id(0) } })).await);
    refused(found(&checked, doc! { "_id": { "$gte": id(0) }, "a": { "$ne": 1 } }, doc! {}, 0, 10).await);
}

#[tokio::test]
async fn counting_telling_apart_and_writing_are_checked_too() {
    let (store, checked) = both().await;
    assert_eq!(checked.count("c", filter(doc! { "a": 1, "z": 1 }), 0).await, Ok(10));
    assert_eq!(checked.count("c", Filter::all(), 7).await, Ok(7));
    assert_eq!(checked.count("c", Filter::all(), 0).await, Ok(40), "keys are counted, and no document is read");
    refused(checked.count("c", filter(doc! { "z": 1 }), 1).await);
    assert_eq!(checked.distinct("c", "z", filter(doc! { "a": 1 })).await.unwrap().len(), 1);
    refused(checked.distinct("c", "a", Filter::all()).await);

    let change = || doc! { "$set": { "x": 1 } };
    refused(commit(&checked, vec![update("c", doc! { "z": 1 }, change())]).await);
    refused(commit(&checked, vec![with(update("c", doc! {}, change()), &["many"])]).await);
    refused(commit(&checked, vec![delete("c", doc! { "z": 1 })]).await);
    let both = vec![update("c", doc! { "a": 1 }, change()), delete("c", doc! { "z": 1 })];
    let text = refused(commit(&checked, both).await);
    assert!(text.contains("a write with a filter on `z`"), "{text}");
    assert_eq!(store.count("c", filter(doc! { "x": 1 }), 0).await, Ok(0), "nothing of a refused commit is done");
    let some = vec![with(update("c", doc! { "a": 1 }, change()), &["many"]), delete("c", doc! {})];
    assert_eq!(commit(&checked, some).await.unwrap().len(), 2, "the first by `_id` is found without a look at others");
    let upsert = with(update("c", doc! { "_id": 99, "z": 5 }, change()), &["upsert"]);
    assert!(commit(&checked, vec![upsert]).await.unwrap()[0].upserted);
}

#[tokio::test]
async fn the_index_that_is_named_serves() {
    for (filter, sort, lines) in [
        (doc! { "z": 1 }, doc! {}, "{ fields = [\"z\"] }"),
        (doc! { "z": 1, "y": { "$in": [1, 2] } }, doc! {}, "{ fields = [\"y\", \"z\"] }"),
        (doc! { "z": 1, "y": { "$gt": 2 } }, doc! { "w": 1 }, "{ fields = [\"z\", \"y\"] }"),
        (doc! { "y": { "$gt": 2 } }, doc! { "w": 1 }, "{ fields = [\"y\"] }"),
        (doc! { "z": 1 }, doc! { "w": -1, "_id": 1 }, "{ fields = [\"z\", \"w\"] }"),
        (doc! {}, doc! { "w": 1, "v": 1 }, "{ fields = [\"w\", \"v\"] }"),
        (doc! { "$or": [{ "a": 1 }, { "z": 1 }, { "y": 1 }] }, doc! {}, "{ fields = [\"z\"] }, { fields = [\"y\"] }"),
        (doc! { "$and": [{ "z": 1 }], "a": { "$ne": 1 } }, doc! {}, "{ fields = [\"z\"] }"),
        (doc! { "_id": { "$gt": 1 }, "z": 1 }, doc! {}, "{ fields = [\"z\"] }"),
    ] {
        let text = refused(found(&memory(SCHEMA).refusing_scans(), filter.clone(), sort.clone(), 0, 10).await);
        let line = format!("in application.toml: [collections.c] indexes = [{lines}]");
        assert!(text.ends_with(&line), "{text} has no {line}");
        let more = SCHEMA.replace("indexes = [", &format!("indexes = [{lines},"));
        assert_eq!(found(&memory(&more).refusing_scans(), filter.clone(), sort, 0, 10).await, Ok(0), "{filter}");
    }
    for (filter, words) in [
        (doc! { "z": { "$ne": 1 } }, "no index serves it"),
        (doc! { "$or": [{ "a": 1 }, { "z": { "$nin": [1] } }] }, "no index serves it"),
        (doc! { "u": null }, "its index `u` holds only documents with `u`"),
    ] {
        let text = refused(found(&memory(SCHEMA).refusing_scans(), filter, doc! {}, 0, 10).await);
        assert!(text.contains(words), "{text} has no {words}");
    }
}
