use std::sync::Arc;

use bson::doc;
use tokio::sync::Barrier;

use crate::tests::*;

const SCHEMA: &str = "[c]\nindexes = [{ fields = ['name'], unique = true }]";

/// Runs the same thing on many tasks at once.
async fn race<T: Send + 'static>(
    count: usize,
    run: impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>>,
) -> Vec<T> {
    let start = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let (start, work) = (Arc::clone(&start), run(number));
            tokio::spawn(async move {
                start.wait().await;
                work.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn one_of_many_wins_a_unique_value() {
    let store = memory(SCHEMA);
    for round in 0..20 {
        let answers = race(8, |number| {
            let store = store.clone();
            let document = doc! { "_id": format!("{round}-{number}"), "name": round };
            Box::pin(async move { commit(&store, vec![insert("c", document)]).await })
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let duplicate = Err(Error::Duplicate { write: 0, index: "name".to_owned() });
        assert_eq!(answers.iter().filter(|answer| **answer == duplicate).count(), 7);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_counter_never_passes_its_limit() {
    let store = memory(SCHEMA);
    let answers = race(64, |_| {
        let store = store.clone();
        let take = update("c", doc! { "_id": "n", "used": { "$lt": 10 } }, doc! { "$inc": { "used": 1 } });
        Box::pin(async move { commit(&store, vec![with(take, &["upsert"])]).await })
    });
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    let full = Err(Error::Duplicate { write: 0, index: "_id_".to_owned() });
    assert_eq!(answers.iter().filter(|answer| **answer == full).count(), 54);
    assert_eq!(find(&store, "c", doc! {}).await, [doc! { "_id": "n", "used": 10 }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_half_a_commit() {
    let store = memory("[c]");
    commit(&store, vec![insert("c", doc! { "_id": 1, "n": 0 }), insert("c", doc! { "_id": 2, "n": 0 })]).await.unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                let both = with(update("c", doc! {}, doc! { "$inc": { "n": 1 } }), &["many"]);
                commit(&store, vec![both]).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let seen = find(&store, "c", doc! {}).await;
        assert_eq!(seen[0].get("n"), seen[1].get("n"));
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn an_abandoned_commit_is_done_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(Location::Folder(folder.path().to_owned()), &schema("[c]"), &topics()).unwrap();
    let store = open();
    let mut call = Box::pin(commit(&store, vec![insert("c", doc! { "_id": 1 })]));
    // Once polled it is in the queue; then the caller stops waiting.
    assert!(poll_once(&mut call).await.is_pending());
    drop(call);
    drop(store);
    assert_eq!(find(&open(), "c", doc! {}).await.len(), 1);
}

#[tokio::test]
async fn a_panic_undoes_its_commit_and_nothing_else() {
    let store = memory("[c]");
    let bad = store.write(|connection, _| {
        connection.execute_batch("INSERT INTO c_c(id, doc) VALUES (x'01', x'02')").unwrap();
        panic!("on purpose")
    });
    let good = commit(&store, vec![insert("c", doc! { "_id": 1 })]);
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(Error::Unavailable(_))));
    good.unwrap();
    let read = store.read::<()>(|_, _| panic!("on purpose")).await;
    assert!(matches!(read, Err(Error::Unavailable(_))));
    assert_eq!(find(&store, "c", doc! {}).await, [doc! { "_id": 1 }]);
}

#[tokio::test]
async fn reads_pass_one_that_is_slow() {
    let settings = Settings { readers: 2, ..Settings::default() };
    let store = Sqlite::open_with(Location::Memory, &schema("[c]"), &topics(), settings).unwrap();
    commit(&store, vec![insert("c", doc! { "_id": 1 })]).await.unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let slow = tokio::spawn({
        let store = store.clone();
        async move {
            let read = store.read(move |_, _| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                Ok(())
            });
            read.await
        }
    });
    begins.await.unwrap();
    for _ in 0..100 {
        assert_eq!(find(&store, "c", doc! {}).await.len(), 1);
    }
    assert!(!slow.is_finished());
    go.send(()).unwrap();
    slow.await.unwrap().unwrap();
}
