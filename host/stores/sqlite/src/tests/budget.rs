//! A request that works too long ends with an error, does nothing, and harms no other.

use std::time::Duration;

use bson::doc;
use capability::budget::Budget;

use crate::budget;
use crate::scans::Scans;
use crate::tests::*;

/// One that is over from the start.
const SPENT: Budget = Budget { work: Duration::ZERO, end: None };

/// 2,000 documents of a KiB.
async fn filled() -> Sqlite {
    let store = memory("[c]\nindexes = [{ fields = ['a'] }]");
    for hundred in 0..20 {
        let text = "x".repeat(1_000);
        let document = |n: i32| insert("c", doc! { "_id": hundred * 100 + n, "a": n, "text": text.as_str() });
        commit(&store, (0..100).map(document).collect()).await.unwrap();
    }
    store
}

#[track_caller]
fn is_over<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Overdue(text)) if text.contains("works longer") => {}
        other => panic!("{other:?}"),
    }
}

/// Attack (55): a sort or filter that computes for minutes. Outcome: it ends by its budget.
#[tokio::test]
async fn a_read_ends() {
    let store = filled().await;
    for (filter, sort, skip) in [
        (doc! { "text": { "$ne": "y" } }, doc! {}, 0),
        (doc! {}, doc! { "text": -1 }, 0),
        (doc! {}, doc! {}, 1_900),
        (doc! { "a": { "$gte": 0 } }, doc! { "a": 1 }, 1_900),
    ] {
        let request = Query { skip, ..query("c", filter, sort) };
        let find = move |connection: &rusqlite::Connection, layout: &crate::tables::Layout| {
            budget::within(SPENT, || crate::query::find(connection, layout, &request, Scans::Allowed))
        };
        is_over(store.read(find).await);
    }
    for filter in [doc! { "a": { "$gte": 0 } }, doc! { "text": { "$ne": "y" } }] {
        let filter = Filter::from_document(&filter).unwrap();
        let counted = filter.clone();
        is_over(
            store
                .read(move |connection, layout| {
                    let count = || crate::query::count(connection, layout, "c", &counted, 0, Scans::Allowed);
                    budget::within(SPENT, count)
                })
                .await,
        );
        is_over(
            store
                .read(move |connection, layout| {
                    let distinct = || crate::query::distinct(connection, layout, "c", "text", &filter, Scans::Allowed);
                    budget::within(SPENT, distinct)
                })
                .await,
        );
    }
    assert_eq!(find(&store, "c", doc! { "a": 7 }).await.len(), 20);
}

/// Attack (55): a write that computes for minutes on the one writer. Outcome: it ends by its budget; the commits beside it
/// do not.
#[tokio::test]
async fn a_commit_ends_and_those_beside_it_do_not() {
    let store = filled().await;
    let all = |change: bson::Document| with(update("c", doc! { "text": { "$ne": "y" } }, change), &["many"]);
    for writes in [
        vec![insert("c", doc! { "_id": "new", "b": 1 }), all(doc! { "$set": { "b": 1 } })],
        vec![insert("c", doc! { "_id": "new", "b": 1 }), with(delete("c", doc! { "a": { "$gte": 0 } }), &["many"])],
        (0..1_000).map(|n| insert("c", doc! { "_id": format!("new {n}"), "b": 1 })).collect(),
    ] {
        let commit_of_all = Commit { writes, events: Vec::new() };
        let too_much = store.write(move |connection, layout| {
            budget::within(SPENT, || crate::commit::run(connection, layout, &commit_of_all, Scans::Allowed))
        });
        let beside = |n: i32| commit(&store, vec![insert("c", doc! { "b": 2, "_id": format!("{n}") })]);
        let (before, refused, after) = tokio::join!(beside(1), too_much, beside(2));
        is_over(refused);
        assert!(before.is_ok() && after.is_ok());
        assert_eq!(find(&store, "c", doc! { "b": 1 }).await.len(), 0);
        assert_eq!(find(&store, "c", doc! { "a": 7 }).await.len(), 20);
        for n in ["1", "2"] {
            commit(&store, vec![delete("c", doc! { "_id": n, "b": 2 })]).await.unwrap();
        }
    }
}
