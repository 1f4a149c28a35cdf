//! Cases about commits at once: none is lost, none is done twice, one wins.

use std::sync::Arc;

use bson::{Bson, doc};
use capability::documents::{Commit, Error};

use super::{Subject, event, insert, matching, update, upserting};

/// Twenty tasks count together; every step counts, also of a counter that is not there yet.
pub async fn racing_counters_all_count(subject: &Subject) {
    let tasks = (0..20).map(|_| {
        let documents = Arc::clone(&subject.documents);
        tokio::spawn(async move {
            for _ in 0..5 {
                let count = update("plain", &doc! { "_id": "n" }, &doc! { "$inc": { "n": 1 } });
                let done = documents.commit(Commit { writes: vec![upserting(count)], events: Vec::new() }).await;
                done.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(subject.find("plain", doc! {}).await, [doc! { "_id": "n", "n": 100 }]);
}

/// Of many who want a name, one has it, and the others are told which index refused.
pub async fn one_of_racing_insertions_wins(subject: &Subject) {
    let tasks = (0..16).map(|id| {
        let documents = Arc::clone(&subject.documents);
        tokio::spawn(async move {
            let person = insert("people", doc! { "_id": id, "name": "same" });
            documents.commit(Commit { writes: vec![person], events: Vec::new() }).await
        })
    });
    let mut winners = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => assert_eq!(error, Error::Duplicate { write: 0, index: "name".to_owned() }),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(subject.ids("people", doc! {}).await.len(), 1);
}

/// What a commit relied on, though it left it as it was, still holds when the commit is done.
pub async fn what_had_to_match_still_does(subject: &Subject) {
    subject.fill("plain", vec![doc! { "_id": "a", "on": 1 }, doc! { "_id": "b", "on": 1 }]).await;
    // Each may go off only while the other is on: in any order one of them stays.
    let off = |one: &'static str, other: &'static str| {
        let documents = Arc::clone(&subject.documents);
        let writes = vec![
            matching(update("plain", &doc! { "_id": other, "on": 1 }, &doc! { "$set": { "on": 1 } })),
            update("plain", &doc! { "_id": one }, &doc! { "$set": { "on": 0 } }),
        ];
        tokio::spawn(async move { documents.commit(Commit { writes, events: Vec::new() }).await })
    };
    for _ in 0..20 {
        let (one, other) = (off("a", "b"), off("b", "a"));
        let done = [one.await.unwrap(), other.await.unwrap()];
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
        assert!(done.contains(&Err(Error::Unmet(0))), "{done:?}");
        let both = ["a", "b"].map(|id| update("plain", &doc! { "_id": id }, &doc! { "$set": { "on": 1 } }));
        subject.commit(both.into()).await.unwrap();
    }
}

/// Of many commits at once each has its own outcome: one that is refused takes no other with it, and tells its own write.
pub async fn racing_commits_have_their_own_outcomes(subject: &Subject) {
    let seeds = (0..60).map(|id: i32| doc! { "_id": id, "name": id, "seq": 1 }).collect();
    subject.fill("people", seeds).await;
    subject.fill("plain", vec![doc! { "_id": "taken" }]).await;
    let tasks = (0..60).map(|id: i32| {
        let documents = Arc::clone(&subject.documents);
        tokio::spawn(async move {
            // As a message is sent: its conversation, itself, and its event.
            let seen = if id % 5 == 1 { 7 } else { 1 };
            let next = update("people", &doc! { "_id": id, "seq": seen }, &doc! { "$set": { "seq": 2 } });
            let message = match id % 5 {
                2 => insert("plain", doc! { "_id": "taken" }),
                3 => insert("people", doc! { "_id": 1_000 + id, "name": 3 }),
                _ => insert("plain", doc! { "_id": id }),
            };
            let topic = if id % 5 == 4 { "nobody's".to_owned() } else { super::TOPIC.to_owned() };
            let event = capability::events::Event { topic, ..event(&format!("e{id}"), &format!("k{id}")) };
            let commit = Commit { writes: vec![matching(next), message], events: vec![event] };
            (id, documents.commit(commit).await)
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (id, done) = task.await.unwrap();
        let repeats = |index: &str| Err(Error::Duplicate { write: 1, index: index.to_owned() });
        match id % 5 {
            0 => assert_eq!(done.unwrap().iter().map(|effect| effect.changed).collect::<Vec<_>>(), [1, 1]),
            1 => assert_eq!(done, Err(Error::Unmet(0))),
            2 => assert_eq!(done, repeats("_id_")),
            3 => assert_eq!(done, repeats("name")),
            _ => assert!(matches!(done, Err(Error::Invalid(_))), "{done:?}"),
        }
    }
    let raised = subject.ids("people", doc! { "seq": 2 }).await;
    assert_eq!(raised, (0..60).step_by(5).map(Bson::Int32).collect::<Vec<_>>(), "and nothing of the others");
    assert_eq!(subject.ids("plain", doc! {}).await.len(), 13);
    if let Some(outbox) = subject.outbox() {
        assert_eq!(outbox.count().await, Ok(12));
    }
}

/// A dropped call leaves all of its commit or nothing, and the store goes on.
pub async fn a_dropped_call_is_whole_or_nothing(subject: &Subject) {
    for number in 0..40i32 {
        let writes = vec![insert("plain", doc! { "_id": 2 * number }), insert("plain", doc! { "_id": 2 * number + 1 })];
        let commit = subject.documents.commit(Commit { writes, events: vec![event(&number.to_string(), "k")] });
        let patience = std::time::Duration::from_micros(u64::from(number.unsigned_abs()) * 150);
        let _ = tokio::time::timeout(patience, commit).await;
    }
    subject.commit(vec![insert("plain", doc! { "_id": "end" })]).await.unwrap();
    let ids = subject.ids("plain", doc! { "_id": { "$gte": 0 } }).await;
    let pairs: Vec<i32> = ids.iter().filter_map(Bson::as_i32).collect();
    assert_eq!(pairs.len() % 2, 0, "{pairs:?}");
    assert!(pairs.chunks(2).all(|pair| pair[0] + 1 == pair[1]), "{pairs:?}");
}
