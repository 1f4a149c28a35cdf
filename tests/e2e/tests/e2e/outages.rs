//! Stores that don't answer, and callers that don't wait: who is to blame, and what follows all the same. The host is in this
//! process, so that its counts and capabilities can be asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use bytes::Bytes;
use capability::Capabilities;
use capability::documents::{Commit, Documents, Effect, Error, Filter, KeyLock, Late, Plan, Query};
use capability::fetch::{self, Fetch, Outgoing, Transport};
use capability::passwords::{Cost, MIN_OLD_COST, Passwords};
use capability::sessions::Ending;
use capability::settings::Settings;
use capability::signing::Signing;
use capability::sockets::{Error as SocketError, Sockets, Target};
use capability::unit_of_work::{Emit, UnitOfWork};
use devconnect::config::{Address, Config};
use devconnect::{Host, HostOptions};
use e2e::{json, network, seed, until};
use engine::{Call, Caller, HttpCall, Outcome};
use serde_json::value::{RawValue, to_raw_value};
use tempfile::TempDir;
use tokio::sync::Notify;
use trigger::http::serve;
use trigger::listener::{Listener, ListenerOptions};

const SOON: Duration = Duration::from_secs(20);

fn host(data: &Path, config: Config) -> Host {
    seed::sow(data);
    let passwords = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64, old_cost: MIN_OLD_COST };
    let options = HostOptions::new(config, harness::components_folder(), Some(data.to_owned()));
    Host::open(HostOptions { passwords, ..options }).unwrap_or_else(|error| panic!("{error}"))
}

/// A call whose time is over is dropped while it waits for the store, which commits all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_commit_follows_also_when_nobody_waits() {
    let data = TempDir::new().unwrap();
    let host = tokio::task::block_in_place(|| host(data.path(), Config::default()));
    host.prepare(false).await.unwrap();
    let pairs = network::pairs(&host, 10).await;
    let capabilities = &host.registry.engine().shared().capabilities;
    let lives = async |token: &str| capabilities.sessions.check(token).await.unwrap().is_some();
    for account in pairs.into_iter().flatten() {
        assert!(lives(&account.token).await, "it lives, and the cache knows");
        let end = capabilities.sessions.end(&account.id, &Ending::All).unwrap();
        let ended = vec![(account.id.clone(), Ending::All)];
        let unit = UnitOfWork { writes: vec![end], ended, ..UnitOfWork::default() };
        // It is polled once.
        drop(tokio::time::timeout(Duration::ZERO, unit.commit(capabilities, None)).await);
        until("the log-out is known", SOON, async || !lives(&account.token).await).await;
    }
    host.close().await;
}

/// A call is its caller's to poll: one that waits for a store, and two that compute, are left after the first poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_to_its_end_when_its_caller_is_gone() {
    let data = TempDir::new().unwrap();
    let (host, component) = tokio::task::block_in_place(|| {
        let host = host(data.path(), Config::default());
        let component = host.registry.deploy(&harness::wasm("misbehaving")).unwrap();
        (host, component)
    });
    host.prepare(false).await.unwrap();
    let engine = host.registry.engine().clone();
    let param = ("what".to_owned(), "read".to_owned());
    for (route, path, params, outcome) in [
        ("/misbehaving/ask/{what}", "/misbehaving/ask/read", vec![param], Outcome::Answered),
        ("/misbehaving/loop", "/misbehaving/loop", Vec::new(), Outcome::Cpu),
        ("/misbehaving/evade", "/misbehaving/evade", Vec::new(), Outcome::Cpu),
    ] {
        let call = || HttpCall {
            call: Call { id: Call::new_id(), identity: None, socket: None },
            method: http::Method::GET,
            path: path.to_owned(),
            query: String::new(),
            route: route.into(),
            params: params.clone(),
            headers: Vec::new(),
            body: Bytes::new(),
            client: "127.0.0.1".into(),
        };
        let mut is_left = false;
        // A store may be as quick as the first poll.
        for _ in 0..100 {
            let before = component.counts.of(outcome);
            let entered = engine.admission().enter(Caller::Unlimited, false).unwrap();
            let mut called = Box::pin(engine.invoke(&component, entered, call()));
            is_left = std::future::poll_fn(|context| Poll::Ready(called.as_mut().poll(context).is_pending())).await;
            assert_eq!(component.counts.running(), u64::from(is_left), "{path}");
            drop(called);
            let ended = async || component.counts.of(outcome) == before + 1 && component.counts.running() == 0;
            until(path, SOON, ended).await;
            if is_left {
                break;
            }
        }
        assert!(is_left, "{path} is never left before its end");
    }
    host.close().await;
}

/// A store that does not say whether it committed, and commits when it is told to.
struct Silent {
    store: Arc<dyn Documents>,
    commits: Arc<Notify>,
}

#[async_trait::async_trait]
impl Documents for Silent {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.store.find(query).await
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

    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        _held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        let (store, commits) = (self.store.clone(), self.commits.clone());
        tokio::spawn(async move {
            commits.notified().await;
            late(store.commit(commit).await.is_ok());
        });
        (Err(Error::Unavailable("it is silent".to_owned())), None)
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.store.explain(query).await
    }
}

