//! Stores that don't answer, and callers that don't wait: who is to blame, and what follows all the same. The host is in this
//! process, so that its counts and capabilities can be asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use capability::passwords::{Cost, MIN_OLD_COST};
use capability::sessions::Ending;
use capability::unit_of_work::UnitOfWork;
use devconnect::config::{Address, Config};
use devconnect::{Host, HostOptions};
use e2e::{json, network, seed, until};
use engine::Outcome;
use tempfile::TempDir;
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
        serve(listener, &side, trigger, async { _ = ended.await }).await;
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
