//! Dead letters for operators: listed, replayed or dropped. Touches the event log and the documents.
//!
//! A letter stays in its topic for as long as that keeps it. A replay or drop inserts a document, whose `_id` is unique, so that of
//! two operators one succeeds; a replay inserts it in the commit that deletes the component's mark and publishes the event again.

mod list;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use bson::{Bson, RawDocumentBuf, doc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ErrorResponse;
use crate::Operated;
use capability::clocks::Clock;
use capability::documents;
use capability::documents::{Commit, Documents, Filter, Query, Write, date};
use capability::events;
use capability::events::{DEAD_LETTERS, Event, EventLog, Record, SETTLED_LETTERS, letter};
use capability::generations::{Generations, group};
use trigger::event::consumed;

pub use list::LetterCount;

/// The position of a letter. Its name for operators is `topic/partition/offset`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Address {
    /// The topic of the event; the letter is in that topic's dead-letter topic.
    topic: String,
    partition: u32,
    offset: u64,
}

impl std::str::FromStr for Address {
    type Err = ErrorResponse;

    fn from_str(name: &str) -> Result<Self, ErrorResponse> {
        let mut parts = name.rsplitn(3, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let parsed = match (part(), part(), part()) {
            (Some(offset), Some(partition), Some(topic)) => {
                offset.parse().ok().zip(partition.parse().ok()).zip(Some(topic))
            }
            _ => None,
        };
        match parsed {
            Some(((offset, partition), topic)) => Ok(Self { topic: topic.to_owned(), partition, offset }),
            None => {
                let why = format!("{name:?} is no name of a dead letter, which is topic/partition/offset");
                Err(ErrorResponse(StatusCode::BAD_REQUEST, why))
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A letter, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Letter {
    /// Its name: `topic/partition/offset` of the letter.
    pub name: String,
    /// The component that could not process it.
    pub component: String,
    /// Its version then.
    pub version: String,
    /// Why.
    pub reason: String,
    /// After how many tries.
    pub attempts: String,
    /// Where the event was: `topic/partition/offset`.
    pub position: String,
    /// The event's id.
    pub event: String,
    /// Its key.
    pub key: String,
    /// Its type.
    pub kind: String,
    /// When it died, in milliseconds since 1970.
    pub at: u64,
    /// As text; what is no UTF-8 is replaced.
    pub value: String,
    /// `replayed` or `dropped`, once it is.
    pub settled: Option<String>,
}

pub(super) struct DeadLetters {
    log: Arc<dyn EventLog>,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    generations: Arc<Generations>,
    topics: Vec<String>,
}

impl DeadLetters {
    pub(super) fn of(operated: &Operated) -> Self {
        let shared = operated.registry.engine().shared();
        let topics = shared.application.topics.keys().cloned().collect();
        let (log, documents, clock) =
            (operated.events.clone(), operated.documents.clone(), shared.capabilities.clock.clone());
        let generations = shared.capabilities.generations.clone();
        Self { log, documents, clock, generations, topics }
    }

    pub(super) async fn show(&self, address: &Address) -> Result<Letter, ErrorResponse> {
        let record = self.record(address).await?;
        let mut letters = self.read_letters(&address.topic, vec![record]).await?;
        letters.pop().ok_or_else(|| missing(address))
    }

    /// Publishes the letter's event again, for the letter's component only.
    pub(super) async fn replay(&self, address: &Address) -> Result<Letter, ErrorResponse> {
        let event = self.record(address).await?.event;
        let letter = event.id.clone();
        let header = |name: &str| header(&event, name).map(str::to_owned);
        let (Some(component), Some(id)) = (header(letter::COMPONENT), header(letter::EVENT)) else {
            return Err(ErrorResponse(StatusCode::BAD_REQUEST, format!("{address} is no dead letter of this host's")));
        };
        if let Some(bytes) = header(letter::LEFT_OUT) {
            let why = format!("the value of {address} is too large to be published: {bytes} bytes");
            return Err(ErrorResponse(StatusCode::BAD_REQUEST, why));
        }
        let mut headers: Vec<_> =
            event.headers.iter().filter(|(name, _)| !letter::ALL.contains(&name.as_str())).cloned().collect();
        headers.push((events::REPLAY_FOR.to_owned(), component.clone()));
        let mark = Filter::from_document(&doc! { "_id": consumed::mark_id(&self.group(&component), &id) })?;
        let delete_mark =
            Write::Delete { collection: consumed::COLLECTION.to_owned(), filter: mark, many: false, must_match: false };
        let replayed = Event { id, topic: address.topic.clone(), headers, at: self.clock.now(), ..event };
        self.settle(address, &letter, "replayed", vec![delete_mark], vec![replayed]).await
    }

    /// The component's consumer group, as its marks have it.
    fn group(&self, component: &str) -> String {
        group(component, self.generations.of(component).serving)
    }

    /// Drops a letter: it is not listed again.
    pub(super) async fn drop_letter(&self, address: &Address) -> Result<Letter, ErrorResponse> {
        let letter = self.record(address).await?.event.id;
        self.settle(address, &letter, "dropped", Vec::new(), Vec::new()).await
    }

    async fn settle(
        &self,
        address: &Address,
        letter: &str,
        what: &str,
        mut writes: Vec<Write>,
        events: Vec<Event>,
    ) -> Result<Letter, ErrorResponse> {
        let at = date(self.clock.now());
        // An earlier version noted it without the letter's id.
        if let Some(settled) = self.show(address).await?.settled {
            return Err(ErrorResponse(StatusCode::CONFLICT, format!("{address} is {settled} already")));
        }
        let settled = doc! { "_id": settled_id(&address.to_string(), letter), "settled": what, "at": at };
        let document =
            RawDocumentBuf::try_from(&settled).map_err(|error| documents::Error::Invalid(error.to_string()))?;
        writes.insert(0, Write::Insert { collection: SETTLED_LETTERS.to_owned(), document });
        match self.documents.commit(Commit { writes, events }).await {
            Ok(_) => self.show(address).await,
            Err(documents::Error::Duplicate { .. }) => {
                let settled = self.show(address).await?.settled.unwrap_or_default();
                Err(ErrorResponse(StatusCode::CONFLICT, format!("{address} is {settled} already")))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn record(&self, address: &Address) -> Result<Record, ErrorResponse> {
        if !self.topics.contains(&address.topic) {
            return Err(missing(address));
        }
        let name = format!("{}{DEAD_LETTERS}", address.topic);
        let found = self.log.read(&name, address.partition, address.offset, 1).await?;
        found.into_iter().find(|record| record.offset == address.offset).ok_or_else(|| missing(address))
    }

    /// Makes letters of a topic's records, with whether each was replayed or dropped.
    async fn read_letters(&self, topic: &str, records: Vec<Record>) -> Result<Vec<Letter>, ErrorResponse> {
        let name = |record: &Record| format!("{topic}/{}/{}", record.partition, record.offset);
        let ids = records.iter().flat_map(|record| [settled_id(&name(record), &record.event.id), name(record)]);
        let ids: Vec<Bson> = ids.map(Bson::String).collect();
        let named = Filter::from_document(&doc! { "_id": { "$in": ids } })?;
        let found = self.documents.find(Query::all(SETTLED_LETTERS, named)).await?;
        let settled: BTreeMap<&str, (&str, u64)> = found
            .iter()
            .filter_map(|document| {
                let at = u64::try_from(document.get_datetime("at").ok()?.timestamp_millis()).ok()?;
                Some((document.get_str("_id").ok()?, (document.get_str("settled").ok()?, at)))
            })
            .collect();
        let settled = |name: &str, event: &Event| {
            let found = settled.get(settled_id(name, &event.id).as_str());
            // What an earlier version noted by the position alone is about a letter that was there then.
            let older = || settled.get(name).filter(|(_, at)| *at >= event.at);
            found.or_else(older).map(|(settled, _)| (*settled).to_owned())
        };
        let letter = |record: Record| {
            let name = name(&record);
            let header = |name: &str| header(&record.event, name).unwrap_or_default().to_owned();
            Letter {
                component: header(letter::COMPONENT),
                version: header(letter::VERSION),
                reason: header(letter::REASON),
                attempts: header(letter::ATTEMPTS),
                position: header(letter::POSITION),
                event: header(letter::EVENT),
                settled: settled(&name, &record.event),
                value: String::from_utf8_lossy(&record.event.value).into_owned(),
                at: record.event.at,
                key: record.event.key,
                kind: record.event.kind,
                name,
            }
        };
        Ok(records.into_iter().map(letter).collect())
    }
}

/// The `_id` of what is noted about a letter: its name and its own id. Other letters have the name when the topic is made anew.
fn settled_id(name: &str, letter: &str) -> String {
    format!("{name}/{letter}")
}

fn header<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    event.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn missing(address: &Address) -> ErrorResponse {
    ErrorResponse(StatusCode::NOT_FOUND, format!("there is no dead letter {address}"))
}
