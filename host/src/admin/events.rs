//! What operators see of events: what is in a topic, how far each consumer is, and the dead letters.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::dead_letters::{Address, DeadLetters, Letter};
use super::lag::{Lag, Lags};
use crate::capability::events::{EventLog, Record};
use crate::host::Host;

/// The most records or letters of one answer.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Events {
    log: Arc<dyn EventLog>,
    lags: Arc<Lags>,
    letters: Arc<DeadLetters>,
}

/// The routes, for `/v1`.
pub(super) fn routes(host: &Host, lags: Arc<Lags>) -> Router {
    let letters = Arc::new(DeadLetters::of(host));
    Router::new()
        .route("/topics/{topic}/ends", get(ends))
        .route("/topics/{topic}/records", get(records))
        .route("/lag", get(lag))
        .route("/dead-letters", get(list))
        .route("/dead-letters/{topic}/{partition}/{offset}", get(show))
        .route("/dead-letters/{topic}/{partition}/{offset}/replay", post(replay))
        .route("/dead-letters/{topic}/{partition}/{offset}/drop", post(drop_letter))
        .with_state(Events { log: host.events.clone(), lags, letters })
}

/// Where the partitions of a topic end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The offset after the newest record of each.
    pub ends: Vec<u64>,
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in capability::events::Record")]
pub struct Shown {
    pub partition: u32,
    pub offset: u64,
    pub id: String,
    pub key: String,
    pub kind: String,
    pub at: u64,
    pub headers: Vec<(String, String)>,
    /// As text; what is no UTF-8 is replaced.
    pub value: String,
}

impl From<Record> for Shown {
    fn from(Record { partition, offset, event }: Record) -> Self {
        let value = String::from_utf8_lossy(&event.value).into_owned();
        let (id, key, kind, at, headers) = (event.id, event.key, event.kind, event.at, event.headers);
        Self { partition, offset, id, key, kind, at, headers, value }
    }
}

/// Some records of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// In order.
    pub records: Vec<Shown>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    partition: u32,
    from: u64,
    #[serde(default = "most")]
    max: u32,
}

fn most() -> u32 {
    MOST
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    topic: Option<String>,
}

async fn ends(State(events): State<Events>, Path(topic): Path<String>) -> Result<Json<Ends>, Refusal> {
    Ok(Json(Ends { ends: events.log.ends(&topic).await? }))
}

async fn records(
    State(events): State<Events>,
    Path(topic): Path<String>,
    Query(part): Query<Part>,
) -> Result<Json<Records>, Refusal> {
    let found = events.log.read(&topic, part.partition, part.from, part.max.min(MOST)).await?;
    Ok(Json(Records { records: found.into_iter().map(Shown::from).collect() }))
}

async fn lag(State(events): State<Events>) -> Result<Json<Vec<Lag>>, Refusal> {
    Ok(Json(events.lags.look().await?))
}

async fn list(State(events): State<Events>, Query(which): Query<Which>) -> Result<Json<Vec<Letter>>, Refusal> {
    Ok(Json(events.letters.list(which.topic.as_deref(), MOST as usize).await?))
}

async fn show(State(events): State<Events>, Path(address): Path<Address>) -> Result<Json<Letter>, Refusal> {
    Ok(Json(events.letters.show(&address).await?))
}

async fn replay(State(events): State<Events>, Path(address): Path<Address>) -> Result<Json<Letter>, Refusal> {
    Ok(Json(events.letters.replay(&address).await?))
}

async fn drop_letter(State(events): State<Events>, Path(address): Path<Address>) -> Result<Json<Letter>, Refusal> {
    Ok(Json(events.letters.give_up(&address).await?))
}
