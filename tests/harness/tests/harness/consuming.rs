//! What becomes of events, whatever a component does with them: their effect once and in order, or a dead letter.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{App, doc, file, json};

/// Three tries.
const TOPIC: &str = "user-events";
/// A hundred tries.
const STUBBORN: &str = "message-events";
/// Ten of a key in a call, two tries.
const BATCHED: &str = "connection-events";

fn app() -> App {
    App::with(&["consuming"])
}

fn what(what: &str, n: i64) -> String {
    json!({ "eventType": "DO", "userId": "u", "data": { "what": what, "n": n } }).to_string()
}

/// What was counted under a key, in order.
fn counted(app: &App, key: &str) -> Vec<i64> {
    let found = app.find("useractivity", doc! { "_id": key });
    let Some(row) = found.first() else { return Vec::new() };
    let order: Vec<i64> = row.get_array("order").unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    let count = row.get("count").and_then(|count| count.as_i64().or_else(|| count.as_i32().map(i64::from)));
    assert_eq!(count.unwrap(), i64::try_from(order.len()).unwrap());
    order
}

#[test]
fn events_of_a_key_are_told_in_order_and_each_has_one_effect() {
    let app = app();
    for n in 0..200 {
        app.publish(TOPIC, &format!("key{}", n % 7), "DO", what("count", n));
    }
    app.until_consumed("consuming");
    for key in 0..7 {
        let expected: Vec<i64> = (0..200).filter(|n| n % 7 == key).collect();
        assert_eq!(counted(&app, &format!("key{key}")), expected);
    }
    assert_eq!(app.events("analytics-events").len(), 200, "what it publishes goes out with the effect");
    assert!(app.dead_letters(TOPIC).is_empty());
}

#[test]
fn an_event_that_comes_again_has_no_second_effect() {
    let app = app();
    let id = app.publish(TOPIC, "key", "DO", what("count", 1));
    app.publish_again(&id, TOPIC, "key", "DO", what("count", 1));
    app.until_consumed("consuming");
    app.publish_again(&id, TOPIC, "key", "DO", what("count", 1));
    // Also where it would fail by now: it has had its effect.
    app.publish_again(&id, TOPIC, "key", "DO", what("reject", 1));
    app.publish(TOPIC, "key", "DO", what("count", 2));
    app.until_consumed("consuming");
    assert_eq!(counted(&app, "key"), [1, 2]);
    assert_eq!((app.events("analytics-events").len(), app.dead_letters(TOPIC).len()), (2, 0));
}

#[test]
fn what_fails_is_tried_again_and_then_a_dead_letter_and_its_key_goes_on() {
    let app = app();
    let failing = ["retry", "trap", "loop"].map(|how| {
        let id = app.publish(TOPIC, how, "DO", what(how, 1));
        app.publish(TOPIC, how, "DO", what("count", 2));
        (how, id)
    });
    let rejected = app.publish(TOPIC, "reject", "DO", what("reject", 1));
    app.publish(TOPIC, "reject", "DO", what("count", 2));
    app.until_consumed("consuming");
    let letters = app.dead_letters(TOPIC);
    assert_eq!(letters.len(), 4);
    let letter = |id: &str| letters.iter().find(|letter| letter.event == id).unwrap();
    for (how, id) in &failing {
        let letter = letter(id);
        assert_eq!((letter.component.as_str(), letter.attempts), ("consuming", 3), "{how}: {}", letter.reason);
        assert_eq!(counted(&app, how), [2], "nothing of what failed is done");
    }
    assert_eq!((letter(&rejected).attempts, letter(&rejected).reason.as_str()), (1, "it says so"));
    assert_eq!(counted(&app, "reject"), [2]);
    assert!(letter(&failing[1].1).reason.contains("trapped"), "{}", letter(&failing[1].1).reason);
}

#[test]
fn what_one_call_gathers_is_bounded_and_checked_when_it_is_given() {
    let app = app();
    let gathering = app.publish(TOPIC, "gather", "DO", what("gather", 1));
    app.publish(TOPIC, "gather", "DO", what("count", 2));
    app.publish(TOPIC, "too-large", "DO", what("too-large", 1));
    app.until_consumed("consuming");
    let letters = app.dead_letters(TOPIC);
    assert_eq!(letters.iter().map(|letter| letter.event.as_str()).collect::<Vec<_>>(), [gathering]);
    assert!(letters[0].reason.contains("at most 16777216 bytes"), "{}", letters[0].reason);
    assert_eq!((counted(&app, "gather"), counted(&app, "too-large")), (vec![2], vec![1]));
    for key in ["gather 0", "too-large too large"] {
        assert!(app.find("useractivity", doc! { "_id": key }).is_empty(), "nothing of what was refused is done");
    }
}

