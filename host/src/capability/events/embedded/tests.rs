use std::collections::BTreeMap;

use super::*;
use crate::capability::documents::{Commit, Documents, Location, Schema};

fn store() -> Embedded {
    let topics = BTreeMap::from([("things".to_owned(), 4)]);
    Embedded::open(Location::Memory, &Schema::default(), &topics).unwrap()
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

async fn append_all(store: &Embedded, events: Vec<Event>) -> Result<(), documents::Error> {
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
    assert!(matches!(log.ends("other").await, Err(Error::Invalid(_))));
    assert!(matches!(log.read("things", 4, 0, 1).await, Err(Error::Invalid(_))));
    assert!(matches!(log.committed("g", "other", 0).await, Err(Error::Invalid(_))));
    assert!(matches!(log.commit_offset("g", "things", 9, 0).await, Err(Error::Invalid(_))));
    assert!(matches!(log.commit_offset("g", "things", 0, u64::MAX).await, Err(Error::Invalid(_))));
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
    assert_eq!(log.ends("things").await.unwrap().iter().sum::<u64>(), 50);
}

#[tokio::test]
async fn groups_remember_their_own_offsets() {
    let log = store().event_log();
    assert_eq!(log.committed("g", "things", 0).await, Ok(0));
    log.commit_offset("g", "things", 0, 7).await.unwrap();
    log.commit_offset("h", "things", 0, 9).await.unwrap();
    assert_eq!(log.committed("g", "things", 0).await, Ok(7));
    // A replay goes back.
    log.commit_offset("g", "things", 0, 2).await.unwrap();
    assert_eq!(log.committed("g", "things", 0).await, Ok(2));
    assert_eq!(log.committed("g", "things", 1).await, Ok(0));
}
