//! Events that another program has put into Kafka: what is wrong with them stops nobody.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use capability::events::{Event, EventLog as _};
use e2e::{Expected, Member, Server, ServerOptions, Stack, Value, json};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use store_kafka::{Kafka, KafkaOptions};

const TOPIC: &str = "user-events";

/// A producer as the earlier DevConnect had it: it knows nothing of our headers.
struct Foreign {
    producer: FutureProducer,
    topic: String,
}

impl Foreign {
    fn of(stack: &Stack) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", stack.variable("KAFKA_BROKERS")).set("message.max.bytes", "10000000");
        let topic = format!("{}{TOPIC}", stack.variable("KAFKA_TOPIC_PREFIX"));
        Self { producer: config.create().unwrap(), topic }
    }

    async fn send(&self, key: &str, value: &[u8], kind: Option<&str>) {
        let mut record = FutureRecord::to(&self.topic).key(key).payload(value);
        if let Some(kind) = kind {
            let header = Header { key: "event-type", value: Some(kind) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        self.producer.send(record, Duration::from_secs(20)).await.unwrap();
    }
}

/// The dead letters of the topic.
async fn dead(stack: &Stack) -> Vec<Event> {
    let options = KafkaOptions {
        topic_prefix: stack.variable("KAFKA_TOPIC_PREFIX").to_owned(),
        ..KafkaOptions::new(stack.variable("KAFKA_BROKERS"))
    };
    let kafka = Kafka::open(options, &BTreeMap::from([(TOPIC.to_owned(), 3)])).unwrap();
    let mut all = Vec::new();
    for partition in 0..3 {
        all.extend(
            kafka.read(&format!("{TOPIC}.dlq"), partition, 0, 100).await.unwrap().into_iter().map(|found| found.event),
        );
    }
    all
}

async fn summary(member: &Member, name: &str, expected: u64) {
    while member.read("/analytics/summary").await["data"][name] != expected {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Attack (API10): records of others in Kafka that are no events. Outcome: dead letters; everything else is told.
#[tokio::test(flavor = "multi_thread")]
async fn poison_in_kafka_stops_nobody_and_operators_see_to_it() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    // Of what does not say its type every component that has the topic is told.
    let expects = vec![
        Expected::DeadLetters(TOPIC),
        Expected::Outcome("*", "unable"),
        Expected::Warning("an event is a dead letter"),
    ];
    let server = stack.start_with("host", ServerOptions { expects, ..ServerOptions::default() }).await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    summary(&ada, "logins", 0).await;
    // Who begins with what comes from then on has begun.
    tokio::task::block_in_place(|| until_consumed(&stack, &server));
    let foreign = Foreign::of(&stack);
    let envelope = |kind: &str, user: &str| {
        json!({ "eventType": kind, "userId": user, "timestamp": "2026-11-25T12:00:00.000Z", "data": {} }).to_string()
    };
    // Everything in the lane of one key, and each is what analytics and activity are told.
    let large =
        format!("{{\"eventType\":\"USER_LOGIN\",\"userId\":\"{}\",\"data\":\"{}\"}}", ada.id, "x".repeat(900_000));
    for (value, kind) in [
        (b"not JSON".as_slice(), None),
        (b"not JSON", Some("USER_LOGIN")),
        (&[0xFF, 0x00, 0xFE], None),
        (b"", None),
        (b"[]", Some("USER_LOGIN")),
        (large.as_bytes(), None),
        (envelope("USER_LOGIN", "nobody").as_bytes(), None),
        (envelope("USER_FLEW", &ada.id).as_bytes(), Some("USER_FLEW")),
    ] {
        foreign.send(&ada.id, value, kind).await;
    }
    let again = Member::log_in(&server.url, &ada.email, e2e::PASSWORD).await;
    summary(&again, "logins", 1).await;
    // The earlier program's own events count as well.
    let today = json!({ "eventType": "USER_LOGIN", "userId": ada.id, "timestamp": now(), "data": {} });
    foreign.send(&ada.id, today.to_string().as_bytes(), None).await;
    summary(&again, "logins", 2).await;

    tokio::task::block_in_place(|| until_consumed(&stack, &server));
    let letters = dead(&stack).await;
    let of = |component: &str| {
        let header = |event: &Event, name: &str| {
            event.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.clone())
        };
        let own = letters.iter().filter(|event| header(event, "dead-component").as_deref() == Some(component));
        own.map(|event| header(event, "dead-position").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("analytics").len(), 7, "each bad one once; what flew is not among its types");
    assert_eq!(of("analytics").iter().collect::<BTreeSet<_>>().len(), 7);
    assert_eq!(of("activity").len(), 7, "nor is it among those of activity");
    assert!(letters.iter().all(|event| event.key == ada.id && event.value.len() <= 256 << 10));
    operated(&stack, server, letters.len()).await;
}

/// Waits until every component has finished what is in the topic. Blocks.
fn until_consumed(stack: &Stack, server: &Server) {
    let begun = Instant::now();
    loop {
        let (said, well) = e2e::operate(server, &stack.data("host"), &["events", "lag", "--json"]);
        assert!(begun.elapsed() < Duration::from_secs(60), "{said}");
        // A broker that was just started does not know its topics yet, and the host says so.
        let all: Vec<Value> = if well { serde_json::from_str(&said).unwrap() } else { continue };
        let mut topic = all.iter().filter(|lag| lag["topic"] == TOPIC);
        if topic.all(|lag| lag["finished"].as_u64() >= lag["end"].as_u64()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What operators see and do: the rest of the same story.
async fn operated(stack: &Stack, server: Server, letters: usize) {
    let data = stack.data("host");
    let blocking = tokio::task::spawn_blocking(move || {
        let operate = |arguments: &[&str]| e2e::operate(&server, &data, arguments);
        let list = || -> Vec<Value> {
            let (said, well) = operate(&["events", "dlq", "list", "--json"]);
            assert!(well, "{said}");
            serde_json::from_str(&said).unwrap()
        };
        let listed = list();
        assert_eq!(listed.len(), letters);
        assert!(listed.is_sorted_by_key(|letter| std::cmp::Reverse(letter["at"].as_u64())), "the newest first");
        // Page by page it is the same.
        let mut paged: Vec<Value> = Vec::new();
        loop {
            let before = paged.last().map(|last| last["name"].as_str().unwrap().to_owned());
            let mut arguments = vec!["events", "dlq", "list", "--json", "--limit", "3"];
            arguments.extend(before.iter().flat_map(|name| ["--before", name.as_str()]));
            let (said, well) = operate(&arguments);
            assert!(well, "{said}");
            let page: Vec<Value> = serde_json::from_str(&said).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, listed);
        let (said, well) = operate(&["events", "dlq", "list", "--limit", "2"]);
        assert!(well && said.contains(&format!("There are {letters} dead letters:\n")), "{said}");
        assert!(said.contains(&format!("Older ones: --before {}\n", listed[1]["name"].as_str().unwrap())), "{said}");
        for wrong in ["--limit=0", "--limit=1001", "--before=nothing", "--before=user-events/0/99999"] {
            let (said, well) = operate(&["events", "dlq", "list", wrong]);
            assert!(!well, "{wrong}: {said}");
        }
        let named = |component: &str, reason: &str| {
            let found = listed
                .iter()
                .find(|letter| letter["component"] == component && letter["reason"].as_str().unwrap().contains(reason));
            found.unwrap_or_else(|| panic!("{component} {reason}")).clone()
        };
        let unreadable = named("activity", "nobody");
        let name = unreadable["name"].as_str().unwrap();
        let (shown, _) = operate(&["events", "dlq", "show", name]);
        assert!(shown.contains("userId") && shown.contains("dead") || shown.contains("USER_LOGIN"), "{shown}");

        // It fails again, for its component alone.
        let (said, well) = operate(&["events", "dlq", "replay", name]);
        assert!(well && said.contains("is told to activity again, behind everything"), "{said}");
        let again = loop {
            let now = list();
            let event = &unreadable["event"];
            let found: Vec<Value> = now.into_iter().filter(|letter| letter["event"] == *event).collect();
            if found.iter().any(|letter| letter["component"] == "activity") {
                break found;
            }
        };
        assert_eq!(again.len(), listed.iter().filter(|letter| letter["event"] == unreadable["event"]).count());
        let (said, well) = operate(&["events", "dlq", "replay", name]);
        assert!(!well && said.contains("replayed already"), "{said}");

        let large = named("analytics", "262144");
        let (said, well) = operate(&["events", "dlq", "replay", large["name"].as_str().unwrap()]);
        assert!(!well && said.contains("too large to be published"), "{said}");
        let (said, well) = operate(&["events", "dlq", "drop", large["name"].as_str().unwrap()]);
        assert!(well && said.contains("dropped"), "{said}");
        assert_eq!(list().len(), letters - 1);
        for wrong in ["user-events/0/99999", "nothing/0/0", "user-events/9/0", "user-events/x/0", "..", ""] {
            let (said, well) = operate(&["events", "dlq", "show", wrong]);
            assert!(!well, "{wrong}: {said}");
        }
        let (said, well) = operate(&["events", "dlq", "list", "--topic", "nothing"]);
        assert!(!well && said.contains("there is no topic \"nothing\""), "{said}");

        let (said, well) = operate(&["events", "lag", "--json"]);
        let lag: Vec<Value> = serde_json::from_str(&said).unwrap();
        assert!(well && lag.iter().any(|lag| lag["component"] == "analytics" && lag["finished"].as_u64() > Some(0)));
        let (said, well) = operate(&["events", "lag"]);
        assert!(well && said.contains("notification-events"), "{said}");

        // What is made of events is made anew, once at a time; what does more than that can't be.
        let (said, well) = operate(&["events", "rebuild", "analytics"]);
        assert!(well && said.contains("analytics: generation 1 is read from now on"), "{said}");
        let (said, well) = operate(&["events", "rebuild", "analytics"]);
        assert!(!well && said.contains("less than 10s ago"), "{said}");
        for (component, why) in [("notifications", "nothing that is built from events"), ("nobody", "no component")] {
            let (said, well) = operate(&["events", "rebuild", component]);
            assert!(!well && said.contains(why), "{said}");
        }
        let (said, _) = operate(&["events", "lag"]);
        assert!(said.contains("analytics~1"), "{said}");

        // Without the token nothing is shown.
        let (said, well) = e2e::operate(&server, std::path::Path::new("/nowhere"), &["events", "lag"]);
        assert!(!well && said.contains("DEVCONNECT_ADMIN_TOKEN"), "{said}");
        server
    });
    let server = blocking.await.unwrap();
    for (path, status) in [("/v1/lag", 401), ("/v1/nothing", 401), ("/nothing", 404)] {
        let answer = reqwest::get(format!("{}{path}", server.admin)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["message"].is_string());
    }
}

/// This moment as the earlier program writes it.
fn now() -> String {
    bson::DateTime::now().try_to_rfc3339_string().unwrap()
}
