//! Commits of one group: one that is undone after it has changed something takes no other with it, and leaves nothing.

use capability::events::EventLog;

use crate::tests::*;

const SCHEMA: &str = "[c]\nindexes = [{ fields = ['name'], unique = true, where-exists = ['name'] }]";

/// The answers to commits that are in the queue before the writer takes the first of them.
async fn together(store: &Sqlite, commits: Vec<Commit>) -> Vec<Result<Vec<Effect>, Error>> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = std::sync::mpsc::channel();
    let mut first = Box::pin(store.write(move |_, _| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        Ok(Vec::new())
    }));
    assert!(poll_once(&mut first).await.is_pending());
    begins.recv().unwrap();
    let mut calls: Vec<_> = commits.into_iter().map(|commit| store.commit(commit)).collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_pending());
    }
    go.send(()).unwrap();
    first.await.unwrap();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}

/// A commit that is done, with an event.
fn good(id: i32) -> Commit {
    Commit { writes: vec![insert("c", doc! { "_id": id })], events: vec![event(&id.to_string(), "k")] }
}

async fn events(store: &Sqlite) -> Vec<String> {
    let partition = capability::events::partition("k", 3);
    let records = store.event_log().read("things", partition, 0, 1_000).await.unwrap();
    assert!((0..).zip(&records).all(|(offset, record)| record.offset == offset), "without a gap");
    let ends = store.event_log().end_offsets("things").await.unwrap();
    assert_eq!(ends.iter().sum::<u64>(), records.len() as u64);
    records.into_iter().map(|record| record.event.id).collect()
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_and_takes_nothing_with_it() {
    let taken = || insert("c", doc! { "_id": 9_999, "name": "taken" });
    let must = |id: i32| with(update("c", doc! { "_id": id }, doc! { "$set": { "x": 1 } }), &["must_match"]);
    for changes_first in [false, true] {
        for (refused, wanted) in [
            (insert("c", doc! { "_id": 5_000, "name": "taken" }), "name"),
            (insert("c", doc! { "_id": 9_999 }), "_id_"),
            (must(7_777), ""),
        ] {
            for place in 0..4_usize {
                let store = memory(SCHEMA);
                commit(&store, vec![taken()]).await.unwrap();
                let before = changes_first.then(|| insert("c", doc! { "_id": 6_000 }));
                let writes: Vec<Write> = before.into_iter().chain([refused.clone()]).collect();
                let number = u32::from(changes_first);
                let bad = Commit { writes, events: vec![event("bad", "k")] };
                let mut commits: Vec<Commit> = (0..3).map(good).collect();
                commits.insert(place, bad.clone());
                // A second one, which comes when the first was undone already.
                commits.push(bad);
                commits.push(good(3));
                let answers = together(&store, commits).await;
                let expected = match wanted {
                    "" => Error::Unmet(number),
                    index => Error::Duplicate { write: number, index: index.to_owned() },
                };
                for (at, answer) in answers.into_iter().enumerate() {
                    if at == place || at == 4 {
                        assert_eq!(answer, Err(expected.clone()), "{at}");
                    } else {
                        assert_eq!(answer, Ok(vec![Effect { matched: 0, changed: 1, upserted: false }]), "{at}");
                    }
                }
                let found = find(&store, "c", doc! {}).await;
                let ids: Vec<i32> = found.iter().map(|found| found.get_i32("_id").unwrap()).collect();
                assert_eq!(ids, [0, 1, 2, 3, 9_999]);
                assert_eq!(events(&store).await, ["0", "1", "2", "3"]);
            }
        }
    }
}

/// What a commit decided by what others of its group did is still so when these were done again.
#[tokio::test]
async fn commits_see_those_before_them_however_often_they_run() {
    let store = memory(SCHEMA);
    commit(&store, vec![insert("c", doc! { "_id": "n", "used": 0 }), insert("c", doc! { "_id": 1, "name": "taken" })])
        .await
        .unwrap();
    let take = || Commit {
        writes: vec![with(
            update("c", doc! { "_id": "n", "used": { "$lt": 3 } }, doc! { "$inc": { "used": 1 } }),
            &["must_match"],
        )],
        events: vec![event("taken", "k")],
    };
    let bad = Commit {
        writes: vec![insert("c", doc! { "_id": 2 }), insert("c", doc! { "_id": 3, "name": "taken" })],
        events: Vec::new(),
    };
    let answers = together(&store, vec![take(), take(), bad, take(), take()]).await;
    let done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, true, false]);
    assert_eq!(answers[4], Err(Error::Unmet(0)));
    assert_eq!(find(&store, "c", doc! { "_id": "n" }).await, [doc! { "_id": "n", "used": 3 }]);
    assert_eq!(events(&store).await, ["taken", "taken", "taken"]);
}
