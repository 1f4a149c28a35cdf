//! Messages of hosts to each other, and a component's answers to clients, made up and damaged.

use fuzzing::{config, damage};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{HostMessage, MessageBody};
use crate::socket::messages::MessageReply;
use capability::sessions::Ending;
use capability::sockets::Target;

/// JSON of all kinds.
fn json() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,10}".prop_map(Value::from),
    ];
    plain.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        "\\PC{0,8}".prop_map(Target::User),
        "\\PC{0,8}".prop_map(Target::Room),
        "\\PC{0,8}".prop_map(Target::Socket),
    ]
}

fn body() -> impl Strategy<Value = MessageBody> {
    let text = || "\\PC{0,8}";
    let ending = prop_oneof![text().prop_map(Ending::One), text().prop_map(Ending::Others), Just(Ending::All)];
    prop_oneof![
        (prop::collection::vec(target(), 0..3), text(), json())
            .prop_map(|(targets, event, payload)| MessageBody::Emit { targets, event, payload: raw(&payload) }),
        (any::<u64>(), text(), text(), json(), any::<u64>()).prop_map(|(number, socket, event, payload, millis)| {
            MessageBody::Ask { number, socket, event, payload: raw(&payload), millis }
        }),
        (text(), any::<u64>(), json()).prop_map(|(to, number, answer)| MessageBody::Answer {
            to,
            number,
            answer: raw(&answer)
        }),
        (text(), ending).prop_map(|(user, ending)| MessageBody::End { user, ending }),
    ]
}

fn messages() -> impl Strategy<Value = Vec<HostMessage>> {
    prop::collection::vec(("[0-9a-f]{16}", body()).prop_map(|(from, what)| HostMessage { from, what }), 0..4)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hosts_read_what_hosts_write(messages in messages()) {
        let written = serde_json::to_vec(&messages).unwrap();
        let read: Vec<HostMessage> = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(serde_json::to_vec(&read).unwrap(), written);
    }

    #[test]
    fn a_damaged_message_is_refused_or_a_message(messages in messages(), damage in damage()) {
        let damaged = damage.of(&serde_json::to_vec(&messages).unwrap());
        if let Ok(read) = serde_json::from_slice::<Vec<HostMessage>>(&damaged) {
            let again = serde_json::to_vec(&read).unwrap();
            prop_assert!(serde_json::from_slice::<Vec<HostMessage>>(&again).is_ok());
        }
    }

    #[test]
    fn a_client_gets_an_answer_as_the_component_gave_it(value in json(), event in "\\PC{0,100}") {
        let done = || MessageReply::Done(raw(&value));
        prop_assert_eq!(done().into_ack(), value.clone());
        prop_assert_eq!(done().into_error(&event), None);
        let Value::Object(fields) = value else { return Ok(()) };
        let refused = MessageReply::Refused(fields.clone()).into_ack();
        prop_assert_eq!(&refused["ok"], &json!(false));
        let error = MessageReply::Refused(fields.clone()).into_error(&event).unwrap();
        // What a client sent is repeated in part only.
        prop_assert!(error["event"].as_str().is_some_and(|shown| shown.chars().count() <= 80), "{error}");
        for (name, field) in fields.iter().filter(|(name, _)| !["ok", "event"].contains(&name.as_str())) {
            prop_assert_eq!(&refused[name.as_str()], field);
            prop_assert_eq!(&error[name.as_str()], field);
        }
    }
}
