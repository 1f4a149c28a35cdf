//! A Redis that is not there, does not answer, or comes back: callers learn so soon, and nobody has to help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use conformance::servers;
use devconnect_host::capability::cache::{Cache as _, Error, Redis, Ttl};

/// A server of this test's own, which it may treat badly.
struct Server {
    process: Child,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(port: u16) -> Self {
        let data = tempfile::TempDir::new().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(data.path());
        let process = command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| panic!("redis-server: {error}"));
        Self { process, _data: data }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until Redis answers; panics when it does not within fifteen seconds.
async fn heals(cache: &Redis) {
    let begun = Instant::now();
    while let Err(error) = cache.set("a", Bytes::from_static(b"1"), Ttl::clamped(60)).await {
        assert!(begun.elapsed() < Duration::from_secs(15), "it does not heal: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cache.get("a").await, Ok(Some(Bytes::from_static(b"1"))));
}

/// Fifty callers, one after the other, all learn that it is away before one of them would have waited for long.
async fn is_away(cache: &Redis) {
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(matches!(cache.get("a").await, Err(Error::Unavailable(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "they waited for {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_later_freezes_and_dies_is_away_and_heals() {
    // Installs it where it is missing.
    if tokio::task::spawn_blocking(servers::redis_url).await.unwrap().is_none() {
        return;
    }
    let port = free_port();
    let cache = Redis::open(&format!("redis://127.0.0.1:{port}"), "away:").unwrap();
    is_away(&cache).await;
    let server = Server::start(port);
    heals(&cache).await;
    server.signal("-STOP");
    is_away(&cache).await;
    server.signal("-CONT");
    heals(&cache).await;
    drop(server);
    is_away(&cache).await;
    let _again = Server::start(port);
    heals(&cache).await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    let Err(error) = Redis::open("rediz://:secret@127.0.0.1", "") else { panic!("it opens") };
    assert!(matches!(error, Error::Invalid(_)) && !error.to_string().contains("secret"), "{error}");
}
