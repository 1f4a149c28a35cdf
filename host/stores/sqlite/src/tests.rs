//! Helpers of the store's tests, which use the store as its callers do.

mod behaviour;
mod budget;
mod concurrency;
mod derived;
mod durability;
mod event_log;
mod generations;
mod outbox;
mod planner;
pub(crate) mod prepared;
mod scans;
mod schema;
mod subscription;
mod undone;

use std::collections::BTreeMap;

use bson::{Document, RawDocumentBuf, doc};

use crate::{Location, Settings, Sqlite};
use capability::documents::{Change, Commit, Documents, Effect, Error, Filter, Projection, Query, Schema, Sort, Write};
use capability::events::Event;

fn raw(document: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&document).unwrap()
}

fn topics() -> BTreeMap<String, u32> {
    BTreeMap::from([("things".to_owned(), 3), ("more".to_owned(), 1)])
}

fn schema(text: &str) -> Schema {
    toml::from_str(text).unwrap()
}

fn memory(text: &str) -> Sqlite {
    Sqlite::open(Location::Memory, &schema(text), &topics()).unwrap()
}

fn insert(collection: &str, document: Document) -> Write {
    Write::Insert { collection: collection.to_owned(), document: raw(document) }
}

fn update(collection: &str, filter: Document, change: Document) -> Write {
    Write::Update {
        collection: collection.to_owned(),
        filter: Filter::from_document(&filter).unwrap(),
        change: Change::from_document(&change).unwrap(),
        upsert: false,
        many: false,
        must_match: false,
    }
}

fn delete(collection: &str, filter: Document) -> Write {
    let filter = Filter::from_document(&filter).unwrap();
    Write::Delete { collection: collection.to_owned(), filter, many: false, must_match: false }
}

/// The same write with these flags set.
fn with(mut write: Write, switches: &[&str]) -> Write {
    match &mut write {
        Write::Update { upsert, many, must_match, .. } => {
            *upsert = switches.contains(&"upsert");
            *many = switches.contains(&"many");
            *must_match = switches.contains(&"must_match");
        }
        Write::Delete { many, must_match, .. } => {
            *many = switches.contains(&"many");
            *must_match = switches.contains(&"must_match");
        }
        Write::Insert { .. } => {}
    }
    write
}

fn event(id: &str, key: &str) -> Event {
    Event {
        id: id.to_owned(),
        topic: "things".to_owned(),
        key: key.to_owned(),
        kind: "made".to_owned(),
        value: id.as_bytes().to_vec(),
        headers: vec![("trace".to_owned(), "1".to_owned())],
        at: 7,
    }
}

async fn commit(store: &Sqlite, writes: Vec<Write>) -> Result<Vec<Effect>, Error> {
    store.commit(Commit { writes, events: Vec::new() }).await
}

fn query(collection: &str, filter: Document, sort: Document) -> Query {
    Query {
        collection: collection.to_owned(),
        filter: Filter::from_document(&filter).unwrap(),
        sort: Sort::from_document(&sort).unwrap(),
        projection: Projection::all(),
        skip: 0,
        limit: 1_000,
    }
}

async fn find(store: &Sqlite, collection: &str, filter: Document) -> Vec<Document> {
    let found = store.find(query(collection, filter, doc! {})).await.unwrap();
    found.into_iter().map(|document| Document::try_from(document).unwrap()).collect()
}

/// Polls once: a commit is in the writer's queue then.
async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> std::task::Poll<T> {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context))).await
}
