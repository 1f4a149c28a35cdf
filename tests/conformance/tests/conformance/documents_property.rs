//! The two document stores held against each other: the same questions and changes, the same answers.
//!
//! `CONFORMANCE_SEED` repeats a run, whose seed a failure prints with the whole case; `CONFORMANCE_ROUNDS` makes it longer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use bson::{Bson, Document, doc};
use capability::documents::{
    Change, Collection, Commit, Documents, Error, Filter, Index, Projection, Query, Schema, Sort, Write,
};
use conformance::documents::generated::Generator;
use conformance::documents::{Scratch, of_all, raw, topics, upserting};
use conformance::servers;
use store_mongodb::MongoDb;
use store_sqlite::{Location, Sqlite};

const ROUNDS: u64 = 30;
const DOCUMENTS: i32 = 40;
const QUESTIONS: u32 = 260;
const CHANGES: u32 = 80;
const COLLECTIONS: [&str; 2] = ["plain", "indexed"];

fn schema() -> Schema {
    let index = |fields: &[&str], unique, only: &[&str]| Index {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        unique,
        where_exists: only.iter().map(|field| (*field).to_owned()).collect(),
    };
    let indexed = Collection {
        indexes: vec![
            index(&["a"], false, &[]),
            index(&["b", "a"], false, &[]),
            index(&["b.c"], false, &["b"]),
            index(&["d"], true, &["d"]),
        ],
        ..Collection::default()
    };
    Schema { collections: [("plain".to_owned(), Collection::default()), ("indexed".to_owned(), indexed)].into() }
}

/// Both stores, what was asked of them, and how often they agreed.
struct Pair {
    embedded: Sqlite,
    mongodb: MongoDb,
    seed: u64,
    documents: BTreeMap<&'static str, Vec<Document>>,
    agreed: BTreeMap<&'static str, u32>,
    refused: u32,
    disagreed: Vec<String>,
}

/// An error without its words.
fn class(error: &Error) -> String {
    match error {
        Error::Invalid(_) => "invalid".to_owned(),
        Error::Unavailable(text) => format!("unavailable: {text}"),
        Error::Overdue(text) => format!("overdue: {text}"),
        Error::Duplicate { write, .. } => format!("duplicate at {write}"),
        Error::Unmet(write) => format!("unmet at {write}"),
    }
}

impl Pair {
    /// Compares two answers; `case` is printed with all documents when they differ.
    fn agree<T: PartialEq + std::fmt::Debug>(
        &mut self,
        kind: &'static str,
        case: &str,
        embedded: Result<T, Error>,
        mongodb: Result<T, Error>,
    ) {
        let same = match (&embedded, &mongodb) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => class(one) == class(other) && !matches!(one, Error::Unavailable(_)),
            _ => false,
        };
        self.refused += u32::from(embedded.is_err());
        *self.agreed.entry(kind).or_default() += 1;
        if !same {
            self.disagreed.push(format!(
                "CONFORMANCE_SEED={}\n{kind}: {case}\nembedded: {embedded:?}\nmongodb: {mongodb:?}",
                self.seed
            ));
        }
        // Questions change nothing, so more of them may be asked; after a change that differs all else would.
        let ends = ["insert", "commit", "delete", "state"].contains(&kind) || self.disagreed.len() >= 20;
        assert!(same || !ends, "{}\ndocuments: {:?}", self.disagreed.join("\n\n"), self.documents);
    }

    async fn commit(&mut self, kind: &'static str, case: &str, write: Write) {
        let commit = Commit { writes: vec![write], events: Vec::new() };
        let embedded = self.embedded.commit(commit.clone()).await;
        let mongodb = self.mongodb.commit(commit).await;
        self.agree(kind, case, embedded, mongodb);
    }

    /// Remembers all documents, which must be the same.
    async fn compare(&mut self, case: &str, collection: &'static str) {
        let query = Query {
            collection: collection.to_owned(),
            filter: Filter::all(),
            sort: Sort::none(),
            projection: Projection::all(),
            skip: 0,
            limit: 1_000,
        };
        let (one, other) = (self.embedded.find(query.clone()).await, self.mongodb.find(query).await);
        self.agree("state", case, one.clone(), other);
        let documents = one.unwrap().iter().map(|document| Document::try_from(&**document).unwrap()).collect();
        self.documents.insert(collection, documents);
    }

    async fn fill(&mut self, generator: &mut Generator) {
        let all = Filter::all();
        for collection in COLLECTIONS {
            let everything =
                Write::Delete { collection: collection.to_owned(), filter: all.clone(), many: true, must_match: false };
            self.commit("delete", collection, everything).await;
        }
        for id in 0..DOCUMENTS {
            let mut document = doc! { "_id": id };
            document.extend(generator.document());
            for collection in COLLECTIONS {
                let write = Write::Insert { collection: collection.to_owned(), document: raw(&document) };
                self.commit("insert", &format!("{document:?}"), write).await;
            }
        }
        for collection in COLLECTIONS {
            self.compare("all that was inserted", collection).await;
        }
    }

    async fn ask(&mut self, generator: &mut Generator) {
        let (filter, sort, projection) = (generator.filter(), generator.sort(), generator.projection());
        let collection = COLLECTIONS[generator.below(2) as usize];
        let case = format!("{collection} {filter:?}\nsort {sort:?}\nprojection {projection:?}");
        // Parsing is the same for both.
        let (Ok(filter), Ok(sort)) = (Filter::from_document(&filter), Sort::from_document(&sort)) else { return };
        let projection = Projection::from_document(&projection).unwrap_or_else(|_| Projection::all());
        let (skip, limit) = if generator.once_in(2) { (0, 100) } else { (generator.below(4), 1 + generator.below(6)) };
        let query = Query { collection: collection.to_owned(), filter: filter.clone(), sort, projection, skip, limit };
        let (one, other) = (self.embedded.find(query.clone()).await, self.mongodb.find(query).await);
        let readable = |found: Vec<bson::RawDocumentBuf>| {
            let documents = found.iter().map(|document| format!("{:?}", Document::try_from(&**document).unwrap()));
            documents.collect::<Vec<_>>()
        };
        self.agree("find", &format!("{case}\nskip {skip} limit {limit}"), one.map(readable), other.map(readable));
        match generator.below(4) {
            0 => {
                let (one, other) = (
                    self.embedded.count(collection, filter.clone(), 0).await,
                    self.mongodb.count(collection, filter, 0).await,
                );
                self.agree("count", &case, one, other);
            }
            1 => {
                let field = generator.path();
                let (one, other) = (
                    self.embedded.distinct(collection, &field, filter.clone()).await,
                    self.mongodb.distinct(collection, &field, filter).await,
                );
                self.agree("distinct", &format!("{field} of {case}"), one.map(plainly), other.map(plainly));
            }
            _ => {}
        }
    }

    async fn change(&mut self, generator: &mut Generator) {
        let (mut filter, change) = (generator.filter(), generator.change());
        let collection = COLLECTIONS[generator.below(2) as usize];
        let upsert = generator.once_in(4);
        if upsert {
            filter.insert("_id", generator.below(60));
        }
        let (Ok(asked), Ok(parsed)) = (Filter::from_document(&filter), Change::from_document(&change)) else { return };
        let mut write = Write::Update {
            collection: collection.to_owned(),
            filter: asked.clone(),
            change: parsed,
            upsert: false,
            many: false,
            must_match: generator.once_in(4),
        };
        if generator.once_in(2) {
            write = of_all(write);
        }
        if upsert {
            write = upserting(write);
        } else if generator.once_in(15) {
            write = Write::Delete { collection: collection.to_owned(), filter: asked, many: false, must_match: false };
        }
        let case = format!("{collection} {filter:?}\nchange {change:?}\n{write:?}");
        self.commit("commit", &case, write).await;
        self.compare(&case, collection).await;
    }
}