/// Records what is done with sockets.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Sockets for Heard {
    async fn emit(&self, _targets: &[Target], event: &str, _payload: &RawValue) -> Result<(), SocketError> {
        self.0.lock().unwrap().push(event.to_owned());
        Ok(())
    }

    async fn emit_with_ack(
        &self,
        _socket: &str,
        _event: &str,
        _payload: &RawValue,
        _timeout: Duration,
    ) -> Result<Option<Bytes>, SocketError> {
        Ok(None)
    }

    async fn join(&self, _socket: &str, _room: &str) -> Result<(), SocketError> {
        Ok(())
    }

    async fn leave(&self, _socket: &str, _room: &str) -> Result<(), SocketError> {
        Ok(())
    }

    async fn appear(&self, _user: &str, _socket: &str) -> Result<(), SocketError> {
        Ok(())
    }

    async fn online(&self, _user: &str) -> Result<bool, SocketError> {
        Ok(false)
    }

    async fn end(&self, _user: &str, _ending: &Ending) {
        self.0.lock().unwrap().push("an end".to_owned());
    }
}

/// Nothing is fetched here.
struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn send(&self, _outgoing: Outgoing) -> Result<fetch::Response, String> {
        Err("nobody answers".to_owned())
    }
}

/// A commit whose caller was told that nobody knows: what it may make stale is not believed, and what follows follows late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_commit_follows_when_the_store_says_late_that_it_happened() {
    let data = TempDir::new().unwrap();
    let host = tokio::task::block_in_place(|| host(data.path(), Config::default()));
    host.prepare(false).await.unwrap();
    let [[account, other]] = <[_; 1]>::try_from(network::pairs(&host, 1).await).unwrap();
    let known = &host.registry.engine().shared().capabilities;
    let (commits, heard) = (Arc::new(Notify::new()), Arc::new(Heard::default()));
    let cost = Cost { memory_kib: 64, passes: 1, parallel: 1, waiting: 1, old_cost: MIN_OLD_COST };
    let capabilities = Capabilities {
        cache: known.cache.clone(),
        documents: Arc::new(Silent { store: host.documents.clone(), commits: commits.clone() }),
        generations: known.generations.clone(),
        sockets: heard.clone(),
        sessions: known.sessions.clone(),
        invalidations: known.invalidations.clone(),
        passwords: Passwords::new(cost).unwrap(),
        signing: Signing::default(),
        fetch: Fetch::new(Arc::new(Nobody), fetch::Options::default()),
        config: Settings::default(),
        clock: known.clock.clone(),
        refusals: known.refusals.clone(),
        deleted: known.deleted.clone(),
    };
    let lives = async |token: &str| known.sessions.check(token).await.unwrap().is_some();
    assert!(lives(&account.token).await && lives(&other.token).await, "they live, and the cache knows");
    let emit = Emit {
        targets: vec![Target::User(account.id.clone())],
        event: "late".to_owned(),
        payload: to_raw_value(&1).unwrap(),
    };
    let unit = UnitOfWork {
        writes: vec![known.sessions.end(&account.id, &Ending::All).unwrap()],
        ended: vec![(account.id.clone(), Ending::All)],
        emits: vec![emit],
        ..UnitOfWork::default()
    };
    let (done, _) = unit.commit(&capabilities, None).await;
    assert!(matches!(done, Err(Error::Unavailable(_))), "{done:?}");
    assert!(lives(&account.token).await, "it has not ended yet");
    assert_eq!(heard.all(), ["an end"]);
    commits.notify_one();
    until("the session is over", SOON, async || !lives(&account.token).await).await;
    until("what follows has followed", SOON, async || heard.all() == ["an end", "an end", "late"]).await;
    assert!(lives(&other.token).await);
    host.close().await;
}

/// A canary is neither promoted nor rolled back for what a store did: the calls that it did not serve are counted apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_not_the_components_failure() {
    let data = TempDir::new().unwrap();
    let nobody = "mongodb://127.0.0.1:9/devconnect?replicaSet=rs0".to_owned();
    let config = Config { mongodb: Some(Address(nobody)), ..Config::default() };
    let host = tokio::task::block_in_place(|| {
        let host = host(data.path(), config);
        host.registry.deploy_folder(&harness::components_folder()).unwrap_or_else(|error| panic!("{error}"));
        host
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/login", listener.local_addr().unwrap());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let trigger = host.http.clone();
    let serving = tokio::spawn(async move {
        let side = Listener::new(ListenerOptions::default(), Arc::default());
        serve(listener, &side, trigger, async { _ = ended.await }).await.unwrap();
    });
    let counts = host.registry.component("auth").unwrap().counts.clone();
    let client = reqwest::Client::new();
    let typed = json!({ "emailId": "sue@example.com", "password": "Str0ng!Pass" });
    for _ in 0..3 {
        let answer = client.post(&url).json(&typed).send().await.unwrap();
        assert_eq!(answer.status(), 503);
    }
    assert_eq!((counts.of(Outcome::Store), counts.judged()), (3, (0, 0)));
    // What it refuses by itself is its own answer.
    let answer = client.post(&url).json(&json!({ "emailId": 7 })).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!((counts.of(Outcome::Store), counts.judged()), (3, (1, 0)));
    end.send(()).unwrap();
    serving.await.unwrap();
    host.close().await;
}
