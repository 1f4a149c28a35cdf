//! A reader that is slow: what it read before a log-out is not what the cache says after it. On every engine of the cache.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Bson, RawDocumentBuf};
use conformance::servers;
use devconnect_host::application::Application;
use devconnect_host::capability::cache::{self, Cache, InRedis};
use devconnect_host::capability::clocks::{Clock, System};
use devconnect_host::capability::documents::{
    Commit, Documents, Effect, Embedded, Error, Filter, Location, Plan, Query,
};
use devconnect_host::capability::invalidations::{Invalidations, Owed, Stale};
use devconnect_host::capability::redis::{Options, Redis};
use devconnect_host::capability::sessions::{Ending, Keys, Sessions};
use tokio::sync::Notify;

/// A store that can be told to hold back what it has found.
struct Gate {
    store: Embedded,
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

async fn a_slow_reader_revives_no_session(cache: Arc<dyn Cache>) {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("components");
    let application = Application::read(&components).unwrap();
    let store = Embedded::open(Location::Memory, &application.schema(), &application.partitions()).unwrap();
    let gate = Gate { store, closed: AtomicBool::new(false), reached: Notify::new(), opened: Notify::new() };
    let (gate, clock) = (Arc::new(gate), Arc::new(System::default()) as Arc<dyn Clock>);
    let owed = Arc::new(Owed::default());
    let keys = Keys::new(b"a secret that is long enough to sign with");
    let rules = application.session.clone();
    let sessions = Sessions::new(rules, keys, cache.clone(), gate.clone(), clock.clone(), owed.clone());
    let sessions = Arc::new(sessions);
    let invalidations = Arc::new(Invalidations::new(gate.clone(), cache, sessions.clone(), clock, owed));

    let user = "6b0656747f186650d975ce8d";
    let (token, write) = sessions.open(user, &[]).unwrap();
    gate.commit(Commit { writes: vec![write], events: Vec::new() }).await.unwrap();
    // It finds the session alive, and is held back before it tells the cache.
    gate.closed.store(true, Ordering::SeqCst);
    let slow = tokio::spawn({
        let (sessions, token) = (sessions.clone(), token.reveal().to_owned());
        async move { sessions.check(&token).await }
    });
    gate.reached.notified().await;
    let stale = Stale { keys: Vec::new(), subjects: vec![user.to_owned()] };
    let (row, write) = invalidations.row(stale).unwrap();
    let writes = std::iter::once(sessions.end(user, &Ending::All).unwrap()).chain(write).collect();
    gate.commit(Commit { writes, events: Vec::new() }).await.unwrap();
    invalidations.settle(row).await;
    assert_eq!(sessions.check(token.reveal()).await, Ok(None), "it is over");
    gate.opened.notify_one();
    slow.await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.check(token.reveal()).await, Ok(None), "it stays over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    a_slow_reader_revives_no_session(Arc::new(cache::Embedded::new(Arc::new(System::default())))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let Some(url) = tokio::task::spawn_blocking(servers::redis_url).await.unwrap() else { return };
    let prefix = format!("slow:{:x}:", std::process::id());
    let (redis, _) = Redis::open(Options { url, prefix, near: vec!["session:".into()] }).unwrap();
    a_slow_reader_revives_no_session(Arc::new(InRedis::new(redis))).await;
}
