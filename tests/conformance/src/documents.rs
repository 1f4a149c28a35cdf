//! The cases of a document store. Each has a store of its own: a folder, or a database that is dropped at the end.

pub mod asking;
pub mod changing;
pub mod committing;
pub mod generated;
pub mod old;
pub mod racing;

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};
use capability::documents::{
    Change, Collection, Commit, Documents, Effect, Error, Filter, Index, Projection, Query, Schema, Sort, Write,
};
use capability::events::{Event, Outbox};
use store_mongodb::MongoDb;
use store_sqlite::{Location, Sqlite};

/// A topic that the stores under test know.
pub const TOPIC: &str = "things";

/// A document store under test.
pub struct Subject {
    /// The store.
    pub documents: Arc<dyn Documents>,
    mongodb: Option<Scratch>,
}

/// A prepared database of its own on a MongoDB server.
pub struct Scratch {
    /// The store on it.
    pub store: MongoDb,
    database: ::mongodb::Database,
}

impl Scratch {
    /// Makes one with this schema and the topics of [`topics`].
    pub async fn new(uri: &str, schema: &Schema) -> Self {
        let random = capability::random::bytes::<8>();
        let name = format!("conformance-{}", random.map(|byte| format!("{byte:02x}")).concat());
        let store = MongoDb::open(uri, &name, schema, &topics()).unwrap();
        store.prepare().await.unwrap_or_else(|error| panic!("{error}"));
        Self { store, database: ::mongodb::Client::with_uri_str(uri).await.unwrap().database(&name) }
    }

    /// Leaves nothing behind.
    pub async fn finish(self) {
        self.database.drop().await.unwrap();
    }
}

impl Subject {
    /// The embedded engine in a folder of its own.
    pub fn embedded() -> Self {
        let store = Sqlite::open(Location::Memory, &schema(), &topics()).unwrap();
        Self { documents: Arc::new(store), mongodb: None }
    }

    /// A database of its own on a MongoDB server.
    pub async fn mongodb(uri: &str) -> Self {
        let scratch = Scratch::new(uri, &schema()).await;
        Self { documents: Arc::new(scratch.store.clone()), mongodb: Some(scratch) }
    }

    /// The outbox of the store, where it has one.
    pub fn outbox(&self) -> Option<Arc<dyn Outbox>> {
        self.mongodb.as_ref().map(|scratch| Arc::new(scratch.store.clone()) as Arc<dyn Outbox>)
    }

    /// Leaves nothing behind.
    pub async fn finish(self) {
        if let Some(scratch) = self.mongodb {
            scratch.finish().await;
        }
    }
}

/// Topics of the stores under test.
pub fn topics() -> BTreeMap<String, u32> {
    BTreeMap::from([(TOPIC.to_owned(), 3), ("others".to_owned(), 1)])
}

/// The collections of the cases: `plain` has no index, `people` has some.
pub fn schema() -> Schema {
    let index = |fields: &[&str], unique, only: &[&str]| Index {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        unique,
        where_exists: only.iter().map(|field| (*field).to_owned()).collect(),
    };
    let people = Collection {
        indexes: vec![
            index(&["name"], true, &[]),
            index(&["key"], true, &["key"]),
            index(&["age"], false, &[]),
            index(&["home.town", "age"], false, &[]),
        ],
        ..Collection::default()
    };
    Schema { collections: [("plain".to_owned(), Collection::default()), ("people".to_owned(), people)].into() }
}

/// A document as stores take it.
pub fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// A filter that must be one.
pub fn filter(document: &Document) -> Filter {
    Filter::from_document(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The first thousand matches, whole and by `_id`.
pub fn query(collection: &str, asked: &Document) -> Query {
    Query {
        collection: collection.to_owned(),
        filter: filter(asked),
        sort: Sort::none(),
        projection: Projection::all(),
        skip: 0,
        limit: 1_000,
    }
}

/// An insertion.
pub fn insert(collection: &str, document: Document) -> Write {
    Write::Insert { collection: collection.to_owned(), document: raw(&document) }
}

/// A change of the first match.
pub fn update(collection: &str, asked: &Document, change: &Document) -> Write {
    Write::Update {
        collection: collection.to_owned(),
        filter: filter(asked),
        change: Change::from_document(change).unwrap_or_else(|error| panic!("{change}: {error}")),
        upsert: false,
        many: false,
        must_match: false,
    }
}

/// The end of the first match.
pub fn delete(collection: &str, asked: &Document) -> Write {
    Write::Delete { collection: collection.to_owned(), filter: filter(asked), many: false, must_match: false }
}

/// The same write of all matches.
pub fn of_all(mut write: Write) -> Write {
    if let Write::Update { many, .. } | Write::Delete { many, .. } = &mut write {
        *many = true;
    }
    write
}

/// The same write, which has to match.
pub fn matching(mut write: Write) -> Write {
    if let Write::Update { must_match, .. } | Write::Delete { must_match, .. } = &mut write {
        *must_match = true;
    }
    write
}

/// The same change, which inserts when it matches nothing.
pub fn upserting(mut write: Write) -> Write {
    if let Write::Update { upsert, .. } = &mut write {
        *upsert = true;
    }
    write
}

/// An event of [`TOPIC`].
pub fn event(id: &str, key: &str) -> Event {
    Event {
        id: id.to_owned(),
        topic: TOPIC.to_owned(),
        key: key.to_owned(),
        kind: "HAPPENED".to_owned(),
        value: format!("{{\"id\":\"{id}\"}}").into_bytes(),
        headers: vec![("trace".to_owned(), "1".to_owned()), ("trace".to_owned(), "2".to_owned())],
        at: 1_700_000_000_000,
    }
}

impl Subject {
    /// Commits writes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Effect>, Error> {
        self.documents.commit(Commit { writes, events: Vec::new() }).await
    }

    /// Inserts documents, which must succeed.
    pub async fn fill(&self, collection: &str, documents: Vec<Document>) {
        let writes = documents.into_iter().map(|document| insert(collection, document)).collect();
        self.commit(writes).await.unwrap();
    }

    /// The answer to a query as documents.
    pub async fn ask(&self, query: Query) -> Vec<Document> {
        let found = self.documents.find(query).await.unwrap();
        found.iter().map(|document| Document::try_from(&**document).unwrap()).collect()
    }

    /// All matches by `_id`.
    pub async fn find(&self, collection: &str, asked: Document) -> Vec<Document> {
        self.ask(query(collection, &asked)).await
    }

    /// The `_id`s of all matches.
    pub async fn ids(&self, collection: &str, asked: Document) -> Vec<Bson> {
        self.find(collection, asked).await.iter().map(|document| document.get("_id").unwrap().clone()).collect()
    }
}
