//! The cases of a log of events. Each has topics of its own, so that any number of them may share a server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use capability::documents::Schema;
use capability::events::{
    Error, Event, EventLog, Log, MAX_VALUE, Next, Record, Start, Subscription, TopicPartition, partition,
};
use store_kafka::{Kafka, KafkaOptions};
use store_sqlite::{Location, Sqlite};

/// No case waits longer for something that has to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The topic of most cases, and its partitions.
const THINGS: &str = "things";
const PARTITIONS: u32 = 4;

/// The topics of the cases.
pub fn topics() -> BTreeMap<String, u32> {
    BTreeMap::from([(THINGS.to_owned(), PARTITIONS), ("more".to_owned(), 1)])
}

/// A log under test: its two sides.
pub struct Subject {
    log: Arc<dyn Log>,
    events: Arc<dyn EventLog>,
}

impl Subject {
    /// The embedded engine.
    pub fn embedded() -> Self {
        let log = Sqlite::open(Location::Memory, &Schema::default(), &topics()).unwrap().event_log();
        Self { log: Arc::new(log.clone()), events: Arc::new(log) }
    }

    /// A Kafka, with topics of this subject's own.
    pub fn kafka(brokers: &str) -> Self {
        let kafka = Arc::new(open_kafka(brokers));
        Self { log: kafka.clone(), events: kafka }
    }

    async fn append(&self, events: &[Event]) {
        append(self.log.as_ref(), events).await;
    }

    async fn subscribe(&self, start: Start) -> Box<dyn Subscription> {
        self.events.subscribe("group", &[THINGS.to_owned()], start).await.unwrap()
    }

    /// All records of a topic, by partition and offset.
    async fn all(&self, topic: &str) -> Vec<Record> {
        all(self.events.as_ref(), topic).await
    }
}

/// A Kafka at these brokers with topics and groups that nobody else has.
pub fn open_kafka(brokers: &str) -> Kafka {
    Kafka::open(own_names(brokers), &topics()).unwrap()
}

/// Names for topics and groups that nobody else has.
pub fn own_names(brokers: &str) -> KafkaOptions {
    let own = capability::random::bytes::<8>().map(|byte| format!("{byte:02x}")).concat();
    KafkaOptions {
        topic_prefix: format!("conformance-{own}."),
        group_prefix: format!("conformance-{own}"),
        ..KafkaOptions::new(brokers)
    }
}

/// Appends events and waits until the log takes them.
pub async fn append(log: &dyn Log, events: &[Event]) {
    let begun = Instant::now();
    while let Err(error) = log.answers().await {
        assert!(begun.elapsed() < PATIENCE, "the log does not answer: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for answer in log.append(events.to_vec(), Instant::now() + PATIENCE).await {
        answer.unwrap();
    }
}

/// All records of a topic, by partition and offset.
pub async fn all(events: &dyn EventLog, topic: &str) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    for (partition, end) in (0..).zip(events.end_offsets(topic).await.unwrap()) {
        let mut offset = 0;
        while offset < end {
            let part = events.read(topic, partition, offset, 1_000).await.unwrap();
            offset = part.last().expect("there are records before the end").offset + 1;
            all.extend(part);
        }
    }
    all
}

/// An event of a key with its number as the value.
pub fn event(key: &str, number: u32) -> Event {
    Event {
        id: format!("{key}-{number}"),
        topic: THINGS.to_owned(),
        key: key.to_owned(),
        kind: "made".to_owned(),
        value: number.to_string().into_bytes(),
        headers: vec![("schema-version".to_owned(), "1".to_owned())],
        at: now() + u64::from(number),
    }
}

/// The time at which these cases began: a broker may throw away what is said to be old.
fn now() -> u64 {
    static NOW: OnceLock<u64> = OnceLock::new();
    let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    *NOW.get_or_init(|| u64::try_from(since()).unwrap())
}

/// A key for every partition.
fn keys() -> Vec<String> {
    let key = |wanted| (0..).map(|number: u32| format!("k{number}")).find(|key| partition(key, PARTITIONS) == wanted);
    (0..PARTITIONS).filter_map(key).collect()
}

