//! The log of events, in the same file as the documents.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event_log::MAX_READ_BYTES;
use crate::{Location, Sqlite};
use capability::documents::{self, Commit, Documents, Schema};
use capability::events::{DEAD_LETTERS, Error, Event, EventLog, Log, MAX_VALUE, Record, Start, partition};

fn store() -> Sqlite {
    let topics = BTreeMap::from([("things".to_owned(), 4)]);
    Sqlite::open(Location::Memory, &Schema::default(), &topics).unwrap()
}

fn event(key: &str, value: Vec<u8>) -> Event {
    Event {
        id: "e".to_owned(),
        topic: "things".to_owned(),
        key: key.to_owned(),
        kind: "made".to_owned(),
        value,
        headers: vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
        at: u64::MAX,
    }
}

async fn append_all(store: &Sqlite, events: Vec<Event>) -> Result<(), documents::Error> {
    store.commit(Commit { writes: Vec::new(), events }).await.map(drop)
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let store = store();
    let events = vec![event("k", vec![1, 0, 255]), event("k", Vec::new()), event("", vec![7; MAX_VALUE])];
    append_all(&store, events.clone()).await.unwrap();
    let log = store.event_log();
    let home = partition("k", 4);
    let records = log.read("things", home, 0, 10).await.unwrap();
    let wanted = |offset: usize| Record { partition: home, offset: offset as u64, event: events[offset].clone() };
    assert_eq!(records[..2], [wanted(0), wanted(1)]);
    assert_eq!(log.read("things", home, 1, 1).await.unwrap(), [wanted(1)]);
    assert!(log.read("things", home, 0, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_known_or_too_large_is_refused() {
    let store = store();
    let refused = |answer: Result<(), documents::Error>| assert!(matches!(answer, Err(documents::Error::Invalid(_))));
    refused(append_all(&store, vec![event("k", vec![0; MAX_VALUE + 1])]).await);
    refused(append_all(&store, vec![Event { topic: "other".to_owned(), ..event("k", vec![]) }]).await);
    let log = store.event_log();
    assert!(matches!(log.end_offsets("other").await, Err(Error::Invalid(_))));
    assert!(matches!(log.read("things", 4, 0, 1).await, Err(Error::Invalid(_))));
    assert!(matches!(log.committed("g", "other").await, Err(Error::Invalid(_))));
    let topics = ["other".to_owned()];
    assert!(matches!(log.subscribe("g", &topics, Start::Latest).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn large_events_are_read_in_parts() {
    let store = store();
    append_all(&store, vec![event("k", vec![0; MAX_VALUE]); 50]).await.unwrap();
    let (log, home) = (store.event_log(), partition("k", 4));
    let mut offset = 0;
    while offset < 50 {
        let part = log.read("things", home, offset, 1_000).await.unwrap();
        assert!(!part.is_empty() && part.len() * MAX_VALUE <= MAX_READ_BYTES);
        offset += part.len() as u64;
    }
    assert_eq!(log.end_offsets("things").await.unwrap().iter().sum::<u64>(), 50);
}

#[tokio::test]
async fn a_log_by_itself_takes_what_is_not_refused() {
    let log = store().event_log();
    let bad = Event { topic: "other".to_owned(), ..event("bad", vec![]) };
    let events = vec![event("k", vec![1]), bad, event("bad", vec![2]), event("k", vec![3])];
    let answers = log.append(events, Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(log.end_offsets("things").await.unwrap().iter().sum::<u64>(), 2);
    let late = log.append(vec![event("k", vec![4])], Instant::now()).await;
    assert!(matches!(late[..], [Ok(()) | Err(Error::Unavailable(_))]));
    let mut dead = event("k", vec![5]);
    dead.topic.push_str(DEAD_LETTERS);
    assert_eq!(log.append(vec![dead], Instant::now() + Duration::from_secs(5)).await, [Ok(())]);
    assert_eq!(log.end_offsets("things.dlq").await.unwrap().iter().sum::<u64>(), 1);
}
