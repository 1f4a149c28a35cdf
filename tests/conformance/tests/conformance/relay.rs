//! The relay, from the outbox of an embedded store into a real Kafka and into an embedded log of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use capability::documents::{Commit, Documents as _, Schema};
use capability::events::{Event, EventLog, Health, Log, Outbox as _, Relay, RelayOptions, SHARDS};
use conformance::events::{all, event, open_kafka, own_names, topics};
use conformance::racing::Race;
use conformance::servers;
use store_kafka::Kafka;
use store_sqlite::{Location, Sqlite};

const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> RelayOptions {
    RelayOptions { lease: Duration::from_secs(2), ..RelayOptions::default() }
}

async fn brokers() -> Option<String> {
    tokio::task::spawn_blocking(servers::kafka_brokers).await.unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn relay(race: &Race, log: &Arc<impl Log>) -> Relay {
    Relay::start(Arc::new(race.store().outbox()), log.clone(), options())
}

async fn race_into(log: Arc<impl Log + EventLog>) {
    let folder = tempfile::tempdir().unwrap();
    let race = Race::open(folder.path(), 5).await;
    let relay = relay(&race, &log);
    let begun = Instant::now();
    race.run(8, 500).await;
    eprintln!("4,000 commits by 8 writers in {:?}", begun.elapsed());
    race.until_moved(PATIENCE).await;
    eprintln!("moved {:?} after the first", begun.elapsed());
    assert_eq!(race.check(&all(log.as_ref(), "things").await), 0, "nothing went wrong, so nothing is there twice");
    let status = relay.status();
    assert_eq!((status.log, status.moved), (Health::Up, 4_000));
    relay.stop().await;
    assert_eq!(race.store().outbox().holders().await, Ok(0), "a relay that stops gives its leases back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_commits_keep_their_order_on_the_way_to_kafka() {
    if let Some(brokers) = brokers().await {
        race_into(Arc::new(open_kafka(&brokers))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_commits_keep_their_order_on_the_way_to_an_embedded_log() {
    let store = Sqlite::open(Location::Memory, &Schema::default(), &topics()).unwrap();
    race_into(Arc::new(store.event_log())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_is_taken_over_from() {
    let Some(brokers) = brokers().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let race = Race::open(folder.path(), 40).await;
    // Two hosts, so two clients of Kafka.
    let names = own_names(&brokers);
    let open = || Arc::new(Kafka::open(names.clone(), &topics()).unwrap());
    let (log, other) = (open(), open());
    let (staying, dying) = (relay(&race, &log), relay(&race, &other));
    until("both have their share", || [&staying, &dying].iter().all(|relay| relay.status().shards == SHARDS / 2)).await;
    let writers = race.clone();
    let writing = tokio::spawn(async move { writers.run(8, 500).await });
    until("both move events", || [&staying, &dying].iter().all(|relay| relay.status().moved > 200)).await;
    drop(dying);
    writing.await.unwrap();
    race.until_moved(PATIENCE).await;
    eprintln!("there again after a takeover: {}", race.check(&all(log.as_ref(), "things").await));
    staying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_moved_quickly() {
    let Some(brokers) = brokers().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let race = Race::open(folder.path(), 0).await;
    for batch in 0..200 {
        let events = (0..100).map(|key| event(&format!("user-{key}"), batch)).collect();
        race.store().commit(Commit { writes: Vec::new(), events }).await.unwrap();
    }
    let log = Arc::new(open_kafka(&brokers));
    until_answers(log.as_ref()).await;
    let begun = Instant::now();
    let relay = relay(&race, &log);
    race.until_moved(PATIENCE).await;
    let took = begun.elapsed();
    eprintln!("a backlog of 20,000 events in {took:?}: {:.0} a second", 20_000.0 / took.as_secs_f64());
    assert!(took < Duration::from_secs(20), "{took:?}");
    relay.stop().await;
    assert_eq!(all(log.as_ref(), "things").await.len(), 20_000);
}

async fn until_answers(log: &impl Log) {
    let begun = Instant::now();
    while let Err(error) = log.answers().await {
        assert!(begun.elapsed() < PATIENCE, "Kafka does not answer: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_whose_topic_is_gone_slow_nobody_and_come_back_with_it() {
    const GONE: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let both = topics().into_iter().chain([("gone".to_owned(), 1)]).collect();
    let open = |topics: &BTreeMap<String, u32>| {
        let location = Location::Folder(folder.path().to_owned());
        Sqlite::open_with_outbox(location, &Schema::default(), topics).unwrap()
    };
    let commit = async |store: &Sqlite, topic: &str, number: u32| {
        // Of the same keys, so that they are in the same shards.
        let event = Event { topic: topic.to_owned(), ..event(&format!("user-{}", number % GONE), number) };
        store.commit(Commit { writes: Vec::new(), events: vec![event] }).await.unwrap();
    };
    let store = open(&both);
    for number in 0..GONE {
        commit(&store, "gone", number).await;
    }
    drop(store);
    let store = open(&topics());
    let log = Arc::new(Sqlite::open(Location::Memory, &Schema::default(), &topics()).unwrap().event_log());
    let relay = Relay::start(Arc::new(store.outbox()), log.clone(), options());
    let begun = Instant::now();
    for number in 0..60 {
        commit(&store, "things", number).await;
        // One at a time: each would wait for the shard.
        while store.outbox().count().await.unwrap() > u64::from(GONE) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{number} events in {:?}", begun.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    relay.stop().await;
    assert_eq!(all(log.as_ref(), "things").await.len(), 60);
    drop((store, relay));
    let (store, log) =
        (open(&both), Arc::new(Sqlite::open(Location::Memory, &Schema::default(), &both).unwrap().event_log()));
    let relay = Relay::start(Arc::new(store.outbox()), log.clone(), options());
    while store.outbox().count().await.unwrap() > 0 {
        assert!(begun.elapsed() < PATIENCE, "they do not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.stop().await;
    assert_eq!(all(log.as_ref(), "gone").await.len(), GONE as usize);
}
