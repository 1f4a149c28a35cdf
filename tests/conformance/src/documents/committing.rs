//! Cases about commits: all or nothing, in order, and what unique indexes refuse.

use bson::{Bson, doc};
use capability::documents::{Commit, Effect, Error, Write};
use capability::events::MAX_VALUE;

use super::{Subject, delete, event, insert, matching, of_all, update, upserting};

/// Each write sees what the ones before it did.
pub async fn a_commit_sees_what_it_did(subject: &Subject) {
    let count = |id: i32| update("plain", &doc! { "_id": id }, &doc! { "$inc": { "n": 1 } });
    let effects = subject
        .commit(vec![
            insert("plain", doc! { "_id": 1, "n": 0 }),
            count(1),
            matching(count(1)),
            upserting(count(2)),
            count(2),
            insert("plain", doc! { "_id": 3 }),
            of_all(update("plain", &doc! { "n": 2 }, &doc! { "$set": { "two": true } })),
            matching(delete("plain", &doc! { "_id": 3 })),
            insert("plain", doc! { "_id": 3, "again": true }),
        ])
        .await
        .unwrap();
    let did = |matched, changed, upserted| Effect { matched, changed, upserted };
    let changed = did(1, 1, false);
    let inserted = did(0, 1, false);
    let wanted = [inserted, changed, changed, did(0, 1, true), changed, inserted, did(2, 2, false), changed, inserted];
    assert_eq!(effects, wanted);
    let found = subject.find("plain", doc! {}).await;
    let two = |id: i32| doc! { "_id": id, "n": 2, "two": true };
    assert_eq!(found, [two(1), two(2), doc! { "_id": 3, "again": true }]);
    assert_eq!(subject.commit(Vec::new()).await, Ok(Vec::new()));
}

/// Many small changes are one commit, done in time; one that fails in the middle is told by its place.
pub async fn many_changes_are_one_commit(subject: &Subject) {
    subject.fill("people", (0..500).map(|n| doc! { "_id": n, "name": n, "n": n % 3 }).collect()).await;
    let add = |id: i32, asked: i32| {
        update("people", &doc! { "_id": id, "n": asked }, &doc! { "$inc": { "n": 10 }, "$set": { "name": id + 1_000 } })
    };
    let effects = subject.commit((0..500).map(|id| add(id, 1)).collect()).await.unwrap();
    let changed: Vec<u64> = effects.iter().map(|effect| effect.changed).collect();
    assert_eq!(changed, (0..500).map(|id| u64::from(id % 3 == 1)).collect::<Vec<_>>());
    assert_eq!(subject.ids("people", doc! { "n": 11 }).await.len(), 167);
    let name = |id: i32, name: i32| update("people", &doc! { "_id": id }, &doc! { "$set": { "name": name } });
    let refused = |write: u32| Err(Error::Duplicate { write, index: "name".to_owned() });
    let text = update("people", &doc! { "_id": 5 }, &doc! { "$inc": { "name.x": 1 } });
    let cases = [
        (vec![name(0, -1), name(2, -2), name(3, -1), name(5, -4)], refused(2)),
        (vec![name(0, -1), name(2, -1), matching(add(3, 99))], refused(1)),
        (vec![name(0, -1), name(2, -1), text], refused(1)),
        (vec![name(0, -1), name(2, -2), matching(add(3, 99)), name(5, -1)], Err(Error::Unmet(2))),
        (vec![name(0, -1), insert("people", doc! { "_id": 900, "name": -2 }), name(2, -2), name(3, -3)], refused(2)),
    ];
    for (writes, wanted) in cases {
        assert_eq!(subject.commit(writes).await, wanted);
    }
    subject.commit(vec![name(0, -1), name(2, -2), name(0, -3), name(2, -1)]).await.unwrap();
    let found = subject.find("people", doc! { "_id": { "$in": [0, 2] } }).await;
    assert_eq!(found.iter().map(|found| found.get_i32("name").unwrap()).collect::<Vec<_>>(), [-3, -1]);
}

