use bson::{Bson, doc};

use crate::tests::*;
use capability::events::EventLog;

const SCHEMA: &str = "
[people]
indexes = [{ fields = ['mail'], unique = true, where-exists = ['mail'] }, { fields = ['age'] }]
[links]
indexes = [{ fields = ['from', 'to'], unique = true }, { fields = ['to', 'at'] }]
[plain]
";

fn changed(count: u64) -> Effect {
    Effect { matched: count, changed: count, upserted: false }
}

#[tokio::test]
async fn writes_see_each_other_and_answer_what_they_did() {
    let store = memory(SCHEMA);
    let effects = commit(
        &store,
        vec![
            insert("plain", doc! { "_id": 2, "n": 1 }),
            insert("plain", doc! { "_id": 1, "n": 1 }),
            update("plain", doc! { "n": 1 }, doc! { "$inc": { "n": 1 } }),
            with(update("plain", doc! {}, doc! { "$set": { "x": true } }), &["many"]),
            update("plain", doc! { "_id": 1 }, doc! { "$set": { "x": true } }),
            update("plain", doc! { "_id": 9 }, doc! { "$set": { "x": true } }),
            delete("plain", doc! { "n": 1 }),
        ],
    );
    let unchanged = Effect { matched: 1, ..Effect::default() };
    let inserted = Effect { changed: 1, ..Effect::default() };
    let wanted = [inserted, inserted, changed(1), changed(2), unchanged, Effect::default(), changed(1)];
    assert_eq!(effects.await.unwrap(), wanted);
    // The first match is the lowest by `_id`.
    assert_eq!(find(&store, "plain", doc! {}).await, [doc! { "_id": 1, "n": 2, "x": true }]);
}

#[tokio::test]
async fn a_refused_write_undoes_the_commit_and_its_events() {
    let store = memory(SCHEMA);
    commit(&store, vec![insert("people", doc! { "_id": 1, "mail": "a" })]).await.unwrap();
    let try_this = async |write: Write| {
        let writes = vec![insert("people", doc! { "_id": 50 }), write, insert("people", doc! { "_id": 51 })];
        store.commit(Commit { writes, events: vec![event("e", "k")] }).await.unwrap_err()
    };
    let duplicate = |index: &str| Error::Duplicate { write: 1, index: index.to_owned() };
    assert_eq!(try_this(insert("people", doc! { "_id": 1.0 })).await, duplicate("_id_"));
    assert_eq!(try_this(insert("people", doc! { "_id": 2, "mail": "a" })).await, duplicate("mail"));
    let mail = doc! { "$set": { "mail": "a" } };
    assert_eq!(try_this(update("people", doc! { "_id": 50 }, mail)).await, duplicate("mail"));
    let must = &["must_match"];
    assert_eq!(try_this(with(delete("people", doc! { "_id": 9 }), must)).await, Error::Unmet(1));
    assert_eq!(try_this(with(update("people", doc! { "_id": 9 }, doc! {}), must)).await, Error::Unmet(1));
    for invalid in [
        insert("people", doc! { "_id": 3, "mail": ["a"] }),
        update("people", doc! { "_id": 1 }, doc! { "$inc": { "mail": 1 } }),
        update("people", doc! { "_id": 1 }, doc! { "$set": { "_id": 2 } }),
        insert("nowhere", doc! { "_id": 3 }),
        insert("people", doc! { "x": 3 }),
    ] {
        assert!(matches!(try_this(invalid).await, Error::Invalid(_)));
    }
    let mut unknown = event("e", "k");
    unknown.topic = "unknown".to_owned();
    let writes = vec![insert("people", doc! { "_id": 50 })];
    let error = store.commit(Commit { writes, events: vec![event("e", "k"), unknown] }).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(text) if text.contains("`unknown`")));
    assert_eq!(find(&store, "people", doc! {}).await.len(), 1);
    assert_eq!(store.event_log().end_offsets("things").await.unwrap(), [0, 0, 0]);
}

