//! Events for operators: the records of a topic, the lag of each consumer, and the dead letters. Touches the event log and,
//! for dead letters, the documents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Operated;
use crate::dead_letters::{Address, DeadLetters, Letter, LetterCount};
use crate::extract::{Path, Query};
use crate::lag::{Lag, Lags};
use crate::{ErrorBody, ErrorResponse};
use capability::events::{EventLog, Record};

/// The most records or letters of one response.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Events {
    log: Arc<dyn EventLog>,
    lags: Arc<Lags>,
    letters: Arc<DeadLetters>,
}

/// The routes, for `/v1`.
pub(super) fn routes(operated: &Operated, lags: Arc<Lags>) -> OpenApiRouter {
    let letters = Arc::new(DeadLetters::of(operated));
    OpenApiRouter::new()
        .routes(routes!(ends))
        .routes(routes!(records))
        .routes(routes!(lag))
        .routes(routes!(list))
        .routes(routes!(counts))
        .routes(routes!(show))
        .routes(routes!(replay))
        .routes(routes!(drop_letter))
        .with_state(Events { log: operated.events.clone(), lags, letters })
}

/// Where the partitions of a topic end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ends {
    /// The offset after the newest record of each.
    pub ends: Vec<u64>,
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Records {
    /// In order.
    pub records: Vec<Shown>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecordParams {
    partition: u32,
    /// The first offset.
    from: u64,
    /// How many at most; 1,000 at the most.
    #[serde(default = "most")]
    max: u32,
}

fn most() -> u32 {
    MOST
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LetterParams {
    /// Of this topic alone.
    topic: Option<String>,
    /// How many at most; 1,000 at the most.
    #[serde(default = "most")]
    limit: u32,
    /// Those that are older than the letter of this name: the last one of the page before.
    before: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CountParams {
    /// Of this topic alone.
    topic: Option<String>,
}

/// Where the partitions of a topic end.
#[utoipa::path(
    get,
    path = "/topics/{topic}/ends",
    tag = "events",
    params(("topic" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Ends), ErrorBody)
)]
async fn ends(State(events): State<Events>, Path(topic): Path<String>) -> Result<Json<Ends>, ErrorResponse> {
    Ok(Json(Ends { ends: events.log.end_offsets(&topic).await? }))
}

/// Some records of a partition.
#[utoipa::path(
    get,
    path = "/topics/{topic}/records",
    tag = "events",
    params(("topic" = String, Path, description = "Its name"), RecordParams),
    responses((status = 200, description = "Done", body = Records), ErrorBody)
)]
async fn records(
    State(events): State<Events>,
    Path(topic): Path<String>,
    Query(params): Query<RecordParams>,
) -> Result<Json<Records>, ErrorResponse> {
    let found = events.log.read(&topic, params.partition, params.from, params.max.min(MOST)).await?;
    Ok(Json(Records { records: found.into_iter().map(Shown::from).collect() }))
}

/// How far every consumer is in every partition.
#[utoipa::path(
    get,
    path = "/lag",
    tag = "events",
    responses((status = 200, description = "Done", body = Vec<Lag>), ErrorBody)
)]
async fn lag(State(events): State<Events>) -> Result<Json<Vec<Lag>>, ErrorResponse> {
    Ok(Json(events.lags.read().await?))
}

/// Dead letters that nothing was done with, the newest first.
#[utoipa::path(
    get,
    path = "/dead-letters",
    tag = "events",
    params(LetterParams),
    responses((status = 200, description = "Done", body = Vec<Letter>), ErrorBody)
)]
async fn list(
    State(events): State<Events>,
    Query(params): Query<LetterParams>,
) -> Result<Json<Vec<Letter>>, ErrorResponse> {
    let LetterParams { topic, limit, before } = params;
    if !(1..=MOST).contains(&limit) {
        return Err(ErrorResponse(StatusCode::BAD_REQUEST, format!("limit takes 1 to {MOST}, not {limit}")));
    }
    Ok(Json(events.letters.list(topic.as_deref(), before.as_deref(), limit as usize).await?))
}

/// How many dead letters nothing was done with, by component and reason.
#[utoipa::path(
    get,
    path = "/dead-letters/counts",
    tag = "events",
    params(CountParams),
    responses((status = 200, description = "Done", body = Vec<LetterCount>), ErrorBody)
)]
async fn counts(
    State(events): State<Events>,
    Query(params): Query<CountParams>,
) -> Result<Json<Vec<LetterCount>>, ErrorResponse> {
    Ok(Json(events.letters.counts(params.topic.as_deref()).await?))
}

/// One dead letter.
#[utoipa::path(
    get,
    path = "/dead-letters/{topic}/{partition}/{offset}",
    tag = "events",
    params(("topic" = String, Path, description = "The topic of the event"), ("partition" = u32, Path, description = "Of the letter"), ("offset" = u64, Path, description = "Of the letter")),
    responses((status = 200, description = "Done", body = Letter), ErrorBody)
)]
async fn show(State(events): State<Events>, Path(address): Path<Address>) -> Result<Json<Letter>, ErrorResponse> {
    Ok(Json(events.letters.show(&address).await?))
}

/// Publishes its event again, for its component alone.
#[utoipa::path(
    post,
    path = "/dead-letters/{topic}/{partition}/{offset}/replay",
    tag = "events",
    params(("topic" = String, Path, description = "The topic of the event"), ("partition" = u32, Path, description = "Of the letter"), ("offset" = u64, Path, description = "Of the letter")),
    responses((status = 200, description = "Done", body = Letter), ErrorBody)
)]
async fn replay(State(events): State<Events>, Path(address): Path<Address>) -> Result<Json<Letter>, ErrorResponse> {
    Ok(Json(events.letters.replay(&address).await?))
}

/// Never lists it again.
#[utoipa::path(
    post,
    path = "/dead-letters/{topic}/{partition}/{offset}/drop",
    tag = "events",
    params(("topic" = String, Path, description = "The topic of the event"), ("partition" = u32, Path, description = "Of the letter"), ("offset" = u64, Path, description = "Of the letter")),
    responses((status = 200, description = "Done", body = Letter), ErrorBody)
)]
async fn drop_letter(
    State(events): State<Events>,
    Path(address): Path<Address>,
) -> Result<Json<Letter>, ErrorResponse> {
    Ok(Json(events.letters.drop_letter(&address).await?))
}
