//! Rebuilding what a component makes of events, as operators have it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::Refusal;
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
pub(super) fn routes(host: &Host) -> Router {
    let state = Rebuilds { log: host.events.clone(), registry: host.registry.clone() };
    Router::new().route("/components/{component}/rebuild", post(begin).get(show)).with_state(state)
}

/// How far a component's rebuilding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

async fn begin(State(rebuilds): State<Rebuilds>, Path(component): Path<String>) -> Result<Json<Rebuild>, Refusal> {
    rebuilds.is_known(&component)?;
    EventTrigger::rebuild(&rebuilds.registry, &component).await?;
    rebuilds.shown(component).await
}

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
