//! A Kafka that is not there yet, freezes, dies and comes back: commits go on, and everything arrives afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use capability::events::{EventLog, Health, Log, Next, Relay, RelayOptions, Start};
use conformance::events::{all, event, own_names, topics};
use conformance::racing::Race;
use conformance::servers;
use store_kafka::Kafka;
use xtask::stack::{Apart, Server};

const PATIENCE: Duration = Duration::from_secs(60);
/// No commit waits for the log, so none waits longer than a busy disk makes it.
const COMMIT: Duration = Duration::from_secs(5);

/// A broker of this test's own, which it may treat badly.
struct Broker(Apart);

impl Broker {
    /// None where there is no Kafka to test against.
    async fn open(folder: &Path) -> Option<Arc<Self>> {
        // Installs it where it is missing.
        tokio::task::spawn_blocking(servers::kafka_brokers).await.unwrap()?;
        Some(Arc::new(Self(Apart::open(&servers::root(), folder).unwrap())))
    }

    async fn up(self: &Arc<Self>) -> String {
        let broker = Arc::clone(self);
        let up = move || broker.0.up(&[Server::Kafka]).unwrap().of(Server::Kafka).unwrap().to_owned();
        tokio::task::spawn_blocking(up).await.unwrap()
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.pid(Server::Kafka).unwrap().unwrap();
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    }
}

fn relay(race: &Race, log: &Arc<Kafka>) -> Relay {
    let options = RelayOptions { lease: Duration::from_secs(1), ..RelayOptions::default() };
    Relay::start(Arc::new(race.store().outbox()), log.clone(), options)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writers commit in the background while `meanwhile` happens; their commits are all acknowledged soon.
async fn while_writing(race: &Race, commits: usize, meanwhile: impl Future<Output = ()>) {
    let writers = race.clone();
    let writing = tokio::spawn(async move { writers.run(8, commits).await });
    meanwhile.await;
    let longest = writing.await.unwrap();
    assert!(longest < COMMIT, "a commit took {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_while_kafka_is_away_arrives_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::open(&folder.path().join("broker")).await else { return };
    // Its port is known once it was up; what comes next finds it away.
    let address = broker.up().await;
    broker.signal("-KILL");
    let race = Race::open(&folder.path().join("store"), 12).await;
    let log = Arc::new(Kafka::open(own_names(&address), &topics()).unwrap());
    let relay = relay(&race, &log);
    while_writing(&race, 50, async {
        until("it is known to be away", || matches!(relay.status().log, Health::Down { .. })).await;
    })
    .await;
    assert_eq!(relay.status().moved, 0);
    broker.up().await;
    race.until_moved(PATIENCE).await;
    eprintln!("it came later; there again: {}", race.check(&all(log.as_ref(), "things").await));

    let begun = Instant::now();
    while_writing(&race, 300, async {
        let before = relay.status().moved;
        until("some are moved", || relay.status().moved > before + 100).await;
        broker.signal("-KILL");
        until("it is known to be away", || matches!(relay.status().log, Health::Down { .. })).await;
        broker.up().await;
    })
    .await;
    race.until_moved(PATIENCE).await;
    until("it is known to be back", || relay.status().log == Health::Up).await;
    eprintln!(
        "killed, back after {:?}; there again: {}",
        begun.elapsed(),
        race.check(&all(log.as_ref(), "things").await)
    );

    // Longer each time, so that what several tries had sent comes through at once when it goes on.
    for seconds in [1, 3, 6] {
        while_writing(&race, 200, async {
            let before = relay.status().moved;
            until("some are moved", || relay.status().moved > before + 100).await;
            broker.signal("-STOP");
            let frozen = Instant::now();
            until("it is known to be frozen, for long enough", || {
                frozen.elapsed() > Duration::from_secs(seconds) && matches!(relay.status().log, Health::Down { .. })
            })
            .await;
            broker.signal("-CONT");
        })
        .await;
        let begun = Instant::now();
        race.until_moved(PATIENCE).await;
        let again = race.check(&all(log.as_ref(), "things").await);
        eprintln!("frozen for more than {seconds} s, all there {:?} later; there again: {again}", begun.elapsed());
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_begins_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::open(folder.path()).await else { return };
    let address = broker.up().await;
    broker.signal("-KILL");
    let log = Kafka::open(own_names(&address), &topics()).unwrap();
    let member = log.subscribe("group", &["things".to_owned()], Start::Earliest).await.unwrap();
    broker.up().await;
    for number in 0..2 {
        send(&log, number).await;
        let told = tokio::time::timeout(PATIENCE, async {
            loop {
                let Next::Records(place, records) = member.next().await.unwrap() else { continue };
                let last = records.last().unwrap();
                // Offsets are not remembered while the broker comes back; what is not is told again.
                if member.commit(&place, last.offset + 1).await.is_ok() && last.event == event("k", number) {
                    return;
                }
            }
        });
        told.await.unwrap();
        broker.signal("-KILL");
        broker.up().await;
    }
}

/// Until the log has it.
async fn send(log: &Kafka, number: u32) {
    let begun = Instant::now();
    loop {
        let answers = log.append(vec![event("k", number)], Instant::now() + Duration::from_secs(2)).await;
        if answers.iter().all(Result::is_ok) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{answers:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
