//! Members of consumer groups know without a query where there is something to read.

use std::collections::BTreeSet;

use capability::events::{EventLog, Next, Record, Subscription, TopicPartition, partition};

use crate::subscription::Member;
use crate::tests::*;

fn member(store: &Sqlite) -> Member {
    let all: BTreeSet<TopicPartition> =
        (0..3).map(|partition| TopicPartition { topic: "things".to_owned(), partition }).collect();
    Member::join(store.clone(), "g", all)
}

/// A key of each partition.
fn keys() -> Vec<String> {
    let key = |wanted: u32| (0..).map(|n| format!("k{n}")).find(|key| partition(key, 3) == wanted).unwrap();
    (0..3).map(key).collect()
}

async fn publish(store: &Sqlite, key: &str) {
    store.commit(Commit { writes: Vec::new(), events: vec![event(key, key)] }).await.unwrap();
}

fn readable(member: &Member) -> Vec<u32> {
    member.readable().unwrap().into_iter().map(|(partition, _)| partition.partition).collect()
}

#[tokio::test]
async fn only_partitions_with_new_records_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(Location::Folder(folder.path().to_owned()), &schema("[c]"), &topics()).unwrap();
    let (store, keys) = (open(), keys());
    let reading = member(&store);
    assert_eq!(readable(&reading), [0; 0], "there was never a record");
    for key in &keys {
        publish(&store, key).await;
    }
    for _ in &keys {
        assert!(matches!(reading.next().await, Ok(Next::Records(_, records)) if records.len() == 1));
    }
    assert_eq!(readable(&reading), [0; 0], "all are delivered");
    publish(&store, &keys[1]).await;
    assert_eq!(readable(&reading), [1]);
    let refused = Commit { writes: vec![insert("nowhere", doc! { "_id": 1 })], events: vec![event("e", &keys[2])] };
    store.commit(refused).await.unwrap_err();
    assert_eq!(readable(&reading), [1]);
    let Ok(Next::Records(place, _)) = reading.next().await else { panic!("nothing is read") };
    assert_eq!(place.partition, 1);
    reading.pause(&place);
    publish(&store, &keys[1]).await;
    assert_eq!(readable(&reading), [0; 0], "it is paused");
    reading.resume(&place);
    assert_eq!(readable(&reading), [1]);
    drop((reading, store));
    // Where the partitions end is known after a restart, and where the group is has to be read once.
    let store = open();
    let reading = member(&store);
    assert_eq!(readable(&reading), [0, 1, 2]);
}

/// What was finished earlier is not delivered again, and is looked for once.
#[tokio::test]
async fn a_partition_without_news_is_read_once() {
    let store = memory("[c]");
    for key in keys() {
        publish(&store, &key).await;
    }
    let log = store.event_log();
    let topics = ["things".to_owned()];
    let latest = log.subscribe("g", &topics, capability::events::Start::Latest).await.unwrap();
    drop(latest);
    let reading = member(&store);
    assert_eq!(readable(&reading), [0, 1, 2]);
    publish(&store, &keys()[2]).await;
    let Ok(Next::Records(place, records)) = reading.next().await else { panic!("nothing is read") };
    assert_eq!((place.partition, records.len(), records[0].offset), (2, 1, 1));
    assert_eq!(readable(&reading), [0; 0]);
}

/// Whatever happens to the commits, and however far behind a consumer is: it gets what is stored, in order, once.
#[tokio::test]
async fn what_comes_from_memory_is_what_is_stored() {
    let store = memory("[c]\nindexes = [{ fields = ['name'], unique = true, where-exists = ['name'] }]");
    let (quick, slow) = (member(&store), store.event_log());
    let slow = slow.subscribe("slow", &["things".to_owned()], capability::events::Start::Earliest).await.unwrap();
    commit(&store, vec![insert("c", doc! { "_id": "first", "name": "taken" })]).await.unwrap();
    let key = &keys()[0];
    let mut delivered = Vec::new();
    for n in 0..400_i32 {
        // Refused commits leave nothing, whether they have changed something or not.
        let name = if n % 7 == 0 { "taken".to_owned() } else { n.to_string() };
        let writes = vec![insert("c", doc! { "_id": -n }), insert("c", doc! { "_id": format!("{n}"), "name": name })];
        let large = Event { value: vec![1; if n % 50 == 1 { 200 << 10 } else { 10 }], ..event(&n.to_string(), key) };
        let done = store.commit(Commit { writes, events: vec![large] }).await;
        assert_eq!(done.is_ok(), n % 7 != 0);
        if done.is_ok() {
            let Ok(Next::Records(_, records)) = quick.next().await else { panic!("nothing is read") };
            delivered.extend(records);
        }
    }
    let log = store.event_log();
    let mut stored: Vec<Record> = Vec::new();
    while let Ok(part) = log.read("things", 0, stored.len() as u64, 1_000).await
        && !part.is_empty()
    {
        stored.extend(part);
    }
    assert_eq!(stored.len(), 342);
    assert_eq!(delivered, stored);
    let mut late = Vec::new();
    while late.len() < stored.len() {
        let Ok(Next::Records(_, records)) = slow.next().await else { panic!("nothing is read") };
        late.extend(records);
    }
    assert_eq!(late, stored);
}

/// The next record of a consumer that keeps up needs no reader: all of them may be busy.
#[tokio::test]
async fn a_consumer_that_keeps_up_needs_no_query() {
    let settings = Settings { readers: 1, ..Settings::default() };
    let store = Sqlite::open_with(Location::Memory, &schema("[c]"), &topics(), settings).unwrap();
    let (reading, key) = (member(&store), &keys()[0]);
    publish(&store, key).await;
    assert!(matches!(reading.next().await, Ok(Next::Records(..))));
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut busy = Box::pin(store.read(move |_, _| {
        wait.recv().unwrap();
        Ok(())
    }));
    assert!(poll_once(&mut busy).await.is_pending());
    for offset in 1..50 {
        publish(&store, key).await;
        let Ok(Next::Records(_, records)) = reading.next().await else { panic!("nothing is read") };
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [offset]);
    }
    go.send(()).unwrap();
    busy.await.unwrap();
}
