//! An audit of the stores once all hosts are down: acknowledged writes, documents, events and effects are compared with
//! each other. A host in this process first lets every consumer finish what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use capability::documents::{Filter, Projection, Query, Sort};
use capability::events::{DEAD_LETTERS, Event};
use capability::generations::group;
use devconnect::{Host, HostOptions};
use e2e::{Value, seed};
use tokio::task::spawn_blocking;

use crate::crash::Site;
use crate::traffic::Acknowledged;

/// The consumers have finished within this time, with what the deaths of hosts make them wait for.
const SETTLING: Duration = Duration::from_secs(120);
const TOPICS: [&str; 5] =
    ["user-events", "message-events", "connection-events", "notification-events", "analytics-events"];

/// What was found.
pub struct Audit {
    /// How much there is of what.
    pub counts: String,
    /// What must not be.
    pub wrong: Vec<String>,
    /// A welcome for each sign-up, and one for each request.
    of_mails: usize,
}

/// The stores, seen by a host of this process.
struct Stores {
    host: Host,
}

/// Lets everything settle and looks at it.
pub async fn audit(site: &Site, acknowledged: &Acknowledged) -> Audit {
    let data = site.data.clone();
    spawn_blocking(move || seed::sow(&data)).await.expect("a data folder with compiled code");
    let components = e2e::root().join("target/components");
    let options = HostOptions::new(site.config.clone(), components.clone(), Some(site.data.clone()));
    let host = Host::open(options).expect("a host in this process");
    host.prepare(false).await.expect("stores that are there");
    host.registry.deploy_folder(&components).expect("the built components");
    host.consume();
    let stores = Stores { host };
    let late = stores.settle().await;
    let mut audit = stores.look(acknowledged).await;
    let mails = site.mails(stores.host.documents.as_ref()).await.len();
    audit.equal("mails", mails, audit.of_mails);
    audit.wrong.extend(late);
    stores.host.close().await;
    audit
}

impl Stores {
    /// Waits until every event is in the log and every consumer has finished; says what is late.
    async fn settle(&self) -> Option<String> {
        let begun = Instant::now();
        loop {
            match self.unfinished().await {
                None => return None,
                Some(late) if begun.elapsed() > SETTLING => return Some(format!("not within {SETTLING:?}: {late}")),
                Some(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn unfinished(&self) -> Option<String> {
        let counts = [
            ("users", doc! {}, "user-events", "USER_SIGNUP"),
            ("connectionrequests", doc! {}, "connection-events", "CONNECTION_REQUEST"),
            ("messages", doc! {}, "message-events", "MESSAGE_SENT"),
            ("notifications", doc! {}, "notification-events", ""),
        ];
        for (collection, filter, topic, kind) in counts {
            let documents = self.all(collection, filter).await.len();
            let events =
                once(self.events(topic).await.into_iter().filter(|event| kind.is_empty() || event.kind == kind));
            if events.len() < documents {
                return Some(format!("{documents} {collection} have {} events", events.len()));
            }
        }
        for loaded in self.host.registry.components() {
            let name = &loaded.manifest.component.name;
            for trigger in &loaded.manifest.event {
                let topic = &trigger.topic;
                let serving = self.host.registry.engine().shared().capabilities.generations.of(name).serving;
                let name = &group(name, serving);
                let (Ok(ends), Ok(finished)) =
                    (self.host.events.end_offsets(topic).await, self.host.events.committed(name, topic).await)
                else {
                    return Some(format!("nobody says how far {name} is in {topic}"));
                };
                if finished.iter().zip(&ends).any(|(finished, end)| finished.unwrap_or(0) < *end) {
                    return Some(format!("{name} is at {finished:?} of {ends:?} in {topic}"));
                }
            }
        }
        None
    }

    async fn look(&self, acknowledged: &Acknowledged) -> Audit {
        let mut audit = Audit { counts: String::new(), wrong: Vec::new(), of_mails: 0 };
        let users = self.all("users", doc! {}).await;
        let requests = self.all("connectionrequests", doc! {}).await;
        let messages = self.all("messages", doc! {}).await;
        let id = |event: &Event, name: &str| data(event)[name].as_str().unwrap_or_default().to_owned();
        let signups = self.of_kind("user-events", "USER_SIGNUP").await;
        let asked = self.of_kind("connection-events", "CONNECTION_REQUEST").await;
        let accepted = self.of_kind("connection-events", "CONNECTION_ACCEPTED").await.len();
        let sent = self.of_kind("message-events", "MESSAGE_SENT").await;
        audit.pair("sign-up", &acknowledged.users, &users, signups.iter().map(|event| event.key.clone()));
        audit.pair("request", &acknowledged.requests, &requests, asked.iter().map(|event| id(event, "requestId")));
        audit.pair("message", &acknowledged.messages, &messages, sent.iter().map(|event| id(event, "messageId")));
        audit.order(&messages, &sent);
        audit.of_mails = signups.len() + asked.len();

        let notifications = self.all("notifications", doc! {}).await;
        let of = |kind: &'static str| {
            notifications.iter().filter(move |found| found.get_str("type").is_ok_and(|found| found == kind))
        };
        audit.equal("notifications of requests", of("CONNECTION_REQUEST").count(), asked.len());
        audit.equal("notifications of acceptances", of("CONNECTION_ACCEPTED").count(), accepted);
        let counted = of("MESSAGE_SENT").map(|found| number(found, "count")).sum();
        audit.equal("messages that notifications count", counted, sent.len());
        let told = self.events("notification-events").await;
        audit.equal("events of notifications", once(told.into_iter()).len(), notifications.len());

        let hours = self.all("analyticsrollups", doc! {}).await;
        for (field, expected) in
            [("signups", signups.len()), ("requests", asked.len()), ("messages", sent.len()), ("accepted", accepted)]
        {
            let of_hours = hours.iter().map(|hour| number(hour, field)).sum();
            audit.equal(&format!("{field} of hours"), of_hours, expected);
            let minutes = hours.iter().filter_map(|hour| hour.get_document("minutes").ok()).flatten();
            let of_minutes = minutes.filter_map(|(_, minute)| minute.as_document()).map(|minute| number(minute, field));
            audit.equal(&format!("{field} of minutes"), of_minutes.sum(), expected);
        }
        for topic in TOPICS {
            let dead = self.events(&format!("{topic}{DEAD_LETTERS}")).await;
            audit.equal(&format!("dead letters of {topic}"), dead.len(), 0);
        }
        audit
    }

    async fn all(&self, collection: &str, filter: Document) -> Vec<Document> {
        let mut all: Vec<Document> = Vec::new();
        loop {
            let mut page = filter.clone();
            if let Some(last) = all.last() {
                page.insert("_id", doc! { "$gt": last.get("_id").cloned() });
            }
            let query = Query {
                collection: collection.to_owned(),
                filter: Filter::from_document(&page).expect("a filter"),
                sort: Sort::none(),
                projection: Projection::all(),
                skip: 0,
                limit: 1_000,
            };
            let found = self.host.documents.find(query).await.expect("documents");
            if found.is_empty() {
                return all;
            }
            all.extend(found.iter().map(|raw| Document::try_from(raw.as_ref()).expect("a document")));
        }
    }

    /// Each event of a type once, in the order of the log.
    async fn of_kind(&self, topic: &str, kind: &str) -> Vec<Event> {
        once(self.events(topic).await.into_iter().filter(|event| event.kind == kind))
    }

    async fn events(&self, topic: &str) -> Vec<Event> {
        let mut all = Vec::new();
        let ends = self.host.events.end_offsets(topic).await.expect("a topic");
        for (partition, end) in (0..).zip(ends) {
            let mut offset = 0;
            while offset < end {
                let some = self.host.events.read(topic, partition, offset, 1_000).await.expect("events");
                let Some(last) = some.last() else { break };
                offset = last.offset + 1;
                all.extend(some.into_iter().map(|record| record.event));
            }
        }
        all
    }
}

/// What a relay that died has told twice, once.
fn once(events: impl Iterator<Item = Event>) -> Vec<Event> {
    let mut seen = BTreeSet::new();
    events.filter(|event| seen.insert(event.id.clone())).collect()
}

fn data(event: &Event) -> Value {
    let value: Value = serde_json::from_slice(&event.value).expect("an event's value is JSON");
    value["data"].clone()
}

fn number(document: &Document, name: &str) -> usize {
    let value = document.get(name).and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)));
    usize::try_from(value.unwrap_or(0)).unwrap_or(0)
}

