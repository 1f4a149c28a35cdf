//! Topics of a Kafka that change under their consumers: partitions are added, a topic is deleted and made anew, another program
//! writes in transactions; and the ways to compress what is written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use capability::events::{EventLog as _, Next, Record, Start, Subscription, TopicPartition};
use conformance::events::{all, append, event, own_names};
use conformance::servers;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use store_kafka::{Compression, Kafka, KafkaOptions};

const PATIENCE: Duration = Duration::from_secs(60);
/// How soon the events of a new partition are told. The client's own setting would be half a minute and more.
const SOON: Duration = Duration::from_secs(25);
const THINGS: &str = "things";

/// A cluster, a log in it with a topic of its own, and another program that knows nothing of our headers.
struct Site {
    names: KafkaOptions,
    log: Kafka,
    admin: AdminClient<DefaultClientContext>,
    topic: String,
}

impl Site {
    /// With so many partitions; none where there is no Kafka to test against.
    async fn open(partitions: u32) -> Option<Self> {
        let brokers = tokio::task::spawn_blocking(servers::kafka_brokers).await.unwrap()?;
        let names = own_names(&brokers);
        let log = Kafka::open(names.clone(), &BTreeMap::from([(THINGS.to_owned(), partitions)])).unwrap();
        let admin = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let topic = format!("{}{THINGS}", names.topic_prefix);
        let site = Self { names, log, admin, topic };
        append(&site.log, &[]).await;
        Some(site)
    }

    /// Joins the group, and waits until it has begun in all partitions.
    async fn subscribe(&self, start: Start) -> Box<dyn Subscription> {
        let member = self.log.subscribe("group", &[THINGS.to_owned()], start).await.unwrap();
        self.until_committed("it does not begin", |committed| committed.iter().all(Option::is_some)).await;
        member
    }

