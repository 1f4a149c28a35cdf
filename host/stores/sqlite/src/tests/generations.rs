//! Generations of components' effects of events, on documents in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};
use capability::documents::{Collection, Commit, Documents, Filter, Schema, Write};
use capability::generations::{COLLECTION, Generation, Generations, Refusal, group, slot};

use crate::{Location, Sqlite};

const NOW: u64 = 1_768_478_400_000;

fn store() -> Arc<Sqlite> {
    let names = [COLLECTION, "counts", "counts-b"];
    let collections = names.map(|name| (name.to_owned(), Collection::default())).into();
    Arc::new(Sqlite::open(Location::Memory, &Schema { collections }, &BTreeMap::new()).unwrap())
}

async fn put(store: &Sqlite, collection: &str, count: i32) {
    let insert = |id: i32| Write::Insert {
        collection: collection.to_owned(),
        document: RawDocumentBuf::try_from(&doc! { "_id": id }).unwrap(),
    };
    store.commit(Commit { writes: (0..count).map(insert).collect(), events: Vec::new() }).await.unwrap();
}

async fn count(store: &Sqlite, collection: &str) -> u64 {
    store.count(collection, Filter::from_document(&doc! {}).unwrap(), 0).await.unwrap()
}

#[tokio::test]
async fn a_generation_begins_with_nothing_and_is_read_when_it_is_switched_to() {
    let store = store();
    let (one, other) = (Generations::new(store.clone()), Generations::new(store.clone()));
    put(&store, "counts", 3).await;
    put(&store, "counts-b", 1_500).await;
    assert_eq!(one.begin("c", &["counts"], NOW).await.unwrap(), 1);
    assert_eq!((count(&store, "counts").await, count(&store, "counts-b").await), (3, 0));
    assert!(matches!(other.begin("c", &["counts"], NOW).await, Err(Refusal::Conflict(_))));
    assert_eq!(other.of("c"), Generation { serving: 0, building: Some(1) });
    assert!(other.switch("c", 1, NOW).await.unwrap());
    assert!(!one.switch("c", 1, NOW).await.unwrap());
    assert_eq!(one.of("c"), Generation { serving: 1, building: None });
    assert_eq!((slot("counts", 1), group("c", 1)), ("counts-b".to_owned(), "c~1".to_owned()));
    // Other hosts may still write to the slot that was served until the switch.
    assert!(matches!(one.begin("c", &["counts"], NOW + 9_999).await, Err(Refusal::Conflict(_))));
    assert_eq!(one.begin("c", &["counts"], NOW + 10_000).await.unwrap(), 2);
    assert_eq!(count(&store, "counts").await, 0);
}

#[tokio::test]
async fn a_host_that_dies_while_it_clears_leaves_what_another_can_begin() {
    let store = store();
    let (dead, other) = (Generations::new(store.clone()), Generations::new(store.clone()));
    put(&store, "counts-b", 5).await;
    let mine = ObjectId::new();
    dead.claim("c", 0, mine, NOW).await.unwrap();
    other.look().await.unwrap();
    assert_eq!(other.of("c"), Generation::default(), "nobody is told to a slot that is not empty");
    assert_eq!(other.begin("c", &["counts"], NOW).await.unwrap(), 1);
    put(&store, "counts-b", 2).await;
    assert!(matches!(dead.clear("c", mine, "counts-b").await, Err(Refusal::Conflict(_))), "it was not dead");
    assert_eq!(count(&store, "counts-b").await, 2);
}
