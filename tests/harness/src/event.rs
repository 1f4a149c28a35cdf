//! Events as a test publishes them, and what became of them.

use std::time::{Duration, Instant};

use devconnect_host::capability::documents::Commit;
use devconnect_host::capability::events::{DEAD_LETTERS, Event, Record};
use devconnect_host::capability::generations::group;

use devconnect_host::trigger::event::EventTrigger;

use crate::{App, ObjectId};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event that a component could not be told.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl App {
    /// Publishes an event, as any component might; its id is answered.
    pub fn publish(&self, topic: &str, key: &str, kind: &str, value: impl Into<Vec<u8>>) -> String {
        let id = ObjectId::new().to_hex();
        self.publish_again(&id, topic, key, kind, value);
        id
    }

    /// Publishes an event under an id, also one that an event has had: as one that is told again.
    pub fn publish_again(&self, id: &str, topic: &str, key: &str, kind: &str, value: impl Into<Vec<u8>>) {
        let event = Event {
            id: id.to_owned(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            kind: kind.to_owned(),
            value: value.into(),
            headers: Vec::new(),
            at: self.shared().capabilities.clock.now(),
        };
        let commit = Commit { writes: Vec::new(), events: vec![event] };
        self.runtime().block_on(self.host().documents.commit(commit)).expect("an event that the log takes");
    }

    /// Waits until a component has finished everything that was published to its topics until now.
    pub fn until_consumed(&self, component: &str) {
        let topics =
            self.component(component).manifest.event.iter().map(|event| event.topic.clone()).collect::<Vec<_>>();
        self.runtime().block_on(async {
            let log = &self.host().events;
            let generations = &self.shared().capabilities.generations;
            let component = &group(component, generations.of(component).serving);
            for topic in topics {
                let ends = log.ends(&topic).await.expect("a topic of the application");
                let begun = Instant::now();
                loop {
                    let finished = log.committed(component, &topic).await.expect("offsets");
                    if finished.iter().zip(&ends).all(|(finished, end)| finished.unwrap_or(0) >= *end) {
                        break;
                    }
                    assert!(begun.elapsed() < PATIENCE, "{component} is at {finished:?} of {ends:?} in {topic}");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        });
    }

    /// Has a component build what it makes of events anew; returns when that is read.
    pub fn rebuild(&self, component: &str) {
        let begun = Instant::now();
        self.runtime().block_on(async {
            let next = EventTrigger::rebuild(&self.host().registry, component).await.expect("what can be rebuilt");
            let shared = self.shared();
            while shared.capabilities.generations.of(component).serving < next {
                assert!(begun.elapsed() < PATIENCE, "{component} is not rebuilt");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    /// The dead letters of a topic, in the order of their events.
    pub fn dead_letters(&self, topic: &str) -> Vec<DeadLetter> {
        let mut records = self.runtime().block_on(self.records(&format!("{topic}{DEAD_LETTERS}")));
        records.sort_by_key(|record| (record.partition, record.offset));
        let letters = records.into_iter().map(|record| {
            let header = |name: &str| {
                let mut headers = record.event.headers.iter();
                headers
                    .find(|(header, _)| header == name)
                    .map(|(_, value)| value.clone())
                    .expect("a dead letter's header")
            };
            DeadLetter {
                event: header("dead-event"),
                component: header("dead-component"),
                reason: header("dead-reason"),
                attempts: header("dead-attempts").parse().expect("a number of tries"),
            }
        });
        letters.collect()
    }

    /// What the cache has under a key.
    pub fn cached(&self, key: &str) -> Option<Vec<u8>> {
        let shared = self.shared();
        self.runtime().block_on(shared.capabilities.cache.get(key)).expect("the cache").map(|value| value.to_vec())
    }

    /// Everything in a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        let mut all = Vec::new();
        let ends = self.host().events.ends(topic).await.expect("a topic of the application");
        for (partition, end) in (0..).zip(ends) {
            let mut offset = 0;
            while offset < end {
                let some = self.host().events.read(topic, partition, offset, 1_000).await.expect("events");
                offset = some.last().map_or(end, |record| record.offset + 1);
                all.extend(some);
            }
        }
        all
    }
}
