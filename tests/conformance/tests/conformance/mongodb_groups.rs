//! What commits cost a MongoDB when many come at once, what orders their events across hosts, and how a host is told what others
//! insert.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use capability::documents::{Commit, Documents as _};
use capability::events::{Outbox as _, shard};
use conformance::documents::{event, insert, matching, schema, topics, update};
use conformance::servers;
use mongodb::{Client, Database};
use store_mongodb::MongoDb;

/// How many conversations have a message at the same time.
const CONVERSATIONS: i32 = 20;
const MESSAGES: i32 = 20;

/// A database of a test's own, and its server's client.
struct Scratch {
    uri: String,
    name: String,
    database: Database,
}

impl Scratch {
    async fn new() -> Option<Self> {
        let uri = tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap()?;
        let name = format!("groups{}", ObjectId::new().to_hex());
        let database = Client::with_uri_str(&uri).await.unwrap().database(&name);
        Some(Self { uri, name, database })
    }

    /// The store of one more host.
    async fn host(&self) -> MongoDb {
        let store = MongoDb::open(&self.uri, &self.name, &schema(), &topics()).unwrap();
        store.prepare().await.unwrap();
        store
    }

    /// How many operations of a kind the server has done here since it was told to note them.
    async fn operations(&self, kind: &str) -> u64 {
        let noted = self.database.collection::<Document>("system.profile");
        noted.count_documents(doc! { "op": kind }).await.unwrap()
    }
}

async fn ids(store: &MongoDb, key: &str) -> Vec<String> {
    let waiting = store.waiting(shard(key), 1_000).await.unwrap();
    waiting.into_iter().filter(|waiting| waiting.event.key == key).map(|waiting| waiting.event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_at_once_share_their_transactions() {
    let Some(scratch) = Scratch::new().await else { return };
    let store = scratch.host().await;
    let conversations = (0..CONVERSATIONS).map(|id| insert("plain", doc! { "_id": id, "seq": 0 })).collect();
    store.commit(Commit { writes: conversations, events: Vec::new() }).await.unwrap();
    scratch.database.run_command(doc! { "profile": 2 }).await.unwrap();
    let tasks = (0..CONVERSATIONS).map(|id| {
        let store = store.clone();
        tokio::spawn(async move {
            for seq in 0..MESSAGES {
                let next = update("plain", &doc! { "_id": id, "seq": seq }, &doc! { "$set": { "seq": seq + 1 } });
                let message = insert("plain", doc! { "_id": format!("{id}-{seq}") });
                let events = vec![event(&format!("{id}-{seq}"), &format!("k{id}"))];
                store.commit(Commit { writes: vec![matching(next), message], events }).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    scratch.database.run_command(doc! { "profile": 0 }).await.unwrap();
    let all = u64::try_from(CONVERSATIONS * MESSAGES).unwrap();
    let (reads, inserts) = (scratch.operations("query").await, scratch.operations("insert").await);
    eprintln!("{all} messages: {reads} reads, {inserts} commands of insertions");
    assert!(reads * 2 < all, "a read of {reads} for two messages and more");
    assert!(inserts < all, "two commands of insertions for three messages and more, not {inserts}");
    for id in 0..CONVERSATIONS {
        let wanted: Vec<String> = (0..MESSAGES).map(|seq| format!("{id}-{seq}")).collect();
        assert_eq!(ids(&store, &format!("k{id}")).await, wanted);
    }
    scratch.database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_several_hosts_are_in_the_order_of_their_commits() {
    let Some(scratch) = Scratch::new().await else { return };
    let hosts = [scratch.host().await, scratch.host().await, scratch.host().await];
    // A row of an earlier program, whose lanes were counted.
    let old = doc! {
        "shard": i64::from(shard("k")), "lane": "things/k", "number": 7_i64, "id": "old", "topic": "things", "key": "k",
        "kind": "HAPPENED", "value": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: Vec::new() },
        "headers": Vec::<Bson>::new(), "at": 1_i64,
    };
    scratch.database.collection::<Document>("outbox").insert_one(old).await.unwrap();
    let mut wanted = vec!["old".to_owned()];
    for round in 0..40 {
        // Each is acknowledged before the next begins; they share no document, and nothing tells one host of another.
        let events = ["a", "b"].map(|part| event(&format!("{round}{part}"), "k")).to_vec();
        wanted.extend(events.iter().map(|event| event.id.clone()));
        hosts[round % hosts.len()].commit(Commit { writes: Vec::new(), events }).await.unwrap();
    }
    assert_eq!(ids(&hosts[0], "k").await, wanted);
    scratch.database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_told_what_others_insert() {
    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(30);
    let Some(scratch) = Scratch::new().await else { return };
    let (store, me) = (scratch.host().await, ObjectId::new());
    let mut watch = store.watch("plain", me);
    let insert_by = async |by: ObjectId| {
        let written = insert("plain", doc! { "_id": ObjectId::new(), "by": by });
        store.commit(Commit { writes: vec![written], events: Vec::new() }).await.unwrap();
    };
    let begun = Instant::now();
    // The server may be too busy to open the stream at once; until then the watch polls.
    let is_quiet = loop {
        watch.changed(SOON, LATE).await;
        insert_by(me).await;
        let own = tokio::time::timeout(Duration::from_secs(1), watch.changed(SOON, LATE)).await;
        if own.is_err() || begun.elapsed() > Duration::from_secs(60) {
            break own.is_err();
        }
    };
    assert!(is_quiet, "it is not told what it inserted itself");
    // The wait was given up, so it is opened anew.
    watch.changed(SOON, LATE).await;
    insert_by(ObjectId::new()).await;
    let begun = Instant::now();
    watch.changed(SOON, LATE).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "told after {:?}", begun.elapsed());
    scratch.database.drop().await.unwrap();
}
