//! What a preparation makes of a database that others have used: indexes by other names, and old documents that clash.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use bson::{Document, doc};
use capability::documents::{Commit, Documents as _, Error};
use conformance::documents::{insert, schema, topics};
use conformance::servers;
use mongodb::{Client, Database};
use store_mongodb::{MongoDb, Report};

/// A database of this test's own, by the driver and by the host.
struct Place {
    database: Database,
    uri: String,
}

impl Place {
    async fn new() -> Option<Self> {
        let uri = tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap()?;
        let name = format!("prepare-{:016x}", rand::random::<u64>());
        Some(Self { database: Client::with_uri_str(&uri).await.unwrap().database(&name), uri })
    }

    fn host(&self) -> MongoDb {
        MongoDb::open(&self.uri, self.database.name(), &schema(), &topics()).unwrap()
    }

    async fn index(&self, index: Document) {
        self.database.run_command(doc! { "createIndexes": "people", "indexes": [index] }).await.unwrap();
    }

    async fn names(&self) -> Vec<String> {
        let mut names = self.database.collection::<Document>("people").list_index_names().await.unwrap();
        names.sort();
        names
    }
}

async fn add(host: &MongoDb, document: Document) -> Result<(), Error> {
    host.commit(Commit { writes: vec![insert("people", document)], events: Vec::new() }).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_by_another_name_counts() {
    let Some(place) = Place::new().await else { return };
    place.index(doc! { "key": { "name": 1.0 }, "name": "name_1", "unique": true, "background": true }).await;
    place.index(doc! { "key": { "other": 1 }, "name": "other_1" }).await;
    let host = place.host();
    assert!(matches!(add(&host, doc! { "_id": 1, "name": "a" }).await, Err(Error::Unavailable(_))), "not prepared yet");
    let report = host.prepare().await.unwrap();
    assert_eq!(report.unmade, []);
    assert!(report.version.starts_with(|first: char| first.is_ascii_digit()) && !report.replica_set.is_empty());
    assert_eq!(place.names().await, ["_id_", "age", "home_town_age", "key", "name_1", "other_1"]);
    add(&host, doc! { "_id": 1, "name": "a" }).await.unwrap();
    let refused = add(&host, doc! { "_id": 2, "name": "a" }).await;
    assert_eq!(refused, Err(Error::Duplicate { write: 0, index: "name".to_owned() }));
    let again = host.prepare().await.unwrap();
    assert_eq!(again, Report { made: Vec::new(), ..report });
    place.database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_documents_that_clash_are_named_and_stay_usable() {
    let Some(place) = Place::new().await else { return };
    let old =
        [doc! { "_id": 7, "name": "same" }, doc! { "_id": 8, "name": "same", "key": 1 }, doc! { "_id": 9, "key": 2 }];
    place.database.collection("people").insert_many(old).await.unwrap();
    // The keys of `age` with other options: that index is somebody else's.
    place.index(doc! { "key": { "age": 1, "_id": 1 }, "name": "age_1__id_1", "sparse": true }).await;
    let host = place.host();
    let report = host.prepare().await.unwrap();
    let clash = report.unmade.iter().find(|unmade| unmade.index == "name").unwrap();
    assert!(clash.collection == "people" && clash.why.contains("`_id` 7 and 8"), "{clash:?}");
    assert!(!clash.why.contains("same\""), "values may be private: {clash:?}");
    assert!(place.names().await.contains(&"name_repeated".to_owned()));
    assert!(report.made.contains(&"people.key".to_owned()), "{report:?}");
    add(&host, doc! { "_id": 1, "name": "same" }).await.unwrap();
    let twice = add(&host, doc! { "_id": 2, "key": 2 }).await;
    assert_eq!(twice, Err(Error::Duplicate { write: 0, index: "key".to_owned() }));
    // Once the old ones are told apart, the next start makes it.
    place.database.collection::<Document>("people").delete_many(doc! { "_id": { "$in": [1, 8] } }).await.unwrap();
    let report = host.prepare().await.unwrap();
    assert!(report.unmade.iter().all(|unmade| unmade.index != "name"), "{report:?}");
    let refused = add(&host, doc! { "_id": 2, "name": "same" }).await;
    assert_eq!(refused, Err(Error::Duplicate { write: 0, index: "name".to_owned() }));
    place.database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_may_prepare_at_once() {
    let Some(place) = Place::new().await else { return };
    let tasks = (0..4).map(|_| {
        let host = place.host();
        tokio::spawn(async move { host.prepare().await })
    });
    for task in tasks.collect::<Vec<_>>() {
        let report = task.await.unwrap().unwrap();
        assert_eq!(report.unmade, []);
    }
    assert_eq!(place.names().await, ["_id_", "age", "home_town_age", "key", "name"]);
    place.database.drop().await.unwrap();
}