impl Audit {
    /// What was acknowledged is stored; what is stored has one event, and every event its document.
    fn pair(&mut self, what: &str, acknowledged: &[String], stored: &[Document], told: impl Iterator<Item = String>) {
        let stored: BTreeSet<String> =
            stored.iter().map(|document| document.get_object_id("_id").expect("an id").to_hex()).collect();
        let mut times = BTreeMap::<String, usize>::new();
        told.for_each(|id| *times.entry(id).or_default() += 1);
        let lost = acknowledged.iter().filter(|id| !stored.contains(*id)).count();
        let untold = stored.iter().filter(|id| !times.contains_key(*id)).count();
        let twice = times.values().filter(|times| **times > 1).count();
        let homeless = times.keys().filter(|id| !stored.contains(*id)).count();
        let _ = write!(self.counts, "{} {what}s acknowledged, {} stored; ", acknowledged.len(), stored.len());
        for (count, why) in [
            (lost, "was acknowledged and is not stored"),
            (untold, "is stored and has no event"),
            (twice, "has several events"),
            (homeless, "has an event and no document"),
        ] {
            if count > 0 {
                self.wrong.push(format!("{count} times a {what} {why}"));
            }
        }
        if stored.is_empty() {
            self.wrong.push(format!("there is no {what}: the test shows nothing"));
        }
    }

    /// The events of each conversation are in the order of its messages.
    fn order(&mut self, messages: &[Document], sent: &[Event]) {
        let places: BTreeMap<String, usize> = messages
            .iter()
            .map(|message| (message.get_object_id("_id").expect("an id").to_hex(), number(message, "seq")))
            .collect();
        let mut last = BTreeMap::<&str, usize>::new();
        for event in sent {
            let Some(place) = data(event)["messageId"].as_str().and_then(|id| places.get(id)).copied() else {
                continue;
            };
            let before = last.insert(&event.key, place).unwrap_or(0);
            if before >= place {
                self.wrong.push(format!("message {place} of {} is told after {before}", event.key));
            }
        }
    }

    fn equal(&mut self, what: &str, found: usize, expected: usize) {
        let _ = write!(self.counts, "{found} {what}; ");
        if found != expected {
            self.wrong.push(format!("{found} {what}, and not {expected}"));
        }
    }
}