#[test]
fn poison_stops_nobody() {
    let app = app();
    let large = vec![b'x'; 256 << 10];
    let bad = [
        app.publish(TOPIC, "key", "DO", "not JSON"),
        app.publish(TOPIC, "key", "DO", [0xFF, 0xFE]),
        app.publish(TOPIC, "key", "DO", ""),
        app.publish(TOPIC, "key", "DO", "{}"),
        app.publish(TOPIC, "key", "DO", large),
        app.publish(TOPIC, "key", "", "no type and not JSON"),
    ];
    // Not among the types that it wants, so that it is not told.
    app.publish(TOPIC, "key", "OTHER", "not JSON");
    app.publish(TOPIC, "key", "DO", what("count", 1));
    app.until_consumed("consuming");
    assert_eq!(counted(&app, "key"), [1]);
    let dead: Vec<String> = app.dead_letters(TOPIC).into_iter().map(|letter| letter.event).collect();
    assert_eq!(dead, bad);
}

#[test]
fn several_events_in_a_call_are_told_one_by_one_when_one_of_them_is_bad() {
    let app = app();
    let mut again = None;
    for n in 0..30 {
        let how = if n == 17 { "reject" } else { "count" };
        let id = app.publish(BATCHED, "key", "DO", what(how, n));
        again = again.or((n == 5).then_some(id));
    }
    app.publish_again(&again.unwrap(), BATCHED, "key", "DO", what("count", 5));
    app.publish(BATCHED, "key", "DO", what("count", 30));
    app.until_consumed("consuming");
    let expected: Vec<i64> = (0..=30).filter(|n| *n != 17).collect();
    assert_eq!(counted(&app, "key"), expected);
    assert_eq!(app.dead_letters(BATCHED).len(), 1);
}

#[test]
fn a_deploy_in_the_middle_loses_and_repeats_nothing() {
    let app = app();
    let file = file("consuming");
    for n in 0..600 {
        app.publish(TOPIC, &format!("key{}", n % 20), "DO", what("count", n));
        if n % 60 == 30 {
            app.deploy(&file).unwrap();
        }
    }
    app.until_consumed("consuming");
    for key in 0..20 {
        let expected: Vec<i64> = (0..600).filter(|n| n % 20 == key).collect();
        assert_eq!(counted(&app, &format!("key{key}")), expected);
    }
    assert!(app.dead_letters(TOPIC).is_empty());
}

/// How long single events take, each of a key of its own, from their commit to their effect.
fn latencies(app: &App, name: &str) -> String {
    let mut all: Vec<Duration> = (0..100)
        .map(|n| {
            let key = format!("{name}{n}");
            let begun = Instant::now();
            app.publish(TOPIC, &key, "DO", what("count", n));
            while counted(app, &key).is_empty() {
                std::thread::yield_now();
            }
            begun.elapsed()
        })
        .collect();
    all.sort();
    format!("p50 {:.1?}, p99 {:.1?}", all[50], all[99])
}

#[test]
fn keys_that_fail_and_calls_that_are_slow_delay_no_other_key() {
    let app = app();
    let before = latencies(&app, "before");
    let stuck: BTreeSet<String> = ["retry", "trap", "loop"]
        .into_iter()
        .flat_map(|how| (0..10).map(move |n| (how, n)))
        .map(|(how, n)| {
            let key = format!("{how}{n}");
            app.publish(STUBBORN, &key, "DO", what(how, 1));
            app.publish(STUBBORN, &key, "DO", what("count", 2));
            key
        })
        .collect();
    let during = latencies(&app, "during");
    eprintln!("a key of its own: {before}; while 30 keys fail and ten of them spin for 200 ms each time: {during}");
    for key in stuck {
        assert_eq!(counted(&app, &key), [0_i64; 0], "{key} still fails, and what comes behind waits");
    }
    assert!(app.dead_letters(STUBBORN).is_empty());
}
