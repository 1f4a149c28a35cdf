//! The outbox: events for another log, in the same file as the documents.

use crate::{Location, Sqlite};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::event_log::MAX_READ_BYTES;
use bson::Bson;
use capability::documents::{Commit, Documents, Schema};
use capability::events::{Event, EventLog, Outbox, SHARDS, Waiting, partition, shard};

fn topics() -> BTreeMap<String, u32> {
    BTreeMap::from([("things".to_owned(), 4)])
}

fn open(folder: &std::path::Path) -> Sqlite {
    Sqlite::open_with_outbox(Location::Folder(folder.to_owned()), &Schema::default(), &topics()).unwrap()
}

fn store() -> Sqlite {
    Sqlite::open_with_outbox(Location::Memory, &Schema::default(), &topics()).unwrap()
}

fn event(key: &str, id: &str, value: Vec<u8>) -> Event {
    let (topic, kind) = ("things".to_owned(), "made".to_owned());
    let headers = vec![("trace".to_owned(), "1".to_owned())];
    Event { id: id.to_owned(), topic, key: key.to_owned(), kind, value, headers, at: 7 }
}

async fn commit(store: &Sqlite, events: Vec<Event>) {
    store.commit(Commit { writes: Vec::new(), events }).await.unwrap();
}

fn ids(waiting: &[Waiting]) -> Vec<&str> {
    waiting.iter().map(|waiting| waiting.event.id.as_str()).collect()
}

#[tokio::test]
async fn what_is_done_does_not_come_back_and_no_row_is_named_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (outbox, home) = (store.outbox(), shard("k"));
    commit(&store, vec![event("k", "1", vec![1]), event("k", "2", Vec::new())]).await;
    outbox.committed().await;
    let first = outbox.waiting(home, 10).await.unwrap();
    assert_eq!(first[0].event, event("k", "1", vec![1]));
    assert_eq!((ids(&first), outbox.count().await), (vec!["1", "2"], Ok(2)));
    let rows: Vec<Bson> = first.iter().map(|waiting| waiting.row.clone()).collect();
    outbox.done(&rows).await.unwrap();
    assert_eq!(outbox.count().await, Ok(0));
    // Nor by a host that starts when the outbox is empty.
    drop((outbox, store));
    let store = open(folder.path());
    commit(&store, vec![event("k", "3", vec![])]).await;
    store.outbox().done(&rows).await.unwrap();
    assert_eq!(ids(&store.outbox().waiting(home, 10).await.unwrap()), ["3"]);
}

#[tokio::test]
async fn a_busy_key_leaves_the_others_their_turn() {
    let store = store();
    let home = shard("busy");
    let others: Vec<String> =
        (0..).map(|number| format!("other{number}")).filter(|key| shard(key) == home).take(3).collect();
    let mut events: Vec<Event> = (0..500).map(|number| event("busy", &format!("busy-{number}"), vec![])).collect();
    events.extend(others.iter().map(|key| event(key, key, vec![])));
    commit(&store, events).await;
    let found = store.outbox().waiting(home, 10).await.unwrap();
    let expected: Vec<String> = (0..7).map(|number| format!("busy-{number}")).chain(others).collect();
    assert_eq!(ids(&found), expected);
}

#[tokio::test]
async fn large_events_come_in_parts() {
    let store = store();
    commit(&store, vec![event("k", "large", vec![0; 256 << 10]); 50]).await;
    let found = store.outbox().waiting(shard("k"), 1_000).await.unwrap();
    assert_eq!(found.len(), MAX_READ_BYTES / (256 << 10));
}

#[tokio::test]
async fn one_holder_at_a_time_has_a_lease_until_it_ends() {
    let outbox = store().outbox();
    let long = Duration::from_secs(60);
    assert_eq!(outbox.lease(1, "a", long).await, Ok(true));
    assert_eq!(outbox.lease(1, "a", long).await, Ok(true));
    assert_eq!(outbox.lease(1, "b", long).await, Ok(false));
    assert_eq!(outbox.lease(SHARDS, "b", long).await, Ok(true));
    assert_eq!(outbox.holders().await, Ok(2));
    outbox.release(1, "b").await.unwrap();
    assert_eq!(outbox.lease(1, "b", long).await, Ok(false));
    outbox.release(1, "a").await.unwrap();
    assert_eq!(outbox.lease(1, "b", Duration::ZERO).await, Ok(true));
    assert_eq!(outbox.lease(1, "a", long).await, Ok(true));
}

#[tokio::test]
async fn without_another_log_what_waits_goes_into_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    commit(&store, (0..10).map(|number| event("k", &number.to_string(), vec![number])).collect()).await;
    assert_eq!(store.event_log().end_offsets("things").await.unwrap().iter().sum::<u64>(), 0);
    drop(store);
    let location = || Location::Folder(folder.path().to_owned());
    // The events stay as long as their topic is not known.
    drop(Sqlite::open(location(), &Schema::default(), &BTreeMap::new()).unwrap());
    let store = Sqlite::open(location(), &Schema::default(), &topics()).unwrap();
    assert_eq!(store.outbox().count().await, Ok(0));
    let records = store.event_log().read("things", partition("k", 4), 0, 100).await.unwrap();
    let values: Vec<Vec<u8>> = records.into_iter().map(|record| record.event.value).collect();
    assert_eq!(values, (0..10).map(|number| vec![number]).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_no_log_takes_is_refused_with_its_commit() {
    let store = store();
    for event in [
        Event { topic: "other".to_owned(), ..event("k", "1", vec![]) },
        event("k", "1", vec![0; capability::events::MAX_VALUE + 1]),
    ] {
        assert!(store.commit(Commit { writes: Vec::new(), events: vec![event] }).await.is_err());
    }
    assert_eq!(store.outbox().count().await, Ok(0));
}
