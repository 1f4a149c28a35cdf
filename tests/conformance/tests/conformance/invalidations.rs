//! What commits make stale is not believed: not after an outage of the cache with any number of log-outs, not on a host that has
//! just started, and not when nobody knows yet whether a commit happened.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use capability::cache::{Absence, Cache, Error, InProcess, Looked, Ttl};
use capability::clocks::System;
use capability::documents::{Commit, Documents as _, Filter};
use capability::invalidations::{COLLECTION, Invalidations};
use capability::pending_invalidations::{PendingInvalidations, Stale};
use capability::sessions::{Ending, Keys, Sessions};
use manifest::Application;
use store_sqlite::{Location, Sqlite};

/// More than are read at once.
const MANY: usize = 450;
/// What polls is waited for at most so long.
const SOON: Duration = Duration::from_secs(30);

/// A cache that hosts share, and that may be read and not written, as one is that is full.
struct Shared {
    cache: InProcess,
    refuses_writes: AtomicBool,
}

impl Shared {
    fn write(&self) -> Result<(), Error> {
        let refuses = self.refuses_writes.load(Ordering::SeqCst);
        if refuses { Err(Error::Unavailable("it is not written".to_owned())) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Cache for Shared {
    fn is_shared(&self) -> bool {
        true
    }

    async fn look(&self, key: &str) -> Result<Looked, Error> {
        self.cache.look(key).await
    }

    async fn fill(&self, key: &str, seen: &Absence, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.write()?;
        self.cache.fill(key, seen, value, ttl).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error> {
        self.write()?;
        self.cache.set(key, value, ttl).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.write()?;
        self.cache.set_if_absent(key, value, ttl).await
    }

    async fn compare_and_set(&self, key: &str, expected: Option<Bytes>, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.write()?;
        self.cache.compare_and_set(key, expected, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<bool, Error> {
        self.write()?;
        self.cache.delete(key).await
    }

    async fn invalidate(&self, key: &str, hold: Ttl) -> Result<(), Error> {
        self.write()?;
        self.cache.invalidate(key, hold).await
    }

    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error> {
        self.write()?;
        self.cache.increment(key, by, ttl).await
    }

    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error> {
        self.write()?;
        self.cache.push_recent(key, value, keep, ttl).await
    }

    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error> {
        self.write()?;
        self.cache.fill_recent(key, values, ttl).await
    }

    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error> {
        self.cache.recent(key, limit).await
    }
}

fn application() -> Application {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("components");
    Application::read(&components).unwrap()
}

fn store() -> Arc<Sqlite> {
    let application = application();
    let (schema, topics) = (application.schema(capability::collections()), application.partitions());
    Arc::new(Sqlite::open(Location::Memory, &schema, &topics).unwrap())
}

fn in_process() -> InProcess {
    InProcess::new(Arc::new(System::default()))
}

/// One of several hosts.
struct Host {
    store: Arc<Sqlite>,
    sessions: Arc<Sessions>,
    invalidations: Arc<Invalidations>,
}

fn host(store: &Arc<Sqlite>, cache: &Arc<dyn Cache>) -> Host {
    let pending = Arc::new(PendingInvalidations::default());
    let keys = Keys::new(b"a secret that is long enough to sign with");
    let clock = Arc::new(System::default());
    let rules = application().session;
    let sessions = Arc::new(Sessions::new(rules, keys, cache.clone(), store.clone(), clock.clone(), pending.clone()));
    let invalidations = Invalidations::new(store.clone(), cache.clone(), sessions.clone(), clock, pending);
    Host { store: store.clone(), sessions, invalidations: Arc::new(invalidations) }
}

/// The user with this number.
fn user(number: usize) -> String {
    format!("{number:024x}")
}

impl Host {
    /// Sessions of so many users, which the cache knows; their tokens.
    async fn log_in(&self, users: usize) -> Vec<String> {
        let opened: Vec<_> = (0..users).map(|number| self.sessions.open(&user(number), &[]).unwrap()).collect();
        let tokens: Vec<String> = opened.iter().map(|(token, _)| token.reveal().to_owned()).collect();
        let writes = opened.into_iter().map(|(_, write)| write).collect();
        self.store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        for token in &tokens {
            assert!(self.lets_in(token).await);
        }
        tokens
    }

    async fn lets_in(&self, token: &str) -> bool {
        self.sessions.check(token).await.unwrap().is_some()
    }

    /// Ends the sessions of a user, as a commit does.
    async fn log_out(&self, number: usize) {
        let end = self.sessions.end(&user(number), &Ending::All).unwrap();
        let stale = Stale { keys: Vec::new(), subjects: vec![user(number)] };
        let (invalidation, write) = self.invalidations.prepare(stale).unwrap();
        let writes = std::iter::once(end).chain(write).collect();
        self.store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
        self.invalidations.settle(invalidation).await;
    }

    /// How many invalidations the cache does not have yet.
    async fn owed(&self) -> u64 {
        self.store.count(COLLECTION, Filter::all(), 0).await.unwrap()
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Tokens that were logged out on another host while the cache did not take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_out_is_forgotten_however_many_the_cache_missed() {
    let shared = Arc::new(Shared { cache: in_process(), refuses_writes: AtomicBool::new(false) });
    let (store, cache) = (store(), shared.clone() as Arc<dyn Cache>);
    let (one, other) = (host(&store, &cache), host(&store, &cache));
    let tokens = one.log_in(MANY).await;
    shared.refuses_writes.store(true, Ordering::SeqCst);
    for number in 1..MANY {
        other.log_out(number).await;
    }
    assert_eq!(one.owed().await, MANY as u64 - 1);
    one.invalidations.start();
    // A host that has just started knows none of them, and believes nothing before it has looked.
    for token in tokens.iter().skip(1) {
        assert!(!one.lets_in(token).await, "a session that is over");
    }
    assert!(one.lets_in(&tokens[0]).await, "the others go on");
    until("it has looked, and knows that there are more", async || {
        let pending = one.invalidations.pending();
        pending.has_subject(&user(1)) && pending.has_subject(&user(MANY - 1))
    })
    .await;
    shared.refuses_writes.store(false, Ordering::SeqCst);
    // While the cache learns them, and after it has.
    until("the cache has all of them", async || {
        for token in tokens.iter().skip(1) {
            assert!(!one.lets_in(token).await, "a session that is over");
        }
        one.owed().await == 0
    })
    .await;
    until("the cache is believed again", async || !one.invalidations.pending().has_subject(&user(0))).await;
    for token in tokens.iter().skip(1) {
        assert!(!one.lets_in(token).await, "a session that is over");
    }
    assert!(one.lets_in(&tokens[0]).await);
}

/// The store does not say in time whether it committed, and commits later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_may_have_ended_is_not_believed() {
    let (store, cache) = (store(), Arc::new(in_process()) as Arc<dyn Cache>);
    let host = host(&store, &cache);
    let tokens = host.log_in(3).await;
    let mut late = Vec::new();
    for number in [1, 2] {
        let end = host.sessions.end(&user(number), &Ending::All).unwrap();
        let stale = Stale { keys: vec![format!("user:{number}")], subjects: vec![user(number)] };
        let (invalidation, write) = host.invalidations.prepare(stale).unwrap();
        assert!(write.is_none(), "a cache of this process needs no row");
        host.invalidations.doubt(invalidation).await;
        late.push(end);
        assert!(host.lets_in(&tokens[number]).await, "it has not ended");
        assert!(host.invalidations.pending().has_key(&format!("user:{number}")));
    }
    let end = late.remove(0);
    host.store.commit(Commit { writes: vec![end], events: Vec::new() }).await.unwrap();
    for _ in 0..3 {
        assert!(!host.lets_in(&tokens[1]).await, "it ended late");
        assert!(host.lets_in(&tokens[2]).await, "this one never did");
        assert!(host.lets_in(&tokens[0]).await, "nobody doubted this one");
    }
}
