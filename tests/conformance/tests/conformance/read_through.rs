//! Reading through the cache, on several hosts at once: nobody finds a value that is older than a commit that was answered. On
//! every engine of the cache.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};
use bytes::Bytes;
use capability::cache::{Cache, Error, InProcess, Reads, Ttl};
use capability::clocks::{Clock, System};
use capability::documents::{Change, Commit, Documents, Filter, Query, Write};
use capability::invalidations::Invalidations;
use capability::pending_invalidations::{PendingInvalidations, Stale};
use capability::sessions::{Keys, Sessions};
use conformance::servers;
use manifest::Application;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use store_redis::{Options, Redis, RedisCache};
use store_sqlite::{Location, Sqlite};

/// Documents that all hosts read and write.
const DOCUMENTS: usize = 4;
/// What each reader does.
const READS: usize = 2_000;
/// What each writer does.
const COMMITS: u64 = 150;

/// A document, and which of its versions were answered when.
struct Shared {
    id: ObjectId,
    /// The newest one that a writer was told of, and those before it that may still be read for a moment.
    answered: Mutex<VecDeque<(Instant, u64)>>,
    next: AtomicU64,
}

impl Shared {
    /// The version that whoever asks now must at least find, where others may be this late.
    fn least(&self, late: Duration) -> u64 {
        let mut answered = self.answered.lock().unwrap();
        while answered.len() > 1 && answered[1].0.elapsed() >= late {
            answered.pop_front();
        }
        answered.front().filter(|(at, _)| at.elapsed() >= late).map_or(0, |(_, version)| *version)
    }

    fn answer(&self, version: u64) {
        self.answered.lock().unwrap().push_back((Instant::now(), version));
    }
}

/// One of several hosts, as the engine reads and writes on it.
struct Host {
    store: Arc<dyn Documents>,
    cache: Arc<dyn Cache>,
    invalidations: Arc<Invalidations>,
    application: Arc<Application>,
    clock: Arc<dyn Clock>,
}

fn host(store: &Arc<dyn Documents>, cache: Arc<dyn Cache>, application: &Arc<Application>) -> Host {
    let (pending, clock) = (Arc::new(PendingInvalidations::default()), Arc::new(System::default()));
    let (keys, rules) = (Keys::new(b"a secret that is long enough to sign with"), application.session.clone());
    let sessions = Sessions::new(rules, keys, cache.clone(), store.clone(), clock.clone(), pending.clone());
    let invalidations = Invalidations::new(store.clone(), cache.clone(), Arc::new(sessions), clock.clone(), pending);
    let invalidations = Arc::new(invalidations);
    Host { store: store.clone(), cache, invalidations, application: application.clone(), clock }
}

impl Host {
    /// Reads a version through the cache; whether the cache had it.
    async fn read(&self, id: ObjectId, pause: u32) -> (u64, bool) {
        let (key, pending) = (format!("user:{id}:card"), self.invalidations.pending());
        let mut reads = Reads::begun(self.clock.now());
        if let Ok(Some(kept)) = reads.get(self.cache.as_ref(), pending, &key).await {
            return (std::str::from_utf8(&kept).unwrap().parse().unwrap(), true);
        }
        let query = Query { limit: 1, ..Query::all("users", Filter::by_id(id.into()).unwrap()) };
        let found = self.store.find(query).await.unwrap();
        let version = u64::try_from(found[0].get_i64("version").unwrap()).unwrap();
        // Others write meanwhile.
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
        let values = vec![(key, Bytes::from(version.to_string()))];
        let filled = reads.fill_many(self.cache.as_ref(), pending, self.clock.now(), values, Ttl::clamped(60)).await;
        assert!(matches!(filled, Ok(_) | Err(Error::Unavailable(_))), "{filled:?}");
        (version, false)
    }

    /// Commits a version, as a unit of work does.
    async fn write(&self, id: ObjectId, version: u64) {
        let change = doc! { "$set": { "version": version.cast_signed() } };
        let write = Write::Update {
            collection: "users".to_owned(),
            filter: Filter::by_id(id.into()).unwrap(),
            change: Change::from_document(&change).unwrap(),
            upsert: false,
            many: false,
            must_match: true,
        };
        let keys = self.application.stale_by(&write).unwrap();
        assert!(keys.contains(&format!("user:{id}:card")), "{keys:?}");
        let (invalidation, stored) = self.invalidations.prepare(Stale { keys, subjects: Vec::new() }).unwrap();
        let writes = std::iter::once(write).chain(stored).collect();
        self.store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        self.invalidations.settle(invalidation).await;
    }
}

