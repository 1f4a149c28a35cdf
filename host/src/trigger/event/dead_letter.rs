//! Dead letters: events that a component could not be told, kept in a topic of their own with the reason.

use crate::capability::events::{DEAD_LETTERS, Event, MAX_VALUE, Record};

/// The longest reason that is kept, in bytes.
const LONGEST: usize = 1_024;

/// The headers that a dead letter has besides its own event's.
pub(crate) mod header {
    /// The component that could not be told.
    pub(crate) const COMPONENT: &str = "dead-component";
    /// Its version: the one for people and the beginning of its file's hash.
    pub(crate) const VERSION: &str = "dead-version";
    /// Why.
    pub(crate) const REASON: &str = "dead-reason";
    /// After how many tries.
    pub(crate) const ATTEMPTS: &str = "dead-attempts";
    /// Where the event is: `topic/partition/offset`.
    pub(crate) const POSITION: &str = "dead-position";
    /// The event's own id.
    pub(crate) const EVENT: &str = "dead-event";
    /// There when the value was too large to be kept: how many bytes it has at its place.
    pub(crate) const LEFT_OUT: &str = "dead-value-bytes";
}

/// How an event came to be a dead letter.
pub(super) struct Death<'a> {
    pub(super) component: &'a str,
    pub(super) version: &'a str,
    pub(super) why: &'a str,
    pub(super) attempts: u32,
}

impl Death<'_> {
    /// The event that tells of it, at the time `now`.
    pub(super) fn letter(&self, record: &Record, now: u64) -> Event {
        let event = &record.event;
        let end = self.why.floor_char_boundary(LONGEST);
        let why = self.why.get(..end).unwrap_or_default();
        let position = format!("{}/{}/{}", event.topic, record.partition, record.offset);
        let attempts = self.attempts.to_string();
        let mut headers = event.headers.clone();
        headers.extend(
            [
                (header::COMPONENT, self.component),
                (header::VERSION, self.version),
                (header::REASON, why),
                (header::ATTEMPTS, &attempts),
                (header::POSITION, &position),
                (header::EVENT, &event.id),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut value = event.value.clone();
        if value.len() > MAX_VALUE {
            headers.push((header::LEFT_OUT.to_owned(), value.len().to_string()));
            value = Vec::new();
        }
        Event {
            id: hex::encode(crate::capability::random::bytes::<16>()),
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
        let death = Death { component: "mail", version: "1.0.0", why: &"é".repeat(1_000), attempts: 8 };
        let letter = death.letter(&record(b"{}".to_vec()), 5);
        assert_eq!((letter.topic.as_str(), letter.key.as_str(), letter.at), ("t.dlq", "k", 5));
        let has =
            |name: &str| letter.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
        assert_eq!(has(header::POSITION), Some("t/2/30"));
        assert_eq!((has(header::EVENT), has(header::ATTEMPTS), has("call")), (Some("e1"), Some("8"), Some("c")));
        assert_eq!(has(header::REASON).map(str::len), Some(LONGEST));
        assert_eq!(has(header::LEFT_OUT), None);
    }

    #[test]
    fn a_value_that_no_log_takes_is_left_out() {
        let death = Death { component: "mail", version: "1", why: "large", attempts: 1 };
        let letter = death.letter(&record(vec![0; 5 << 20]), 5);
        assert!(letter.value.is_empty());
        assert!(letter.headers.contains(&(header::LEFT_OUT.to_owned(), "5242880".to_owned())));
    }
}
