//! Messages, made up: an event comes back as it was sent, and every other program's message is an event.

use capability::events::Event;
use fuzzing::config;
use proptest::prelude::*;
use rdkafka::Timestamp;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

use crate::message::{headers, record, time};

fn message(event: &Event, headers: OwnedHeaders) -> OwnedMessage {
    let key = event.key.clone().into_bytes();
    let at = Timestamp::CreateTime(time(event));
    OwnedMessage::new(Some(event.value.clone()), Some(key), event.topic.clone(), at, 3, 7, Some(headers))
}

/// Names have no zero byte: Kafka's library ends one there.
fn named() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![1 => Just("event-id".to_owned()), 1 => Just("event-type".to_owned()), 4 => "[^\0]{1,12}"];
    (name, "\\PC{0,20}")
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..20))
}

fn event() -> impl Strategy<Value = Event> {
    let texts = ("\\PC{0,20}", "[a-z.-]{1,20}", "\\PC{0,20}", "[A-Z_]{0,20}");
    let value = prop::collection::vec(any::<u8>(), 0..100);
    (texts, value, prop::collection::vec(named(), 0..5), 0..=i64::MAX as u64)
        .prop_map(|((id, topic, key, kind), value, headers, at)| Event { id, topic, key, kind, value, headers, at })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_event_comes_back_as_it_was_sent(event in event()) {
        let record = record(&event.topic, &message(&event, headers(&event)));
        prop_assert_eq!((record.partition, record.offset), (3, 7));
        // Kafka takes 0 for now.
        let sent = Event { at: event.at.max(1), ..event };
        prop_assert_eq!(record.event, sent);
    }

    #[test]
    fn another_programs_message_is_an_event(
        (key, value) in (bytes(), bytes()),
        foreign in prop::collection::vec(("[^\0]{1,12}", bytes()), 0..5),
        (partition, offset, at) in (any::<i32>(), any::<i64>(), any::<i64>()),
    ) {
        let add = |headers: OwnedHeaders, (name, value): &(String, Option<Vec<u8>>)| {
            headers.insert(Header { key: name, value: value.as_ref() })
        };
        let headers = foreign.iter().fold(OwnedHeaders::new(), add);
        let at = Timestamp::LogAppendTime(at);
        let message = OwnedMessage::new(value.clone(), key, "t".into(), at, partition, offset, Some(headers));
        let record = record("t", &message);
        prop_assert_eq!(record.event.value, value.unwrap_or_default());
        prop_assert!(i32::try_from(record.partition).is_ok() && i64::try_from(record.offset).is_ok());
        if foreign.iter().all(|(name, _)| !["event-id", "event-type"].contains(&name.as_str())) {
            prop_assert_eq!(record.event.headers.len(), foreign.len());
            let begins = format!("t/{}/{}/", record.partition, record.offset);
            prop_assert!(record.event.id.starts_with(&begins), "{}", record.event.id);
        }
    }
}
