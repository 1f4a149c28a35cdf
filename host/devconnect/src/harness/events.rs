//! Events: publishing them, what was published, and what became of it.

use bson::oid::ObjectId;
use capability::clocks::Clock as _;
use capability::documents::Commit;
use capability::events::{DEAD_LETTERS, Event, Record};
use capability::generations::group;
use serde::Serialize;
use serde_json::json;
use trigger::event::EventTrigger;

use super::app::{App, Wait};
use super::protocol::{Answer, Base64, Failure, Publish, answer, done};

/// How many events are read at once.
const AT_ONCE: u32 = 1_000;

/// An event as it was published.
#[derive(Serialize)]
struct Published {
    id: String,
    kind: String,
    key: String,
    value: Base64,
}

/// An event that a component could not process.
#[derive(Serialize)]
struct DeadLetter {
    event: String,
    component: String,
    reason: String,
    attempts: u32,
}

impl App {
    /// Publishes an event, as any component might.
    pub(super) async fn publish(&self, event: Publish) -> Result<Answer, Failure> {
        let id = event.event.unwrap_or_else(|| ObjectId::new().to_hex());
        let event = Event {
            id: id.clone(),
            topic: event.topic,
            key: event.key,
            kind: event.kind,
            value: event.value.0,
            headers: Vec::new(),
            at: self.clock.now(),
        };
        let commit = Commit { writes: Vec::new(), events: vec![event] };
        self.host.documents.commit(commit).await.map_err(Failure::refused)?;
        answer(&json!({ "event": id }))
    }

    /// Everything that was published to a topic; in order for each key.
    pub(super) async fn events(&self, topic: &str) -> Result<Answer, Failure> {
        let mut records = self.records(topic).await?;
        records.sort_by_key(|record| record.event.at);
        let published = records.into_iter().map(|Record { event, .. }| Published {
            id: event.id,
            kind: event.kind,
            key: event.key,
            value: Base64(event.value),
        });
        answer(&json!({ "events": published.collect::<Vec<_>>() }))
    }

    /// The dead letters of a topic, in the order of their events.
    pub(super) async fn dead_letters(&self, topic: &str) -> Result<Answer, Failure> {
        let mut records = self.records(&format!("{topic}{DEAD_LETTERS}")).await?;
        records.sort_by_key(|record| (record.partition, record.offset));
        let letters = records.iter().map(|record| {
            Ok(DeadLetter {
                event: header(record, "dead-event")?,
                component: header(record, "dead-component")?,
                reason: header(record, "dead-reason")?,
                attempts: header(record, "dead-attempts")?.parse::<u32>().map_err(Failure::host)?,
            })
        });
        answer(&json!({ "dead_letters": letters.collect::<Result<Vec<_>, Failure>>()? }))
    }

    /// Waits until a component has finished everything that was published to its topics until now.
    pub(super) async fn until_consumed(&self, component: &str) -> Result<Answer, Failure> {
        let loaded = self.component(component)?;
        let generations = &self.host.registry.engine().shared().capabilities.generations;
        let (log, mut wait) = (&self.host.events, Wait::of_millis(2));
        let group = group(component, generations.of(component).serving);
        for topic in loaded.manifest.event.iter().map(|event| &event.topic) {
            let ends = log.end_offsets(topic).await.map_err(Failure::host)?;
            loop {
                let finished = log.committed(&group, topic).await.map_err(Failure::host)?;
                if finished.iter().zip(&ends).all(|(finished, end)| finished.unwrap_or(0) >= *end) {
                    break;
                }
                wait.again(|| format!("{component} is at {finished:?} of {ends:?} in {topic}")).await?;
            }
        }
        done()
    }

    /// Has a component build what it makes of events anew, and waits until that is read.
    pub(super) async fn rebuild(&self, component: &str) -> Result<Answer, Failure> {
        let next = EventTrigger::rebuild(&self.host.registry, self.host.events.as_ref(), component, false);
        let next = next.await.map_err(Failure::refused)?;
        let generations = &self.host.registry.engine().shared().capabilities.generations;
        let mut wait = Wait::of_millis(5);
        while generations.of(component).serving < next {
            wait.again(|| format!("{component} is not rebuilt")).await?;
        }
        done()
    }

    /// Everything in a topic.
    async fn records(&self, topic: &str) -> Result<Vec<Record>, Failure> {
        let log = &self.host.events;
        let mut all = Vec::new();
        let ends = log.end_offsets(topic).await.map_err(Failure::refused)?;
        for (partition, end) in (0..).zip(ends) {
            let mut offset = 0;
            while offset < end {
                let some = log.read(topic, partition, offset, AT_ONCE).await.map_err(Failure::host)?;
                offset = some.last().map_or(end, |record| record.offset + 1);
                all.extend(some);
            }
        }
        Ok(all)
    }
}

fn header(record: &Record, name: &str) -> Result<String, Failure> {
    let mut headers = record.event.headers.iter();
    let found = headers.find(|(header, _)| header == name).map(|(_, value)| value.clone());
    found.ok_or_else(|| Failure::host(format!("a dead letter has no {name}")))
}
