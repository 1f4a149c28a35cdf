//! Rebuilding what a component makes of events, as operators have it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Path;
use super::{Refusal, Said};
use crate::capability::events::EventLog;
use crate::capability::generations::{self, Generation};
use crate::host::Host;
use crate::registry::Registry;
use crate::trigger::event::{EventTrigger, left};

#[derive(Clone)]
struct Rebuilds {
    log: Arc<dyn EventLog>,
    registry: Arc<Registry>,
}

/// The routes, for `/v1`.
pub(super) fn routes(host: &Host) -> OpenApiRouter {
    let state = Rebuilds { log: host.events.clone(), registry: host.registry.clone() };
    OpenApiRouter::new().routes(routes!(begin, show)).with_state(state)
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
    /// How many events that one has still to be told.
    pub left: u64,
}

impl From<generations::Refusal> for Refusal {
    fn from(refusal: generations::Refusal) -> Self {
        match refusal {
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
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Rebuild), Said)
)]
async fn begin(State(rebuilds): State<Rebuilds>, Path(component): Path<String>) -> Result<Json<Rebuild>, Refusal> {
    rebuilds.is_known(&component)?;
    EventTrigger::rebuild(&rebuilds.registry, &component).await?;
    rebuilds.shown(component).await
}

/// How far that is.
#[utoipa::path(
    get,
    path = "/components/{component}/rebuild",
    tag = "events",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Rebuild), Said)
)]
async fn show(State(rebuilds): State<Rebuilds>, Path(component): Path<String>) -> Result<Json<Rebuild>, Refusal> {
    rebuilds.is_known(&component)?;
    rebuilds.shown(component).await
}

impl Rebuilds {
    fn is_known(&self, component: &str) -> Result<(), Refusal> {
        let missing = || Refusal(StatusCode::NOT_FOUND, format!("no component {component:?} is deployed"));
        self.registry.component(component).map(drop).ok_or_else(missing)
    }

    async fn shown(&self, component: String) -> Result<Json<Rebuild>, Refusal> {
        let Generation { serving, building } = self.registry.engine().shared().capabilities.generations.of(&component);
        let left = match (building, self.registry.component(&component)) {
            (Some(building), Some(loaded)) => left(self.log.as_ref(), &loaded, building).await?,
            _ => 0,
        };
        Ok(Json(Rebuild { component, serving, building, left }))
    }
}
