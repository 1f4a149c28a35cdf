//! A year of events in the embedded log: it stays as large as what it keeps, loses nothing that a consumer has not finished, and
//! partitions that it gets later are told from their beginning.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::time::Duration;

use capability::documents::{Commit, Documents as _, Schema};
use capability::events::{DEAD_LETTERS, Event, EventLog as _, Next, Record, Start, Subscription, TopicPartition};
use capability::retention::Retention;
use conformance::events::event;
use store_sqlite::{Location, Sqlite};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: u64 = 86_400_000;
const BEGIN: u64 = 1_768_478_400_000;
const THINGS: &str = "things";

fn open(folder: &std::path::Path, partitions: u32) -> Sqlite {
    let topics = BTreeMap::from([(THINGS.to_owned(), partitions)]);
    Sqlite::open(Location::Folder(folder.to_owned()), &Schema::default(), &topics).unwrap()
}

async fn commit(store: &Sqlite, events: Vec<Event>) {
    store.commit(Commit { writes: Vec::new(), events }).await.unwrap();
}

/// So many events of a day, and a dead letter.
fn of_day(day: u64, count: u32) -> Vec<Event> {
    let at = BEGIN + day * DAY;
    let mut events: Vec<Event> =
        (0..count).map(|number| Event { at, ..event(&format!("k{number}"), number) }).collect();
    events.push(Event { at, topic: format!("{THINGS}{DEAD_LETTERS}"), ..event("k", 0) });
    events
}

/// How many events of a topic there are.
async fn kept(store: &Sqlite, topic: &str) -> u64 {
    let bounds = store.event_log().bounds(topic).await.unwrap();
    bounds.into_iter().map(|(oldest, end)| end - oldest).sum()
}

async fn told(member: &dyn Subscription, count: usize) -> Vec<(TopicPartition, Record)> {
    let mut told = Vec::new();
    while told.len() < count {
        let next = tokio::time::timeout(PATIENCE, member.next()).await.expect("something has to be told");
        if let Next::Records(place, records) = next.unwrap() {
            told.extend(records.into_iter().map(|record| (place.clone(), record)));
        }
    }
    told
}

async fn finish(member: &dyn Subscription, told: &[(TopicPartition, Record)]) {
    let ends: BTreeMap<&TopicPartition, u64> = told.iter().map(|(place, record)| (place, record.offset + 1)).collect();
    for (place, end) in ends {
        assert_eq!(member.commit(place, end).await, Ok(true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_of_use_stays_as_large_as_what_is_kept() {
    const A_DAY: u32 = 40;
    let topics = BTreeMap::from([(THINGS.to_owned(), 3)]);
    let store = Sqlite::open(Location::Memory, &Schema::default(), &topics).unwrap();
    let (log, retention) = (store.event_log(), Retention::default());
    let member = log.subscribe("group", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
    let mut deleted = 0;
    for day in 0..365 {
        commit(&store, of_day(day, A_DAY)).await;
        finish(member.as_ref(), &told(member.as_ref(), A_DAY as usize).await).await;
        deleted += log.delete_old(BEGIN + day * DAY, &retention).await.unwrap();
        let (events, letters) = (kept(&store, THINGS).await, kept(&store, "things.dlq").await);
        assert!(events <= 8 * u64::from(A_DAY), "{events} events on day {day}");
        assert!(letters <= 31, "{letters} dead letters on day {day}");
    }
    assert_eq!(deleted, 365 * u64::from(A_DAY + 1) - kept(&store, THINGS).await - kept(&store, "things.dlq").await);
    assert!(kept(&store, THINGS).await >= 7 * u64::from(A_DAY), "what is young enough is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_has_not_finished_stays_until_the_consumer_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, retention) = (open(folder.path(), 1), Retention::default());
    let log = store.event_log();
    let slow = log.subscribe("slow", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
    let quick = log.subscribe("quick", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
    commit(&store, of_day(0, 10)).await;
    finish(quick.as_ref(), &told(quick.as_ref(), 10).await).await;
    let late = BEGIN + 100 * DAY;
    assert_eq!(log.delete_old(late, &retention).await, Ok(1), "the dead letter alone");
    let first = told(slow.as_ref(), 10).await;
    finish(slow.as_ref(), &first[..4]).await;
    assert_eq!(log.delete_old(late, &retention).await, Ok(4));
    assert_eq!(log.bounds(THINGS).await, Ok(vec![(4, 10)]));
    // One that has left comes back: for as long as events are kept, nothing of it is forgotten.
    drop(slow);
    assert_eq!(log.delete_old(late + 7 * DAY, &retention).await, Ok(0));
    let slow = log.subscribe("slow", &[THINGS.to_owned()], Start::Latest).await.unwrap();
    assert_eq!(told(slow.as_ref(), 6).await.len(), 6);
    assert_eq!(log.delete_old(late + 14 * DAY, &retention).await, Ok(0));
    // One that does not come back holds nothing up.
    drop(slow);
    assert_eq!(log.delete_old(late + 21 * DAY + 1, &retention).await, Ok(6));
    assert_eq!(log.bounds(THINGS).await, Ok(vec![(10, 10)]));
    assert_eq!(log.committed("slow", THINGS).await, Ok(vec![None]));
    assert_eq!(log.committed("quick", THINGS).await, Ok(vec![Some(10)]));
    // A group that begins then begins at what is left.
    let new = log.subscribe("new", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
    assert_eq!(log.committed("new", THINGS).await, Ok(vec![Some(10)]));
    commit(&store, of_day(101, 1)).await;
    assert_eq!(told(new.as_ref(), 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_added_later_is_told_from_its_first_event() {
    for start in [Start::Latest, Start::Earliest] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 3);
        drop(store.event_log().subscribe("group", &[THINGS.to_owned()], start).await.unwrap());
        drop(store);
        let store = open(folder.path(), 12);
        // Before the consumer of this start has joined.
        commit(&store, of_day(0, 50)).await;
        let log = store.event_log();
        let member = log.subscribe("group", &[THINGS.to_owned()], start).await.unwrap();
        assert_eq!(told(member.as_ref(), 50).await.len(), 50, "{start:?}");
    }
}