/// A unique index refuses by the schema's name, and says at which write.
pub async fn unique_indexes_refuse_by_name_and_place(subject: &Subject) {
    let refused = |write: u32, index: &str| Err(Error::Duplicate { write, index: index.to_owned() });
    let person = |id: i32, name: &str| insert("people", doc! { "_id": id, "name": name });
    subject.commit(vec![person(1, "a"), person(2, "b"), person(3, "c")]).await.unwrap();
    assert_eq!(subject.commit(vec![person(1, "z")]).await, refused(0, "_id_"));
    assert_eq!(subject.commit(vec![person(1, "a")]).await, refused(0, "_id_"));
    assert_eq!(subject.commit(vec![person(4, "d"), person(5, "e"), person(6, "b")]).await, refused(2, "name"));
    assert_eq!(subject.commit(vec![person(4, "d"), person(5, "d")]).await, refused(1, "name"));
    let rename = |id: i32, name: &str| update("people", &doc! { "_id": id }, &doc! { "$set": { "name": name } });
    assert_eq!(subject.commit(vec![person(4, "d"), rename(2, "a")]).await, refused(1, "name"));
    let all = of_all(update("people", &doc! {}, &doc! { "$set": { "name": "q" } }));
    assert_eq!(subject.commit(vec![rename(1, "q2"), all]).await, refused(1, "name"));
    let upsert = upserting(update("people", &doc! { "_id": 9 }, &doc! { "$set": { "name": "c" } }));
    assert_eq!(subject.commit(vec![upsert]).await, refused(0, "name"));
    assert_eq!(subject.ids("people", doc! {}).await, [1, 2, 3].map(Bson::Int32));
    // A missing field counts as null; a name that is free again can be had.
    let nameless = |id: i32| insert("people", doc! { "_id": id });
    assert_eq!(subject.commit(vec![nameless(4), nameless(5)]).await, refused(1, "name"));
    subject.commit(vec![delete("people", &doc! { "name": "b" }), rename(1, "b"), person(7, "a")]).await.unwrap();
    let listed = insert("people", doc! { "_id": 8, "name": ["x"] });
    assert!(matches!(subject.commit(vec![listed]).await, Err(Error::Invalid(_))), "no arrays in a unique index");
}

/// An index of documents with a field leaves the others alone.
pub async fn partial_indexes_leave_the_others_alone(subject: &Subject) {
    let refused = Err(Error::Duplicate { write: 1, index: "key".to_owned() });
    let person = |id: i32| insert("people", doc! { "_id": id, "name": id });
    let keyed = |id: i32, key: Bson| insert("people", doc! { "_id": id, "name": id, "key": key });
    subject.commit(vec![person(1), person(2), keyed(3, 1.into()), keyed(4, Bson::Null)]).await.unwrap();
    assert_eq!(subject.commit(vec![person(5), keyed(6, 1.0.into())]).await, refused);
    assert_eq!(subject.commit(vec![person(5), keyed(6, Bson::Null)]).await, refused);
    let set = update("people", &doc! { "_id": 1 }, &doc! { "$set": { "key": 1 } });
    assert_eq!(subject.commit(vec![person(5), set]).await, refused);
    let unset = update("people", &doc! { "_id": 3 }, &doc! { "$unset": { "key": "" } });
    subject.commit(vec![unset, keyed(6, 1.into())]).await.unwrap();
    assert_eq!(subject.ids("people", doc! { "key": 1 }).await, [Bson::Int32(6)]);
}

/// Nothing of a commit that fails remains, whatever it failed by.
pub async fn nothing_of_a_failed_commit_remains(subject: &Subject) {
    subject.fill("plain", vec![doc! { "_id": 1, "n": "text" }]).await;
    let nobody = doc! { "_id": 404 };
    let missed = update("plain", &nobody, &doc! { "$set": { "a": 1 } });
    let failing: Vec<(Write, Error)> = vec![
        (matching(missed.clone()), Error::Unmet(2)),
        (matching(delete("plain", &nobody)), Error::Unmet(2)),
        (matching(of_all(missed)), Error::Unmet(2)),
        (insert("plain", doc! { "_id": 1 }), Error::Duplicate { write: 2, index: "_id_".to_owned() }),
        (update("plain", &doc! { "_id": 1 }, &doc! { "$inc": { "n": 1 } }), Error::Invalid(String::new())),
    ];
    for (write, wanted) in failing {
        let before =
            vec![insert("plain", doc! { "_id": 2 }), update("plain", &doc! { "_id": 1 }, &doc! { "$set": { "m": 1 } })];
        let writes = before.into_iter().chain([write]).collect();
        let done = subject.documents.commit(Commit { writes, events: vec![event("e", "k")] }).await;
        match (done, wanted) {
            (Err(Error::Invalid(_)), Error::Invalid(_)) => {}
            (done, wanted) => assert_eq!(done, Err(wanted)),
        }
        assert_eq!(subject.find("plain", doc! {}).await, [doc! { "_id": 1, "n": "text" }]);
    }
    let (mut unknown, mut large) = (event("e", "k"), event("f", "k"));
    unknown.topic = "nowhere".to_owned();
    large.value = vec![0; MAX_VALUE + 1];
    for refused in [unknown, large] {
        let writes = vec![insert("plain", doc! { "_id": 2 })];
        let done = subject.documents.commit(Commit { writes, events: vec![event("d", "k"), refused] }).await;
        assert!(matches!(done, Err(Error::Invalid(_))), "{done:?}");
        assert_eq!(subject.ids("plain", doc! {}).await, [Bson::Int32(1)]);
    }
    if let Some(outbox) = subject.outbox() {
        for shard in 0..capability::events::SHARDS {
            assert_eq!(outbox.waiting(shard, 10).await, Ok(Vec::new()));
        }
    }
}