#[tokio::test]
async fn unique_indexes_hold_for_missing_fields_unless_partial() {
    let store = memory(SCHEMA);
    commit(&store, vec![insert("people", doc! { "_id": 1 }), insert("people", doc! { "_id": 2 })]).await.unwrap();
    commit(&store, vec![insert("links", doc! { "_id": 1, "from": 1 })]).await.unwrap();
    let again = commit(&store, vec![insert("links", doc! { "_id": 2, "from": 1.0, "to": null })]).await;
    assert_eq!(again, Err(Error::Duplicate { write: 0, index: "from_to".to_owned() }));
    // A value may pass from one document to another within a commit.
    let swap = vec![delete("links", doc! { "_id": 1 }), insert("links", doc! { "_id": 3, "from": 1 })];
    commit(&store, swap).await.unwrap();
}

#[tokio::test]
async fn upserts_are_mongodbs() {
    let store = memory(SCHEMA);
    let once = || {
        let filter = doc! { "_id": "X", "used": { "$lt": 2 } };
        with(
            update("plain", filter, doc! { "$inc": { "used": 1 }, "$setOnInsert": { "new": 1 } }),
            &["upsert", "must_match"],
        )
    };
    let inserted = Effect { matched: 0, changed: 1, upserted: true };
    assert_eq!(commit(&store, vec![once()]).await.unwrap(), [inserted]);
    assert_eq!(commit(&store, vec![once()]).await.unwrap(), [changed(1)]);
    let duplicate = Error::Duplicate { write: 0, index: "_id_".to_owned() };
    assert_eq!(commit(&store, vec![once()]).await, Err(duplicate));
    assert_eq!(find(&store, "plain", doc! {}).await, [doc! { "_id": "X", "new": 1, "used": 2 }]);
    commit(&store, vec![with(update("plain", doc! { "k": 1 }, doc! {}), &["upsert"])]).await.unwrap();
    let made = find(&store, "plain", doc! { "k": 1 }).await;
    assert!(matches!(made[0].get("_id"), Some(Bson::ObjectId(_))));
}

#[tokio::test]
async fn queries_skip_limit_project_count_and_tell_apart() {
    let store = memory(SCHEMA);
    let writes = (0..30).map(|n| insert("people", doc! { "_id": n, "age": n % 3, "tags": [n % 2, "x"] })).collect();
    commit(&store, writes).await.unwrap();
    let mut request = query("people", doc! { "age": 1 }, doc! { "_id": -1 });
    request.projection = Projection::from_document(&doc! { "tags": 1, "_id": 0 }).unwrap();
    (request.skip, request.limit) = (1, 2);
    let found = store.find(request.clone()).await.unwrap();
    assert_eq!(found, [raw(doc! { "tags": [1, "x"] }), raw(doc! { "tags": [0, "x"] })]);
    for limit in [0, 1_001] {
        request.limit = limit;
        assert!(matches!(store.find(request.clone()).await, Err(Error::Invalid(_))));
    }
    request.limit = 1;
    (request.skip, request.sort) = (100_000, Sort::from_document(&doc! { "tags": 1 }).unwrap());
    assert!(matches!(store.find(request).await, Err(Error::Invalid(text)) if text.contains("index")));

    let filter = |filter| Filter::from_document(&filter).unwrap();
    assert_eq!(store.count("people", filter(doc! { "age": { "$gte": 1 } }), 0).await, Ok(20));
    assert_eq!(store.count("people", filter(doc! { "age": { "$gte": 1 } }), 5).await, Ok(5));
    assert!(store.count("nowhere", Filter::all(), 5).await.is_err());
    let values = store.distinct("people", "tags", filter(doc! { "age": 1 })).await.unwrap();
    assert_eq!(values, [Bson::Int32(0), Bson::Int32(1), Bson::String("x".into())]);
    assert!(store.distinct("people", "a..b", Filter::all()).await.is_err());
}

