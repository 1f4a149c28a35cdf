//! Dead letters: events that a component could not process, in the topic's dead-letter topic with the reason.

use capability::events::{DEAD_LETTERS, Event, MAX_VALUE, Record, letter};

/// The longest reason, in bytes; a longer one is truncated.
const MAX_REASON: usize = 1_024;

/// Why an event is a dead letter.
pub(super) struct DeadLetter<'a> {
    pub(super) component: &'a str,
    pub(super) version: &'a str,
    pub(super) why: &'a str,
    pub(super) attempts: u32,
}

impl DeadLetter<'_> {
    /// The event for the dead-letter topic, at the time `now`.
    pub(super) fn into_event(self, record: &Record, now: u64) -> Event {
        let event = &record.event;
        let end = self.why.floor_char_boundary(MAX_REASON);
        let why = self.why.get(..end).unwrap_or_default();
        let position = format!("{}/{}/{}", event.topic, record.partition, record.offset);
        let attempts = self.attempts.to_string();
        let mut headers = event.headers.clone();
        headers.extend(
            [
                (letter::COMPONENT, self.component),
                (letter::VERSION, self.version),
                (letter::REASON, why),
                (letter::ATTEMPTS, &attempts),
                (letter::POSITION, &position),
                (letter::EVENT, &event.id),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut value = event.value.clone();
        if value.len() > MAX_VALUE {
            headers.push((letter::LEFT_OUT.to_owned(), value.len().to_string()));
            value = Vec::new();
        }
        Event {
            id: hex::encode(capability::random::bytes::<16>()),
            topic: format!("{}{DEAD_LETTERS}", event.topic),
            key: event.key.clone(),
            kind: event.kind.clone(),
            value,
            headers,
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Vec<u8>) -> Record {
        let event = Event {
            id: "e1".into(),
            topic: "t".into(),
            key: "k".into(),
            kind: "K".into(),
            value,
            headers: vec![("call".into(), "c".into())],
            at: 1,
        };
        Record { partition: 2, offset: 30, event }
    }

    #[test]
    fn a_dead_letter_says_everything_about_its_event() {
        let dead_letter = DeadLetter { component: "mail", version: "1.0.0", why: &"é".repeat(1_000), attempts: 8 };
        let dead = dead_letter.into_event(&record(b"{}".to_vec()), 5);
        assert_eq!((dead.topic.as_str(), dead.key.as_str(), dead.at), ("t.dlq", "k", 5));
        let has = |name: &str| dead.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
        assert_eq!(has(letter::POSITION), Some("t/2/30"));
        assert_eq!((has(letter::EVENT), has(letter::ATTEMPTS), has("call")), (Some("e1"), Some("8"), Some("c")));
        assert_eq!(has(letter::REASON).map(str::len), Some(MAX_REASON));
        assert_eq!(has(letter::LEFT_OUT), None);
    }

    #[test]
    fn a_value_that_no_log_takes_is_left_out() {
        let dead_letter = DeadLetter { component: "mail", version: "1", why: "large", attempts: 1 };
        let dead = dead_letter.into_event(&record(vec![0; 5 << 20]), 5);
        assert!(dead.value.is_empty());
        assert!(dead.headers.contains(&(letter::LEFT_OUT.to_owned(), "5242880".to_owned())));
    }
}
