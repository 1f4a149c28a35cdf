//! Rebuilds for operators: starting a new generation of a component's documents, and how far it is. Touches the event log,
//! the generations and the registry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Operated;
use crate::extract::{Path, Query};
use crate::{ErrorBody, ErrorResponse};
use capability::events::EventLog;
use capability::generations;
use capability::generations::Generation;
use registry::Registry;
use trigger::event::{EventTrigger, left};

#[derive(Clone)]
struct Rebuilds {
    log: Arc<dyn EventLog>,
    registry: Arc<Registry>,
}

/// The routes, for `/v1`.
pub(super) fn routes(operated: &Operated) -> OpenApiRouter {
    let state = Rebuilds { log: operated.events.clone(), registry: operated.registry.clone() };
    OpenApiRouter::new().routes(routes!(begin, show)).with_state(state)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RebuildParams {
    /// Also when the log has not all events of its topics any more: then what it made of the older ones is lost.
    #[serde(default)]
    partial: bool,
}

/// How far a component's rebuilding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebuild {
    /// The component.
    pub component: String,
    /// The generation that is read.
    pub serving: u64,
    /// The one that is being built, if one is.
    pub building: Option<u64>,
    /// How many events that generation has not processed yet.
    pub left: u64,
}

impl From<generations::Refusal> for ErrorResponse {
    fn from(error: generations::Refusal) -> Self {
        match error {
            generations::Refusal::Conflict(why) => Self(StatusCode::CONFLICT, why),
            generations::Refusal::Store(error) => error.into(),
        }
    }
}

/// Begins to rebuild what a component makes of events.
#[utoipa::path(
    post,
    path = "/components/{component}/rebuild",
    tag = "events",
    params(("component" = String, Path, description = "Its name"), RebuildParams),
    responses((status = 200, description = "Done", body = Rebuild), ErrorBody)
)]
async fn begin(
    State(rebuilds): State<Rebuilds>,
    Path(component): Path<String>,
    Query(params): Query<RebuildParams>,
) -> Result<Json<Rebuild>, ErrorResponse> {
    rebuilds.require_deployed(&component)?;
    EventTrigger::rebuild(&rebuilds.registry, rebuilds.log.as_ref(), &component, params.partial).await?;
    rebuilds.progress(component).await
}

/// How far that is.
#[utoipa::path(
    get,
    path = "/components/{component}/rebuild",
    tag = "events",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Rebuild), ErrorBody)
)]
async fn show(State(rebuilds): State<Rebuilds>, Path(component): Path<String>) -> Result<Json<Rebuild>, ErrorResponse> {
    rebuilds.require_deployed(&component)?;
    rebuilds.progress(component).await
}

impl Rebuilds {
    fn require_deployed(&self, component: &str) -> Result<(), ErrorResponse> {
        let missing = || ErrorResponse(StatusCode::NOT_FOUND, format!("no component {component:?} is deployed"));
        self.registry.component(component).map(drop).ok_or_else(missing)
    }

    async fn progress(&self, component: String) -> Result<Json<Rebuild>, ErrorResponse> {
        let Generation { serving, building } = self.registry.engine().shared().capabilities.generations.of(&component);
        let left = match (building, self.registry.component(&component)) {
            (Some(building), Some(loaded)) => left(self.log.as_ref(), &loaded, building).await?,
            _ => 0,
        };
        Ok(Json(Rebuild { component, serving, building, left }))
    }
}
