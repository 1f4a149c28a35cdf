//! The mapping of events to messages: key, value and timestamp are the message's own, the rest are headers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

use capability::events::{Event, Record};
use sha2::{Digest as _, Sha256};

const ID: &str = "event-id";
const KIND: &str = "event-type";

/// The headers of an event: its id and type come before the event's own headers, which may have any names.
pub(super) fn headers(event: &Event) -> OwnedHeaders {
    let own = event.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = [(ID, event.id.as_str()), (KIND, event.kind.as_str())].into_iter().chain(own);
    let headers = OwnedHeaders::new_with_capacity(event.headers.len() + 2);
    all.fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// The timestamp of an event's message; Kafka takes 0 for now.
pub(super) fn time(event: &Event) -> i64 {
    i64::try_from(event.at).unwrap_or(i64::MAX).max(1)
}

/// The record of a message. A message of another program may lack the id.
pub(super) fn record(topic: &str, message: &impl Message) -> Record {
    let partition = message.partition().max(0).cast_unsigned();
    let offset = message.offset().max(0).cast_unsigned();
    let (mut id, mut kind, mut headers) = (None, None, Vec::new());
    for (name, value) in message.headers().map(readable).unwrap_or_default() {
        match name.as_str() {
            ID if id.is_none() => id = Some(value),
            KIND if kind.is_none() => kind = Some(value),
            _ => headers.push((name, value)),
        }
    }
    let event = Event {
        id: id.unwrap_or_else(|| identity(topic, message)),
        topic: topic.to_owned(),
        key: text(message.key()),
        kind: kind.unwrap_or_default(),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
        at: message.timestamp().to_millis().unwrap_or(0).max(0).cast_unsigned(),
    };
    Record { partition, offset, event }
}

/// The headers of a message, without those whose names are no UTF-8: `rdkafka` panics at one, and any program that may write to
/// the topic would stop its consumers.
fn readable(headers: &impl Headers) -> Vec<(String, String)> {
    let read = |at: usize| headers.try_get(at).map(|header| (header.key.to_owned(), text(header.value)));
    (0..headers.count()).filter_map(|at| catch_unwind(AssertUnwindSafe(|| read(at))).ok().flatten()).collect()
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The id of a message that has none: its position, and a hash of what is there. The position alone would not do: when its topic
/// is deleted and made anew, other messages have the same positions. What is read again is the same to the millisecond.
fn identity(topic: &str, message: &impl Message) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: Option<&[u8]>| {
        // Lengths keep what is next to each other apart; a missing part is not an empty one.
        hash.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    part(Some(&message.timestamp().to_millis().unwrap_or(-1).to_be_bytes()));
    part(message.key());
    part(message.payload());
    for (name, value) in message.headers().map(readable).unwrap_or_default() {
        part(Some(name.as_bytes()));
        part(Some(value.as_bytes()));
    }
    let hash = hex::encode(hash.finalize());
    format!("{topic}/{}/{}/{}", message.partition().max(0), message.offset().max(0), hash.get(..32).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three headers. The library does the same at a name that is no UTF-8 as at the second one here.
    struct Foreign;

    impl Headers for Foreign {
        fn count(&self) -> usize {
            3
        }

        fn try_get(&self, at: usize) -> Option<Header<'_, &[u8]>> {
            assert_ne!(at, 1, "on purpose");
            Some(Header { key: if at == 0 { "first" } else { "third" }, value: Some(b"\xff") })
        }
    }

    #[test]
    fn a_header_whose_name_can_not_be_read_is_left_out() {
        let value = || "\u{fffd}".to_owned();
        assert_eq!(readable(&Foreign), [("first".to_owned(), value()), ("third".to_owned(), value())]);
    }
}
