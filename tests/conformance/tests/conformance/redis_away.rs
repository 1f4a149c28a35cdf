//! A Redis that is not there, does not answer, or comes back: callers learn so soon, and nobody has to help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use capability::cache::{Cache as _, Error, Ttl};
use capability::hosts::Peers as _;
use conformance::redis_server::RedisServer;
use conformance::servers;
use store_redis as redis;
use store_redis::RedisCache;
use store_redis::{Options, Redis};

fn open(url: &str) -> Result<Arc<Redis>, redis::Error> {
    let options = Options { url: url.to_owned(), prefix: "away:".into(), near: vec!["near:".into()] };
    Redis::open(options).map(|(redis, _)| redis)
}

fn ttl() -> Ttl {
    Ttl::clamped(60)
}

/// Asks until Redis answers; panics when it does not within fifteen seconds.
async fn heals(cache: &RedisCache) {
    let begun = Instant::now();
    while let Err(error) = cache.set("a", Bytes::from_static(b"1"), ttl()).await {
        assert!(begun.elapsed() < Duration::from_secs(15), "it does not heal: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cache.get("a").await, Ok(Some(Bytes::from_static(b"1"))));
}

/// Fifty callers, one after the other, all learn that it is away before one of them would have waited for long.
async fn is_away(cache: &RedisCache) {
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(matches!(cache.get("a").await, Err(Error::Unavailable(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "they waited for {:?}", begun.elapsed());
}

/// Whether there is a `redis-server`; it is installed where it is missing and can be.
async fn there_is_redis() -> bool {
    tokio::task::spawn_blocking(servers::redis_url).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_later_freezes_and_dies_is_away_and_heals() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    let cache = RedisCache::new(open(&server.url()).unwrap());
    is_away(&cache).await;
    server.start();
    heals(&cache).await;
    server.freeze();
    is_away(&cache).await;
    assert_eq!(cache.increment("limit", 1, ttl()).await, Ok(1), "a limit goes on");
    assert_eq!(cache.increment("limit", 1, ttl()).await, Ok(2));
    assert_eq!(cache.get("limit").await, Ok(Some(Bytes::from_static(b"2"))));
    server.thaw();
    heals(&cache).await;
    server.kill();
    is_away(&cache).await;
    server.start();
    heals(&cache).await;
}

/// A Redis that is full answers each write with an error, and everything else as before. That is no Redis that is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_writes_and_nothing_else() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    server.start();
    let redis = open(&server.url()).unwrap();
    let cache = RedisCache::new(redis.clone());
    heals(&cache).await;
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());
    for key in ["kept", "replaced", "ended", "near:ended"] {
        cache.set(key, value("old"), ttl()).await.unwrap();
    }
    cache.push_recent("list", value("1"), 9, ttl()).await.unwrap();
    server.cli(&["config", "set", "maxmemory-policy", "noeviction"]);
    server.cli(&["config", "set", "maxmemory", "1"]);

    let refused =
        |answer: Result<(), Error>| matches!(answer, Err(Error::Unavailable(why)) if why.contains("takes no writes"));
    for n in 1..=20 {
        assert!(refused(cache.set("new", value("1"), ttl()).await), "a write is refused by name");
        assert!(refused(cache.set_if_absent("new", value("1"), ttl()).await.map(drop)));
        assert!(refused(cache.compare_and_set("new", None, value("1"), ttl()).await.map(drop)));
        assert!(refused(cache.fill_recent("new", vec![value("1")], ttl()).await.map(drop)));
        assert_eq!(cache.get("kept").await, Ok(Some(value("old"))), "reads go on");
        assert_eq!(cache.get("new").await, Ok(None));
        assert_eq!(cache.increment("limit", 1, ttl()).await, Ok(n), "a limit goes on");
        assert!(redis.is_up(), "it is not away for what needs no memory");
    }
    assert_eq!(redis.health().name(), "degraded");

    // What would be old now is not read any more, by any host.
    assert!(refused(cache.set("replaced", value("new"), ttl()).await));
    for key in ["ended", "near:ended"] {
        assert!(refused(cache.invalidate(key, ttl()).await), "it is repeated until it holds");
    }
    assert!(refused(cache.push_recent("list", value("2"), 9, ttl()).await.map(drop)));
    let other = RedisCache::new(open(&server.url()).unwrap());
    let begun = Instant::now();
    while other.get("kept").await != Ok(Some(value("old"))) {
        assert!(begun.elapsed() < Duration::from_secs(15), "another host can't read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for host in [&cache, &other] {
        for key in ["replaced", "ended", "near:ended"] {
            assert_eq!(host.get(key).await, Ok(None), "{key}");
        }
        assert_eq!(host.recent("list", 9).await, Ok(None));
    }
    assert_eq!(cache.delete("kept").await, Ok(true), "deleting goes on");

    server.cli(&["config", "set", "maxmemory", "0"]);
    heals(&cache).await;
    becomes_known(&redis, "up").await;
}

/// Waits until what is known of a Redis that nobody calls is this; panics when it is not within ten seconds.
async fn becomes_known(redis: &Redis, state: &str) {
    let begun = Instant::now();
    while redis.health().name() != state {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not known to be {state}: {:?}", redis.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("known to be {state} after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_asks_nothing_sees_it_come_and_go() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    let redis = open(&server.url()).unwrap();
    becomes_known(&redis, "down").await;
    server.start();
    becomes_known(&redis, "up").await;
    server.freeze();
    becomes_known(&redis, "down").await;
    server.thaw();
    becomes_known(&redis, "up").await;
    server.kill();
    becomes_known(&redis, "down").await;
    server.start();
    becomes_known(&redis, "up").await;
}

/// Two hosts on a server; the first one has read a value that it keeps near.
async fn two_hosts(server: &RedisServer) -> [RedisCache; 2] {
    let hosts = [(); 2].map(|()| RedisCache::new(open(&server.url()).unwrap()));
    for host in &hosts {
        heals(host).await;
    }
    hosts[1].set("near:k", Bytes::from_static(b"old"), ttl()).await.unwrap();
    // It is near once reading it does not reach the server.
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is not kept near");
        assert_eq!(hosts[0].get("near:k").await, Ok(Some(Bytes::from_static(b"old"))));
        let before = reads(server);
        for _ in 0..100 {
            assert_eq!(hosts[0].get("near:k").await, Ok(Some(Bytes::from_static(b"old"))));
        }
        if reads(server) == before {
            return hosts;
        }
    }
}

/// How many scripts and reads the server has answered.
fn reads(server: &RedisServer) -> Vec<String> {
    let stats = server.cli(&["info", "commandstats"]);
    let reads = stats.lines().filter(|line| line.contains("_get:") || line.contains("_eval"));
    reads.map(str::to_owned).collect()
}

/// Asks a host until it answers with something new, or not at all; panics when it takes longer than `within`.
async fn is_not_old(host: &RedisCache, within: Duration) {
    let begun = Instant::now();
    while host.get("near:k").await == Ok(Some(Bytes::from_static(b"old"))) {
        assert!(begun.elapsed() < within, "it is still there after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_near_goes_when_another_host_writes() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    server.start();
    let [one, other] = two_hosts(&server).await;
    other.set("near:k", Bytes::from_static(b"new"), ttl()).await.unwrap();
    // Moments, were it not for machines that are busy.
    is_not_old(&one, Duration::from_secs(1)).await;
    assert_eq!(one.get("near:k").await, Ok(Some(Bytes::from_static(b"new"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_that_is_lost_with_its_connection_does_no_harm() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    server.start();
    let [one, other] = two_hosts(&server).await;
    server.cli(&["client", "kill", "type", "pubsub"]);
    other.set("near:k", Bytes::from_static(b"new"), ttl()).await.unwrap();
    is_not_old(&one, Duration::from_secs(1)).await;
    // It listens again, and keeps things near again.
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not listen again");
        let before = reads(&server);
        let _ = one.get("near:k").await;
        if reads(&server) == before {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_near_is_believed_of_a_redis_that_is_frozen() {
    if !there_is_redis().await {
        return;
    }
    let mut server = RedisServer::absent();
    server.start();
    let [one, _other] = two_hosts(&server).await;
    server.freeze();
    is_not_old(&one, Duration::from_secs(2)).await;
    assert!(matches!(one.get("near:k").await, Err(Error::Unavailable(_))));
    server.thaw();
    heals(&one).await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    let Err(error) = open("rediz://:secret@127.0.0.1") else { panic!("it opens") };
    assert!(matches!(error, redis::Error::Refused(_)) && !error.to_string().contains("secret"), "{error}");
}