    async fn until_committed(&self, what: &str, holds: impl Fn(&[Option<u64>]) -> bool) {
        let begun = Instant::now();
        loop {
            let committed = self.log.committed("group", THINGS).await;
            if committed.as_ref().is_ok_and(|committed| holds(committed)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {committed:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.names.brokers);
        // By itself it would learn of a partition that was added within five minutes.
        config.set("topic.metadata.refresh.interval.ms", "250");
        settings.iter().for_each(|(name, value)| _ = config.set(*name, *value));
        config.create().unwrap()
    }

    /// Sends a message for each number to a partition.
    async fn send(&self, producer: &FutureProducer, partition: i32, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let (value, begun) = (number.to_string(), Instant::now());
            let record = || FutureRecord::<str, str>::to(&self.topic).partition(partition).key("k").payload(&value);
            // The broker may not know a partition that was just made.
            while let Err((error, _)) = producer.send(record(), PATIENCE).await {
                assert!(begun.elapsed() < PATIENCE, "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Consumes the topic's one partition until these values were told and all before `end` is committed. Something may be told
    /// twice, when the group is rebalanced before its offset is committed.
    async fn consume(&self, member: &dyn Subscription, wanted: std::ops::Range<u32>, end: u64) -> Vec<Record> {
        let (mut all, begun) = (Vec::new(), Instant::now());
        loop {
            let next = tokio::time::timeout(Duration::from_millis(200), member.next()).await;
            if let Ok(Next::Records(place, records)) = next.map_or(Ok(Next::Revoked(Vec::new())), |next| next) {
                drop(member.commit(&place, records.last().unwrap().offset + 1).await);
                all.extend(records);
            }
            let committed = self.log.committed("group", THINGS).await;
            if wanted.clone().all(|value| values(&all).contains(&value)) && committed == Ok(vec![Some(end)]) {
                return all;
            }
            assert!(begun.elapsed() < PATIENCE, "{:?} are told, {committed:?} is committed", values(&all));
        }
    }

    /// Deletes the topic, which has events, and makes it anew; until its broker has the new one.
    async fn remake_topic(&self, partitions: i32) {
        let options = AdminOptions::new();
        let deleted = self.admin.delete_topics(&[&self.topic], &options).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        let begun = Instant::now();
        loop {
            // It is there as long as it is being deleted.
            let topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(-1));
            let made = self.admin.create_topics([&topic], &options).await.unwrap();
            if made.iter().all(Result::is_ok) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{made:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The controller answers before the broker has put the old log away: what is sent until then goes away with it.
        loop {
            let ends = self.log.end_offsets(THINGS).await;
            if ends.as_ref().is_ok_and(|ends| ends.iter().all(|end| *end == 0)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the broker still has the old topic: {ends:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a member is told until it has been told so many records.
async fn told(member: &dyn Subscription, count: usize) -> Vec<Record> {
    let mut told = Vec::new();
    let telling = async {
        while told.len() < count {
            if let Next::Records(_, records) = member.next().await.unwrap() {
                told.extend(records);
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, telling).await;
    assert!(ended.is_ok(), "{} of {count} are told", told.len());
    told
}

/// Commits the offsets after these records; a rebalance may come between.
async fn finish(member: &dyn Subscription, records: &[Record]) {
    let mut ends = BTreeMap::new();
    records.iter().for_each(|record| _ = ends.insert(record.partition, record.offset + 1));
    for (partition, end) in ends {
        assert_eq!(member.commit(&place(partition), end).await, Ok(true));
    }
}

fn place(partition: u32) -> TopicPartition {
    TopicPartition { topic: THINGS.to_owned(), partition }
}

fn values(records: &[Record]) -> BTreeSet<u32> {
    records.iter().map(|record| String::from_utf8_lossy(&record.event.value).parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_partition_that_is_added_later_is_told_soon() {
    for start in [Start::Latest, Start::Earliest] {
        let Some(site) = Site::open(3).await else { return };
        let member = site.subscribe(start).await;
        let answers = site.admin.create_partitions(&[NewPartitions::new(&site.topic, 12)], &AdminOptions::new()).await;
        assert!(answers.unwrap().iter().all(Result::is_ok));
        let begun = Instant::now();
        // Before the consumer has seen that the partition is there, and after.
        let producer = site.producer(&[]);
        for partition in 3_u32..12 {
            site.send(&producer, partition.cast_signed(), partition * 5..partition * 5 + 5).await;
        }
        let records = told(member.as_ref(), 45).await;
        assert_eq!(values(&records), (15..60).collect(), "{start:?}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        finish(member.as_ref(), &records).await;
        let expected: Vec<Option<u64>> = (0..12).map(|partition| Some(if partition < 3 { 0 } else { 5 })).collect();
        site.until_committed("the offsets", |committed| committed == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_topic_that_is_made_anew_is_told_and_committed() {
    for start in [Start::Latest, Start::Earliest] {
        let Some(site) = Site::open(1).await else { return };
        let member = site.subscribe(start).await;
        site.send(&site.producer(&[]), 0, 0..10).await;
        let before = told(member.as_ref(), 10).await;
        finish(member.as_ref(), &before).await;
        site.remake_topic(1).await;
        // Fewer than there were, then more.
        site.send(&site.producer(&[]), 0, 100..105).await;
        let mut after = site.consume(member.as_ref(), 100..105, 5).await;
        site.send(&site.producer(&[]), 0, 105..115).await;
        after.extend(site.consume(member.as_ref(), 105..115, 15).await);
        assert_eq!(values(&after), (100..115).collect());
        let ids =
            |records: &[Record]| -> BTreeSet<String> { records.iter().map(|record| record.event.id.clone()).collect() };
        assert!(ids(&before).is_disjoint(&ids(&after)), "another message at the same position is another event");
        // Whoever is told them again knows them by their ids.
        member.close().await;
        let again = site.log.subscribe("other", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
        assert_eq!(ids(&told(again.as_ref(), 15).await), ids(&after));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_transaction_leaves_is_no_event_and_no_lag() {
    let Some(site) = Site::open(1).await else { return };
    let member = site.subscribe(Start::Earliest).await;
    let producer = site.producer(&[("transactional.id", site.topic.as_str())]);
    let blocking = |work: &dyn Fn() -> rdkafka::error::KafkaResult<()>| tokio::task::block_in_place(work).unwrap();
    blocking(&|| producer.init_transactions(PATIENCE));
    for (numbers, commits) in [(0..3, true), (3..5, false), (5..6, true), (6..8, false)] {
        blocking(&|| producer.begin_transaction());
        site.send(&producer, 0, numbers).await;
        if commits {
            blocking(&|| producer.commit_transaction(PATIENCE));
        } else {
            blocking(&|| producer.abort_transaction(PATIENCE));
        }
    }
    let records = told(member.as_ref(), 4).await;
    assert_eq!(values(&records), BTreeSet::from([0, 1, 2, 5]), "nothing of what was aborted");
    finish(member.as_ref(), &records).await;
    // Eight messages and the ends of four transactions.
    let end = 12;
    assert_eq!(site.log.end_offsets(THINGS).await, Ok(vec![end]));
    let skipped = tokio::time::timeout(PATIENCE, async {
        loop {
            match member.next().await.unwrap() {
                Next::Skipped(_, offset) if offset == end => return,
                Next::Records(_, records) => panic!("{records:?}"),
                Next::Skipped(..) | Next::Revoked(_) => {}
            }
        }
    });
    skipped.await.expect("it is at the end");
    assert_eq!(member.commit(&place(0), end).await, Ok(true));
    site.until_committed("no lag is left", |committed| committed == [Some(end)]).await;
    // Who looks there finds nothing, and does not wait for it.
    let begun = Instant::now();
    assert_eq!(site.log.read(THINGS, 0, end - 1, 10).await, Ok(Vec::new()));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // What comes then is told.
    append(&site.log, &[event("k", 77)]).await;
    assert_eq!(values(&told(member.as_ref(), 1).await), BTreeSet::from([77]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_out_as_they_went_in_however_they_are_compressed() {
    for compression in Compression::ALL {
        let Some(site) = Site::open(2).await else { return };
        let names = KafkaOptions { compression, ..site.names.clone() };
        let log = Kafka::open(names, &BTreeMap::from([(THINGS.to_owned(), 2)])).unwrap();
        let events: Vec<_> = (0..50).map(|number| event("k", number)).collect();
        append(&log, &events).await;
        let found: Vec<_> = all(&log, THINGS).await.into_iter().map(|record| record.event).collect();
        assert_eq!(found, events, "{compression:?}");
    }
}
