//! A reader that is slow: what it read before a log-out is not what the cache says after it; nor is a log-out lost whose call
//! takes long. On every engine of the cache.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Bson, RawDocumentBuf};
use capability::cache;
use capability::cache::Cache;
use capability::clocks::{Clock, Manual, System};
use capability::documents::{Commit, Documents, Effect, Error, Filter, Plan, Query, Write};
use capability::invalidations::Invalidations;
use capability::pending_invalidations::{PendingInvalidations, Stale};
use capability::sessions::{Ending, Keys, Sessions};
use conformance::servers;
use manifest::Application;
use store_redis::RedisCache;
use store_redis::{Options, Redis};
use store_sqlite::{Location, Sqlite};
use tokio::sync::Notify;

/// A store that can be told to hold back what it has found.
struct Gate {
    store: Sqlite,
    closed: AtomicBool,
    reached: Notify,
    opened: Notify,
}

#[async_trait::async_trait]
impl Documents for Gate {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        let found = self.store.find(query).await;
        if self.closed.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
        found
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.store.count(collection, filter, limit).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.store.distinct(collection, field, filter).await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.store.commit(commit).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.store.explain(query).await
    }
}

const USER: &str = "6b0656747f186650d975ce8d";

/// Sessions over a store that can be held back.
struct Site {
    gate: Arc<Gate>,
    sessions: Arc<Sessions>,
    invalidations: Arc<Invalidations>,
}

fn site(cache: Arc<dyn Cache>, clock: Arc<dyn Clock>) -> Site {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("components");
    let application = Application::read(&components).unwrap();
    let store =
        Sqlite::open(Location::Memory, &application.schema(capability::collections()), &application.partitions())
            .unwrap();
    let gate = Gate { store, closed: AtomicBool::new(false), reached: Notify::new(), opened: Notify::new() };
    let gate = Arc::new(gate);
    let owed = Arc::new(PendingInvalidations::default());
    let keys = Keys::new(b"a secret that is long enough to sign with");
    let rules = application.session.clone();
    let sessions = Sessions::new(rules, keys, cache.clone(), gate.clone(), clock.clone(), owed.clone());
    let sessions = Arc::new(sessions);
    let invalidations = Arc::new(Invalidations::new(gate.clone(), cache, sessions.clone(), clock, owed));
    Site { gate, sessions, invalidations }
}

/// What ends all sessions of the user, as a call asks for it.
fn end(sessions: &Sessions) -> Write {
    sessions.end(USER, &Ending::All).unwrap()
}

impl Site {
    /// Commits an end with what makes the cache learn it.
    async fn commit(&self, end: Write) {
        let stale = Stale { keys: Vec::new(), subjects: vec![USER.to_owned()] };
        let (row, write) = self.invalidations.prepare(stale).unwrap();
        let writes = std::iter::once(end).chain(write).collect();
        self.gate.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        self.invalidations.settle(row).await;
    }
}

/// The longest call there is, from the moment in which it asks for the end.
async fn a_log_out_that_takes_long_is_one(cache: Arc<dyn Cache>, clock: Arc<Manual>) {
    let site = site(cache, clock.clone());
    for took in [0, 1, 300_000] {
        let (token, write) = site.sessions.open(USER, &[]).unwrap();
        site.gate.commit(Commit { writes: vec![write], events: Vec::new() }).await.unwrap();
        assert!(site.sessions.check(token.reveal()).await.unwrap().is_some(), "it lives, and the cache knows");
        let end = end(&site.sessions);
        clock.advance(took);
        site.commit(end).await;
        assert_eq!(site.sessions.check(token.reveal()).await, Ok(None), "after {took} ms");
    }
}

async fn a_slow_reader_revives_no_session(cache: Arc<dyn Cache>) {
    let site = site(cache, Arc::new(System::default()));
    let Site { gate, sessions, .. } = &site;
    let (token, write) = sessions.open(USER, &[]).unwrap();
    gate.commit(Commit { writes: vec![write], events: Vec::new() }).await.unwrap();
    // It finds the session alive, and is held back before it tells the cache.
    gate.closed.store(true, Ordering::SeqCst);
    let slow = tokio::spawn({
        let (sessions, token) = (sessions.clone(), token.reveal().to_owned());
        async move { sessions.check(&token).await }
    });
    gate.reached.notified().await;
    site.commit(end(sessions)).await;
    assert_eq!(sessions.check(token.reveal()).await, Ok(None), "it is over");
    gate.opened.notify_one();
    slow.await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.check(token.reveal()).await, Ok(None), "it stays over");
    }
}

/// A time as good as any.
fn manual() -> Arc<Manual> {
    Arc::new(Manual::at(1_768_478_400_000))
}

/// The real one, with names of the case's own; none where there is no server.
async fn in_redis(case: &str) -> Option<Arc<dyn Cache>> {
    let url = tokio::task::spawn_blocking(servers::redis_url).await.unwrap()?;
    let prefix = format!("{case}:{:x}:", std::process::id());
    let (redis, _) = Redis::open(Options { url, prefix, near: vec!["session:".into()] }).unwrap();
    Some(Arc::new(RedisCache::new(redis)))
}

mod embedded {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_reader_revives_no_session() {
        super::a_slow_reader_revives_no_session(Arc::new(cache::InProcess::new(Arc::new(System::default())))).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_out_that_takes_long_is_one() {
        let clock = manual();
        super::a_log_out_that_takes_long_is_one(Arc::new(cache::InProcess::new(clock.clone())), clock).await;
    }
}

mod redis {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_reader_revives_no_session() {
        let Some(cache) = in_redis("slow").await else { return };
        super::a_slow_reader_revives_no_session(cache).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_out_that_takes_long_is_one() {
        let Some(cache) = in_redis("long").await else { return };
        super::a_log_out_that_takes_long_is_one(cache, manual()).await;
    }
}