async fn next(member: &dyn Subscription) -> Next {
    let next = tokio::time::timeout(PATIENCE, member.next()).await;
    next.expect("something has to be told").unwrap()
}

/// What a member is told until it has been told this many records.
async fn told(member: &dyn Subscription, count: usize) -> Vec<Record> {
    let mut told = Vec::new();
    while told.len() < count {
        if let Next::Records(place, records) = next(member).await {
            assert!(records.iter().all(|record| record.partition == place.partition));
            assert!(records.is_sorted_by_key(|record| record.offset), "{records:?}");
            told.extend(records);
        }
    }
    told
}

/// Finishes all of these records.
async fn finish(member: &dyn Subscription, records: &[Record]) {
    let mut ends = BTreeMap::new();
    for record in records {
        let end = ends.entry(record.partition).or_insert(0);
        *end = record.offset.max(*end);
    }
    for (partition, last) in ends {
        assert_eq!(member.commit(&place(partition), last + 1).await, Ok(true));
    }
}

fn place(partition: u32) -> TopicPartition {
    TopicPartition { topic: THINGS.to_owned(), partition }
}

fn ids(records: &[Record]) -> BTreeSet<&str> {
    records.iter().map(|record| record.event.id.as_str()).collect()
}

fn is_invalid<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Invalid(_)))
}

/// An event comes out as it went in: names that are there twice, bytes that are no text, nothing at all, and as much as
/// is allowed.
pub async fn what_goes_in_comes_out(subject: &Subject) {
    let headers = [("a", "1"), ("event-id", "not the id"), ("a", "2"), ("empty", ""), ("ü", "é")];
    let odd = Event {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        value: vec![0, 255, 1],
        ..event("k", 1)
    };
    let empty = Event { value: Vec::new(), headers: Vec::new(), at: 1, ..event("k", 2) };
    let future = Event { at: 4_102_444_800_000, value: vec![7; MAX_VALUE], ..event("k", 3) };
    let other = Event { topic: "more".to_owned(), key: String::new(), ..event("k", 4) };
    let dead = Event { topic: "more.dlq".to_owned(), ..event("k", 5) };
    subject.append(&[odd.clone(), empty.clone(), future.clone(), other.clone(), dead.clone()]).await;
    let events = |records: Vec<Record>| records.into_iter().map(|record| record.event).collect::<Vec<_>>();
    assert_eq!(events(subject.all(THINGS).await), [odd, empty, future]);
    assert_eq!(events(subject.all("more").await), [other]);
    assert_eq!(events(subject.all("more.dlq").await), [dead]);
}

/// A key has one partition, the same on every engine, and its events keep their order there.
pub async fn a_key_keeps_its_order_in_its_partition(subject: &Subject) {
    let keys: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    for batch in 0..5 {
        let events = (0..20).flat_map(|step| keys.iter().map(move |key| event(key, batch * 20 + step)));
        subject.append(&events.collect::<Vec<_>>()).await;
    }
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for record in subject.all(THINGS).await {
        let key = &record.event.key;
        assert_eq!(record.partition, partition(key, PARTITIONS), "{key}");
        let expected = next.entry(key.clone()).or_default();
        assert_eq!(record.event, event(key, *expected));
        *expected += 1;
    }
    assert_eq!(next, keys.into_iter().map(|key| (key, 100)).collect());
}

/// A look behind the end finds nothing; one at what the application does not have is refused.
pub async fn looks_stay_within_what_is_there(subject: &Subject) {
    subject.append(&[event("k", 0)]).await;
    let home = partition("k", PARTITIONS);
    let ends = subject.events.end_offsets(THINGS).await.unwrap();
    assert_eq!(ends, (0..PARTITIONS).map(|number| u64::from(number == home)).collect::<Vec<_>>());
    for (offset, max) in [(1, 10), (1_000, 10), (u64::MAX, 10), (0, 0)] {
        assert_eq!(subject.events.read(THINGS, home, offset, max).await, Ok(Vec::new()), "from {offset} at most {max}");
    }
    assert!(is_invalid(subject.events.read(THINGS, PARTITIONS, 0, 1).await));
    assert!(is_invalid(subject.events.read("other", 0, 0, 1).await));
    assert!(is_invalid(subject.events.end_offsets("other").await));
    assert!(is_invalid(subject.events.committed("group", "other").await));
    assert!(is_invalid(subject.events.subscribe("group", &["other".to_owned()], Start::Latest).await.map(drop)));
    let unknown = Event { topic: "other".to_owned(), ..event("k", 1) };
    let answers = subject.log.append(vec![unknown], Instant::now() + PATIENCE).await;
    assert!(answers.len() == 1 && answers.iter().all(Result::is_err), "{answers:?}");
}

