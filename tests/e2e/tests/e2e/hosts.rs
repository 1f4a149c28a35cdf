//! Several hosts on one stack of real servers: what is done at one holds at all, and one that dies leaves no ghost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use capability::events::EventLog as _;
use e2e::{ServerOptions, Stack, Value, json, node};
use store_kafka::{Kafka, KafkaOptions};
use tokio::task::spawn_blocking;

async fn real() -> Option<Stack> {
    spawn_blocking(Stack::real).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_at_one_holds_at_the_other() {
    let Some(stack) = real().await else { return };
    let [one, other] = [stack.start("one").await, stack.start("other").await];
    let tested = spawn_blocking(move || {
        node::test("hosts.test.mjs", &[&one.url, &other.url], &[]);
        one.interrupt() && other.interrupt()
    });
    assert!(tested.await.unwrap(), "both end well");
}

/// How often each of these users was told to have gone, by Kafka.
async fn told_gone(stack: &Stack, users: &[String]) -> BTreeMap<String, usize> {
    let topic_prefix = stack.variable("KAFKA_TOPIC_PREFIX").to_owned();
    let options = KafkaOptions { topic_prefix, ..KafkaOptions::new(stack.variable("KAFKA_BROKERS")) };
    let kafka = Kafka::open(options, &BTreeMap::from([("user-events".to_owned(), 3)])).unwrap();
    let mut told = BTreeMap::new();
    for partition in 0..3 {
        let mut offset = 0;
        loop {
            let records = kafka.read("user-events", partition, offset, 1_000).await.unwrap();
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            for record in records.iter().filter(|record| record.event.kind == "USER_OFFLINE") {
                if users.contains(&record.event.key) {
                    *told.entry(record.event.key.clone()).or_default() += 1;
                }
            }
        }
    }
    told
}

/// A host is killed. Its users are told to have gone when its lease ends, each once to everyone and once to Kafka, and nobody
/// else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_leaves_no_ghosts() {
    const WATCHED: usize = 6;
    const WATCHERS: usize = 4;
    let Some(stack) = real().await else { return };
    let options = || ServerOptions { config: Some("[sockets]\nlease-seconds = 2\n"), ..ServerOptions::default() };
    let dies = stack.start_with("dies", options()).await;
    let living = [stack.start_with("one", options()).await, stack.start_with("other", options()).await];
    let urls = [&dies.url, &living[0].url, &living[1].url];

    let mut watch = node::node()
        .arg("watch.mjs")
        .env("DEVCONNECT_URL", urls[0])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = watch.stdin.take().unwrap();
    let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = said.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    writeln!(input, "{}", json!({ "urls": urls, "watched": WATCHED, "watchers": WATCHERS })).unwrap();

    let mut heard = Vec::new();
    let ready = loop {
        let line = hears.recv().await.expect("members that get ready");
        if line["ready"] == true {
            break line;
        }
        heard.push(line);
    };
    let ids = |name: &str| ready[name].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let (watched, watchers): (Vec<String>, Vec<String>) = (ids("watched"), ids("watchers"));
    let count = |heard: &[Value], online: bool| heard.iter().filter(|state| state["online"] == online).count();
    while count(&heard, true) < WATCHED * WATCHERS {
        let state = tokio::time::timeout(Duration::from_secs(20), hears.recv()).await;
        heard.push(state.expect("everybody is told that they are there").unwrap());
    }
    let killed = Instant::now();
    spawn_blocking(move || dies.kill()).await.unwrap();
    while count(&heard, false) < WATCHED * WATCHERS {
        let state = tokio::time::timeout(Duration::from_secs(20), hears.recv()).await;
        heard.push(state.expect("everybody is told that they went").unwrap());
    }
    eprintln!("everybody was told {:?} after the kill; the lease is 2 s", killed.elapsed());

    // Two leases more: nobody is told twice, and nobody else is.
    let until = Instant::now() + Duration::from_secs(4);
    while let Ok(Some(state)) = tokio::time::timeout_at(until.into(), hears.recv()).await {
        heard.push(state);
    }
    for watcher in 0..WATCHERS {
        for user in &watched {
            let states: Vec<&Value> =
                heard.iter().filter(|state| state["watcher"] == watcher && state["userId"] == user.as_str()).collect();
            let online: Vec<&Value> = states.iter().map(|state| &state["online"]).collect();
            assert_eq!(online, [&json!(true), &json!(false)], "{user} at {watcher}");
        }
    }
    assert_eq!(heard.len(), 2 * WATCHED * WATCHERS, "nobody else is told of: {heard:?}");
    // The events of the shards that the dead host relayed wait until another host has those.
    let (users, begun) = ([watched.clone(), watchers].concat(), Instant::now());
    let mut told = told_gone(&stack, &users).await;
    while told.len() < WATCHED && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        told = told_gone(&stack, &users).await;
    }
    assert_eq!(told, watched.into_iter().map(|user| (user, 1)).collect(), "one USER_OFFLINE each");
    drop(input);
    watch.wait().unwrap();
}
