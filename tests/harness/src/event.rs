//! Events as a test publishes them, and what became of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base64::Base64;
use crate::{App, Nothing};

/// An event as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its type.
    pub kind: String,
    /// Order holds among events of one key.
    pub key: String,
    /// Its value, parsed.
    pub value: Value,
}

/// An event that a component could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeadLetter {
    /// The event's id.
    pub event: String,
    /// Whom it could not be told.
    pub component: String,
    /// Why.
    pub reason: String,
    /// After how many tries.
    pub attempts: u32,
}

#[derive(Serialize)]
struct Publish<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    topic: &'a str,
    key: &'a str,
    kind: &'a str,
    value: Base64,
}

impl App {
    /// Publishes an event, as any component might; its id is answered.
    pub fn publish(&self, topic: &str, key: &str, kind: &str, value: impl Into<Vec<u8>>) -> String {
        self.publish_as(Publish { event: None, topic, key, kind, value: Base64::of(value) })
    }

    /// Publishes an event under an id, also one that an event has had: as one that is told again.
    pub fn publish_again(&self, id: &str, topic: &str, key: &str, kind: &str, value: impl Into<Vec<u8>>) {
        self.publish_as(Publish { event: Some(id), topic, key, kind, value: Base64::of(value) });
    }

    fn publish_as(&self, event: Publish<'_>) -> String {
        #[derive(Deserialize)]
        struct Named {
            event: String,
        }
        self.process.call::<Named>("publish", &event).event
    }

    /// Everything that was published to a topic; in order for each key.
    pub fn events(&self, topic: &str) -> Vec<Published> {
        #[derive(Deserialize)]
        struct Events {
            events: Vec<Event>,
        }
        #[derive(Deserialize)]
        struct Event {
            kind: String,
            key: String,
            value: Base64,
        }
        let events = self.process.call::<Events>("events", &json!({ "topic": topic })).events;
        let published = events.into_iter().map(|Event { kind, key, value: Base64(value) }| {
            let value = serde_json::from_slice(&value);
            let value = value.unwrap_or_else(|error| panic!("the value of an event in {topic} is no JSON: {error}"));
            Published { kind, key, value }
        });
        published.collect()
    }

    /// Waits until a component has finished everything that was published to its topics until now.
    pub fn until_consumed(&self, component: &str) {
        self.process.call::<Nothing>("until_consumed", &json!({ "component": component }));
    }

    /// Has a component build what it makes of events anew; returns when that is read.
    pub fn rebuild(&self, component: &str) {
        self.process.call::<Nothing>("rebuild", &json!({ "component": component }));
    }

    /// The same where it may be refused; the error is why.
    pub fn try_rebuild(&self, component: &str) -> Result<(), String> {
        self.process.call_or_refused("rebuild", &json!({ "component": component })).map(|Nothing {}| ())
    }

    /// The dead letters of a topic, in the order of their events.
    pub fn dead_letters(&self, topic: &str) -> Vec<DeadLetter> {
        #[derive(Deserialize)]
        struct Dead {
            dead_letters: Vec<DeadLetter>,
        }
        self.process.call::<Dead>("dead_letters", &json!({ "topic": topic })).dead_letters
    }
}