/// What a group has finished is not told again; what it had only been told is.
pub async fn a_group_goes_on_behind_what_it_finished(subject: &Subject) {
    let keys = keys();
    subject.append(&keys.iter().flat_map(|key| (0..10).map(|number| event(key, number))).collect::<Vec<_>>()).await;
    let member = subject.subscribe(Start::Earliest).await;
    assert_eq!(ids(&told(member.as_ref(), 40).await).len(), 40);
    for partition in 0..PARTITIONS {
        assert_eq!(member.commit(&place(partition), u64::from(partition)).await, Ok(true));
    }
    // An older one changes nothing.
    assert_eq!(member.commit(&place(3), 1).await, Ok(true));
    member.close().await;
    assert!(matches!(member.next().await, Err(Error::Unavailable(_))));
    let committed = subject.events.committed("group", THINGS).await.unwrap();
    assert_eq!(committed, (0..4).map(Some).collect::<Vec<_>>());

    let member = subject.subscribe(Start::Latest).await;
    let again = told(member.as_ref(), 40 - (1 + 2 + 3)).await;
    for (partition, key) in (0..).zip(&keys) {
        let told: Vec<Record> = again.iter().filter(|record| record.partition == partition).cloned().collect();
        let expected: Vec<Event> = (partition..10).map(|number| event(key, number)).collect();
        assert_eq!(told.into_iter().map(|record| record.event).collect::<Vec<_>>(), expected);
    }
    finish(member.as_ref(), &again).await;
    assert_eq!(subject.events.committed("group", THINGS).await.unwrap(), [Some(10); 4]);
    // Another group is told all of it.
    let other = subject.events.subscribe("other", &[THINGS.to_owned()], Start::Earliest).await.unwrap();
    assert_eq!(told(other.as_ref(), 40).await.len(), 40);
}

