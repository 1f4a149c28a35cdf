//! Other programs that share the stores: what the host writes, the clients of the earlier DevConnect read.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use capability::events::EventLog as _;
use e2e::{Member, Server, Stack, Value, json, node};
use store_kafka::{Kafka, KafkaOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const TOPICS: [&str; 5] =
    ["user-events", "message-events", "connection-events", "notification-events", "analytics-events"];

/// How many records each topic has.
async fn counts(kafka: &Kafka) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for topic in TOPICS {
        counts.insert(topic, kafka.end_offsets(topic).await.unwrap().iter().sum());
    }
    counts
}

/// Waits until every component has finished all events. Blocks.
fn until_consumed(stack: &Stack, server: &Server) {
    let begun = Instant::now();
    loop {
        let (said, well) = e2e::operate(server, &stack.data("host"), &["events", "lag", "--json"]);
        assert!(begun.elapsed() < PATIENCE, "{said}");
        let all: Vec<Value> = if well { serde_json::from_str(&said).unwrap() } else { continue };
        if all.iter().all(|lag| lag["finished"].as_u64() >= lag["end"].as_u64()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_original_reads_every_topic() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    let server = stack.start("host").await;
    let (ada, bea) = (Member::sign_up(&server.url, "Ada").await, Member::sign_up(&server.url, "Bea").await);
    // Requests, their notifications and the analytics of both; messages are those of the JavaScript clients.
    let answer = ada.post(&format!("/request/send/interested/{}", bea.id)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let options = KafkaOptions {
        topic_prefix: stack.variable("KAFKA_TOPIC_PREFIX").to_owned(),
        ..KafkaOptions::new(stack.variable("KAFKA_BROKERS"))
    };
    let kafka = Kafka::open(options, &TOPICS.map(|topic| (topic.to_owned(), 3)).into()).unwrap();
    tokio::task::block_in_place(|| node::test("notifications.test.mjs", &[&server.url], &[]));
    // What is told may publish more, until nothing is left.
    let mut before = BTreeMap::new();
    loop {
        tokio::task::block_in_place(|| until_consumed(&stack, &server));
        let now = counts(&kafka).await;
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before.values().all(|count| *count > 0), "{before:?}");
    let expected = json!(before).to_string();
    let environment = [
        ("KAFKA_BROKERS", stack.variable("KAFKA_BROKERS")),
        ("KAFKA_TOPIC_PREFIX", stack.variable("KAFKA_TOPIC_PREFIX")),
        ("KAFKA_EXPECTED", expected.as_str()),
    ];
    tokio::task::block_in_place(|| node::test("kafka.test.mjs", &[], &environment));
}