/// Two hosts, each with readers and a writer a document; `late` is how long after a commit's answer another host may still find
/// what was before it.
async fn nothing_old_is_found(caches: [Arc<dyn Cache>; 2], late: Duration) {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("components");
    let application = Arc::new(Application::read(&components).unwrap());
    let (schema, topics) = (application.schema(capability::collections()), application.partitions());
    let store: Arc<dyn Documents> = Arc::new(Sqlite::open(Location::Memory, &schema, &topics).unwrap());
    let hosts = caches.map(|cache| Arc::new(host(&store, cache, &application)));
    hosts.iter().for_each(|host| host.invalidations.start());
    let begun = Instant::now();
    for host in &hosts {
        while host.cache.get("user:nobody:card").await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the cache does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let all: Arc<Vec<Shared>> = Arc::new(
        (0..DOCUMENTS)
            .map(|_| Shared { id: ObjectId::new(), answered: Mutex::default(), next: AtomicU64::new(1) })
            .collect(),
    );
    for shared in all.iter() {
        let new = doc! { "_id": shared.id, "emailId": shared.id.to_hex(), "version": 0_i64 };
        let document = RawDocumentBuf::try_from(&new).unwrap();
        let writes = vec![Write::Insert { collection: "users".to_owned(), document }];
        store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
    }
    let mut tasks = Vec::new();
    for (number, host) in (0_u64..).zip(&hosts) {
        for reader in 0..4 {
            let (host, all) = (host.clone(), all.clone());
            let mut random = SmallRng::seed_from_u64(number * 100 + reader);
            tasks.push(tokio::spawn(async move {
                let mut hits = 0_u32;
                for _ in 0..READS {
                    let shared = &all[random.random_range(0..DOCUMENTS)];
                    let least = shared.least(late);
                    let (version, hit) = host.read(shared.id, random.random_range(0..4)).await;
                    assert!(version >= least, "{version} is found, and {least} was answered");
                    hits += u32::from(hit);
                    tokio::task::yield_now().await;
                }
                hits
            }));
        }
        // One writer a document, on either host.
        for document in (0..DOCUMENTS).filter(|document| document % 2 == usize::try_from(number).unwrap()) {
            let (host, all) = (host.clone(), all.clone());
            tasks.push(tokio::spawn(async move {
                let shared = &all[document];
                for _ in 0..COMMITS {
                    let version = shared.next.fetch_add(1, Ordering::SeqCst);
                    host.write(shared.id, version).await;
                    shared.answer(version);
                    tokio::task::yield_now().await;
                }
                0
            }));
        }
    }
    let mut hits = 0;
    for task in tasks {
        hits += task.await.unwrap();
    }
    assert!(hits > 0, "the cache is used");
    // And once nobody writes, all find the last one, which the cache has.
    let begun = Instant::now();
    for shared in all.iter() {
        for host in &hosts {
            loop {
                let (version, hit) = host.read(shared.id, 0).await;
                if version == COMMITS && hit {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{version} of {COMMITS}, from the cache: {hit}");
                tokio::task::yield_now().await;
            }
        }
    }
}

mod embedded {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_old_is_found() {
        let cache: Arc<dyn Cache> = Arc::new(InProcess::new(Arc::new(System::default())));
        super::nothing_old_is_found([cache.clone(), cache], Duration::ZERO).await;
    }
}

mod redis {
    use super::*;

    /// A host learns of another one's commit over a connection of its own, which takes some milliseconds, and on a busy machine
    /// more of them.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_old_is_found() {
        let Some(url) = tokio::task::spawn_blocking(servers::redis_url).await.unwrap() else { return };
        let prefix = format!("read-through:{:x}:", std::process::id());
        let cache = || -> Arc<dyn Cache> {
            let options = Options { url: url.clone(), prefix: prefix.clone(), near: vec!["user:".into()] };
            let (redis, _) = Redis::open(options).unwrap();
            Arc::new(RedisCache::new(redis))
        };
        super::nothing_old_is_found([cache(), cache()], Duration::from_millis(500)).await;
    }
}