/// By its `_id` a document is found without a plan, and all else that is asked holds as ever.
#[tokio::test]
async fn what_is_asked_beside_an_id_counts() {
    let store = memory(SCHEMA);
    let tags = doc! { "_id": 1, "n": 5, "tags": [1, 2] };
    commit(&store, vec![insert("plain", tags.clone()), insert("plain", doc! { "_id": Bson::Null })]).await.unwrap();
    for (filter, found) in [
        (doc! { "_id": 1 }, true),
        (doc! { "_id": 1.0 }, true),
        (doc! { "_id": { "$eq": 1_i64 } }, true),
        (doc! { "_id": "1" }, false),
        (doc! { "_id": [1] }, false),
        (doc! { "_id": 1, "n": 5 }, true),
        (doc! { "n": 6, "_id": 1 }, false),
        (doc! { "_id": { "$eq": 1, "$gt": 1 } }, false),
        (doc! { "_id": 1, "$or": [{ "n": 5 }, { "n": 6 }] }, true),
        (doc! { "_id": 1, "tags": { "$in": [] } }, false),
        (doc! { "_id": 1, "$and": [{ "_id": 2 }] }, false),
    ] {
        let expected = if found { vec![tags.clone()] } else { Vec::new() };
        assert_eq!(find(&store, "plain", filter.clone()).await, expected, "{filter}");
        let parsed = Filter::from_document(&filter).unwrap();
        for limit in [0, 1, 5] {
            assert_eq!(store.count("plain", parsed.clone(), limit).await, Ok(u64::from(found)), "{filter}");
        }
        let effect = commit(&store, vec![update("plain", filter.clone(), doc! { "$set": { "same": 1 } })]).await;
        assert_eq!(effect.unwrap()[0].matched, u64::from(found), "{filter}");
        commit(&store, vec![update("plain", doc! { "_id": 1 }, doc! { "$unset": { "same": 1 } })]).await.unwrap();
    }
    assert_eq!(find(&store, "plain", doc! { "_id": null }).await, [doc! { "_id": Bson::Null }]);
    let mut request = query("plain", doc! { "_id": 1 }, doc! { "_id": -1 });
    request.projection = Projection::from_document(&doc! { "n": 1, "_id": 0 }).unwrap();
    assert_eq!(store.find(request.clone()).await.unwrap(), [raw(doc! { "n": 5 })]);
    request.sort = Sort::from_document(&doc! { "tags": -1 }).unwrap();
    assert_eq!(store.find(request.clone()).await.unwrap(), [raw(doc! { "n": 5 })]);
    request.skip = 1;
    for sort in [doc! {}, doc! { "tags": 1 }] {
        request.sort = Sort::from_document(&sort).unwrap();
        assert!(store.find(request.clone()).await.unwrap().is_empty(), "{sort}");
    }
    commit(&store, vec![delete("plain", doc! { "_id": 1, "n": 6 }), delete("plain", doc! { "_id": 1.0 })])
        .await
        .unwrap();
    assert!(find(&store, "plain", doc! { "_id": 1 }).await.is_empty());
}

#[tokio::test]
async fn the_log_keeps_order_without_gaps() {
    let store = memory(SCHEMA);
    let log = store.event_log();
    for number in 0..40 {
        let events =
            vec![event(&format!("e{number}"), &format!("k{}", number % 7)), event(&format!("f{number}"), "k0")];
        // Every third commit fails and leaves no gap.
        let id = if number % 3 == 0 { 0 } else { number };
        let done = store.commit(Commit { writes: vec![insert("plain", doc! { "_id": id })], events }).await;
        assert_eq!(done.is_ok(), number % 3 != 0 || number == 0);
    }
    let ends = log.end_offsets("things").await.unwrap();
    assert_eq!(ends.iter().sum::<u64>(), 54);
    let mut last = std::collections::BTreeMap::new();
    for (partition, end) in (0..).zip(&ends) {
        let records = log.read("things", partition, 0, 1_000).await.unwrap();
        let offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..*end).collect::<Vec<_>>());
        for record in &records {
            assert_eq!(record.event.headers, [("trace".to_owned(), "1".to_owned())]);
            let number: u32 = record.event.id[1..].parse().unwrap();
            let home = last.entry(record.event.key.clone()).or_insert((partition, 0));
            assert!(home.0 == partition && home.1 <= number);
            home.1 = number;
        }
        assert!(log.read("things", partition, *end, 10).await.unwrap().is_empty());
        assert!(log.read("things", partition, u64::MAX, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_longest_and_deepest_values_are_kept() {
    let store = memory("[plain]\nindexes = [{ fields = ['a'] }]");
    let long = "\0".repeat(900_000);
    commit(&store, vec![insert("plain", doc! { "_id": 1, "a": &long })]).await.unwrap();
    assert_eq!(find(&store, "plain", doc! { "a": long }).await.len(), 1);
}
