//! Writers that race over few keys, and the proof that what came out of the log is what they committed, in that order.
//!
//! A key has a document with a number, and every commit that raises it publishes the number: so the order of the commits
//! of a key is known, whoever made them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc};
use capability::documents::{Change, Collection, Commit, Documents as _, Error, Filter, Schema, Write};
use capability::events::{Event, Outbox as _, Record};
use store_sqlite::{Location, Sqlite};

use crate::events::{event, topics};

const COUNTERS: &str = "counters";

/// A document store with an outbox, and its writers.
#[derive(Clone)]
pub struct Race {
    store: Sqlite,
    /// The number that each key's document has, as far as the writers know.
    keys: Arc<BTreeMap<String, AtomicU32>>,
}

impl Race {
    /// Over this many keys, in a store of its own.
    pub async fn open(folder: &Path, keys: u32) -> Self {
        let schema = Schema { collections: BTreeMap::from([(COUNTERS.to_owned(), Collection::default())]) };
        let location = Location::Folder(folder.to_owned());
        let store = Sqlite::open_with_outbox(location, &schema, &topics()).unwrap();
        let keys: BTreeMap<_, _> = (0..keys).map(|number| (format!("key-{number}"), AtomicU32::new(0))).collect();
        let insert = |key: &String| Write::Insert {
            collection: COUNTERS.to_owned(),
            document: RawDocumentBuf::try_from(&doc! { "_id": key, "n": 0 }).unwrap(),
        };
        let writes = keys.keys().map(insert).collect();
        store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        Self { store, keys: Arc::new(keys) }
    }

    /// The store.
    pub fn store(&self) -> &Sqlite {
        &self.store
    }

    /// This many writers make this many commits each; comes back when all are acknowledged and answers the longest that
    /// one of them took.
    pub async fn run(&self, writers: usize, commits: usize) -> Duration {
        let writer = |number: usize| {
            let race = self.clone();
            tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for commit in 0..commits {
                    let begun = Instant::now();
                    race.raise((number + commit) % race.keys.len()).await;
                    longest = longest.max(begun.elapsed());
                }
                longest
            })
        };
        let writers: Vec<_> = (0..writers).map(writer).collect();
        let mut longest = Duration::ZERO;
        for writer in writers {
            longest = longest.max(writer.await.unwrap());
        }
        longest
    }

    async fn raise(&self, key: usize) {
        let (key, known) = self.keys.iter().nth(key).unwrap();
        loop {
            let number = known.load(Ordering::SeqCst);
            match self.commit(key, number).await {
                Ok(_) => {
                    known.fetch_max(number + 1, Ordering::SeqCst);
                    return;
                }
                // Another one was first.
                Err(Error::Unmet(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("a commit fails: {error}"),
            }
        }
    }

    async fn commit(&self, key: &str, number: u32) -> Result<(), Error> {
        let write = Write::Update {
            collection: COUNTERS.to_owned(),
            filter: Filter::from_document(&doc! { "_id": key, "n": i64::from(number) }).unwrap(),
            change: Change::from_document(&doc! { "$inc": { "n": 1 } }).unwrap(),
            upsert: false,
            many: false,
            must_match: true,
        };
        self.store.commit(Commit { writes: vec![write], events: vec![event(key, number)] }).await.map(drop)
    }

    /// Waits until nothing is left in the outbox.
    pub async fn until_moved(&self, patience: Duration) {
        let (outbox, begun) = (self.store.outbox(), Instant::now());
        loop {
            let left = outbox.count().await.unwrap();
            if left == 0 {
                return;
            }
            assert!(begun.elapsed() < patience, "{left} events are still waiting");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Panics unless everything that was committed is in these records, and of each key what is there for the first time
    /// is in the order of the commits. Answers how many are there again.
    pub fn check(&self, records: &[Record]) -> usize {
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        let mut again = 0;
        for Record { event: found, .. } in records {
            let next = seen.entry(&found.key).or_default();
            let number = number(found);
            assert!(number <= *next, "{}: {number} is there before {next}", found.key);
            assert_eq!(*found, event(&found.key, number));
            if number == *next {
                *next += 1;
            } else {
                again += 1;
            }
        }
        for (key, known) in self.keys.iter() {
            assert_eq!(seen.get(key.as_str()).copied().unwrap_or(0), known.load(Ordering::SeqCst), "{key}");
        }
        again
    }
}

fn number(event: &Event) -> u32 {
    std::str::from_utf8(&event.value).unwrap().parse().unwrap()
}