/// A group that begins at the latest is not told what was there before, and keeps to its beginning also when nobody of it
/// is there.
pub async fn a_group_begins_where_it_said(subject: &Subject) {
    let keys = keys();
    subject.append(&keys.iter().map(|key| event(key, 0)).collect::<Vec<_>>()).await;
    let member = subject.subscribe(Start::Latest).await;
    let begun = Instant::now();
    while subject.events.committed("group", THINGS).await.unwrap() != [Some(1); 4] {
        assert!(begun.elapsed() < PATIENCE, "it does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(member);
    subject.append(&keys.iter().map(|key| event(key, 1)).collect::<Vec<_>>()).await;
    let member = subject.subscribe(Start::Latest).await;
    let records = told(member.as_ref(), 4).await;
    assert_eq!(
        ids(&records),
        keys.iter().map(|key| format!("{key}-1")).collect::<Vec<_>>().iter().map(|id| &**id).collect()
    );
}

/// Nothing is finished that was not told, and nobody finishes what is not theirs.
pub async fn only_what_was_told_can_be_finished(subject: &Subject) {
    let key = &keys()[0];
    subject.append(&[event(key, 0), event(key, 1)]).await;
    let member = subject.subscribe(Start::Earliest).await;
    assert_eq!(told(member.as_ref(), 2).await.len(), 2);
    assert!(is_invalid(member.commit(&place(0), 3).await));
    assert_eq!(member.commit(&place(1), 0).await, Ok(false), "nothing of it was told");
    assert_eq!(member.commit(&place(PARTITIONS), 0).await, Ok(false));
    assert_eq!(member.commit(&place(0), 2).await, Ok(true));
    assert_eq!(subject.events.committed("group", THINGS).await.unwrap()[0], Some(2));
    member.close().await;
    assert!(matches!(member.commit(&place(0), 2).await, Ok(false) | Err(Error::Unavailable(_))));
}

/// A paused partition says nothing until it is resumed; the others go on.
pub async fn a_paused_partition_waits(subject: &Subject) {
    let keys = keys();
    subject.append(&keys.iter().map(|key| event(key, 0)).collect::<Vec<_>>()).await;
    let member = subject.subscribe(Start::Earliest).await;
    assert_eq!(told(member.as_ref(), 4).await.len(), 4);
    member.pause(&place(2));
    for number in 1..4 {
        subject.append(&keys.iter().map(|key| event(key, number)).collect::<Vec<_>>()).await;
        let others = told(member.as_ref(), 3).await;
        assert!(others.len() == 3 && others.iter().all(|record| record.partition != 2), "{others:?}");
    }
    member.resume(&place(2));
    let rest: Vec<Event> = told(member.as_ref(), 3).await.into_iter().map(|record| record.event).collect();
    assert_eq!(rest, (1..4).map(|number| event(&keys[2], number)).collect::<Vec<_>>());
}

/// Two members have different partitions; who goes leaves them to the other, with all that was not finished.
pub async fn members_share_and_take_over(subject: &Subject) {
    let keys = keys();
    let first = subject.subscribe(Start::Earliest).await;
    subject.append(&keys.iter().map(|key| event(key, 0)).collect::<Vec<_>>()).await;
    let begun = told(first.as_ref(), 4).await;
    finish(first.as_ref(), &begun).await;
    let second = subject.subscribe(Start::Earliest).await;
    let taken = tokio::time::timeout(PATIENCE, async {
        loop {
            match first.next().await.unwrap() {
                Next::Revoked(taken) => return taken,
                Next::Records(..) | Next::Skipped(..) => {}
            }
        }
    });
    let taken: BTreeSet<u32> = taken.await.expect("some are taken").iter().map(|place| place.partition).collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    for partition in &taken {
        assert_eq!(first.commit(&place(*partition), 1).await, Ok(false));
    }
    subject.append(&keys.iter().map(|key| event(key, 1)).collect::<Vec<_>>()).await;
    let (mine, theirs) = tokio::join!(told(first.as_ref(), 2), told(second.as_ref(), 2));
    assert!(mine.iter().all(|record| !taken.contains(&record.partition)), "{mine:?}");
    assert!(theirs.iter().all(|record| taken.contains(&record.partition)), "{theirs:?}");
    assert!(mine.iter().chain(&theirs).all(|record| record.event.id.ends_with("-1")));
    // One of the first member's two is not finished.
    finish(first.as_ref(), &mine[..1]).await;
    finish(second.as_ref(), &theirs).await;
    first.close().await;
    let again = told(second.as_ref(), 1).await;
    assert_eq!(ids(&again), ids(&mine[1..]));
    subject.append(&keys.iter().map(|key| event(key, 2)).collect::<Vec<_>>()).await;
    assert_eq!(told(second.as_ref(), 4).await.len(), 4);
}

/// More than a member takes at once comes in parts, all of it in order.
pub async fn much_comes_in_parts(subject: &Subject) {
    let large = |number| Event { value: vec![1; 20_000], ..event("k", number) };
    for part in 0..4 {
        subject.append(&(part * 500..(part + 1) * 500).map(large).collect::<Vec<_>>()).await;
    }
    let begun = Instant::now();
    let member = subject.subscribe(Start::Earliest).await;
    let mut count = 0;
    while count < 2_000 {
        let Next::Records(place, records) = next(member.as_ref()).await else { continue };
        let bytes: usize = records.iter().map(|record| record.event.value.len()).sum();
        assert!(bytes <= 16 << 20, "{} records", records.len());
        for record in &records {
            assert_eq!(record.event.id, format!("k-{count}"));
            count += 1;
        }
        assert_eq!(member.commit(&place, records[0].offset).await, Ok(true));
    }
    eprintln!("{count} records of 20 kB in {:?}", begun.elapsed());
}