/// Values without what equal ones may differ by: which of them was met first is nobody's promise.
fn plainly(values: Vec<Bson>) -> Vec<String> {
    values.into_iter().map(|value| format!("{:?}", alike(value))).collect()
}

fn alike(value: Bson) -> Bson {
    match value {
        Bson::Int32(number) => Bson::Double(number.into()),
        Bson::Int64(number) if number.abs() < 1 << 53 => Bson::Double(number as f64),
        Bson::Double(number) => Bson::Double(number + 0.0),
        Bson::Array(values) => Bson::Array(values.into_iter().map(alike).collect()),
        Bson::Document(fields) => {
            Bson::Document(fields.into_iter().map(|(name, value)| (name, alike(value))).collect())
        }
        other => other,
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engines_agree() {
    let Some(uri) = tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap() else { return };
    let begun = Instant::now();
    let seed = setting("CONFORMANCE_SEED");
    let rounds = setting("CONFORMANCE_ROUNDS").unwrap_or(if seed.is_some() { 1 } else { ROUNDS });
    let seed = seed.unwrap_or_else(|| rand::random::<u64>() >> 16);
    let scratch = Scratch::new(&uri, &schema()).await;
    let mut pair = Pair {
        embedded: Sqlite::open(Location::Memory, &schema(), &topics()).unwrap(),
        mongodb: scratch.store.clone(),
        seed,
        documents: BTreeMap::new(),
        agreed: BTreeMap::new(),
        refused: 0,
        disagreed: Vec::new(),
    };
    for round in 0..rounds {
        // Each round has a seed of its own, so that one round repeats a failure.
        pair.seed = seed + round;
        let mut generator = Generator::new(pair.seed);
        pair.fill(&mut generator).await;
        for _ in 0..QUESTIONS {
            pair.ask(&mut generator).await;
        }
        assert!(pair.disagreed.is_empty(), "{}\ndocuments: {:?}", pair.disagreed.join("\n\n"), pair.documents);
        for _ in 0..CHANGES {
            pair.change(&mut generator).await;
        }
    }
    scratch.finish().await;
    let total: u32 = pair.agreed.values().sum();
    eprintln!(
        "seed {seed}: {total} cases agreed ({:?}), {} of them refused, in {:?}",
        pair.agreed,
        pair.refused,
        begun.elapsed()
    );
}
