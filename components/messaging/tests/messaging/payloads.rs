//! Whatever a client sends: an answer in words, never a failure of the component.

use harness::{App, Value, json};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::members::pair;

const EVENTS: [&str; 6] =
    ["register", "private-message", "message:delivered", "message:read", "typing", "presence:query"];

/// Any JSON, with the names and ids that the handlers look for among it.
fn payload(ids: Vec<String>) -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("toUserId".to_owned()),
        Just("message".to_owned()),
        Just("clientId".to_owned()),
        Just("_id".to_owned()),
        Just("userId".to_owned()),
        Just("$ne".to_owned()),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        proptest::sample::select(ids).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Attack (injection): generated payloads of any shape for every event. Outcome: a refusal in words; no handler fails.
#[test]
fn no_payload_makes_a_handler_fail() {
    let app = App::with(&["messaging"]);
    let (ada, bob) = pair(&app);
    let sent = app.socket(bob.id).ask("private-message", &json!({ "toUserId": ada.hex(), "message": "hi" }));
    let message = sent["_id"].as_str().unwrap().to_owned();
    let socket = app.socket(ada.id);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let asked = (proptest::sample::select(&EVENTS[..]), payload(vec![ada.hex(), bob.hex(), message]));
    let outcome = runner.run(&asked, |(event, payload)| {
        let ack = socket.ask(event, &payload);
        prop_assert!(ack.get("incident").is_none(), "{event} {payload}: {ack}");
        prop_assert!(ack["ok"] == true || ack["message"].is_string(), "{event} {payload}: {ack}");
        prop_assert!(ack["message"] != "Something went wrong", "{event} {payload}: {ack}");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
