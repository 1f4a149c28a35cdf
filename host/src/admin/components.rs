//! What operators see of components, and how they change what is deployed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bson::Document;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::deploy::{self, Deployed, Deployments, LARGEST, Row, Version};
use crate::host::Host;
use crate::registry::{DeployError, Registry};

/// The most lines of the log in one answer.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Components {
    deployments: Arc<Deployments>,
    registry: Arc<Registry>,
}

/// The routes, for `/v1`.
pub(super) fn routes(host: &Host) -> Router {
    let state = Components { deployments: host.deployments.clone(), registry: host.registry.clone() };
    Router::new()
        .route("/components", get(list).post(put))
        .route("/components/{component}", get(show))
        .route("/components/{component}", delete(remove))
        .route("/components/{component}/rollback", post(roll_back))
        .route("/deploys", get(log))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(state)
}

/// A component, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// The hash of the version that serves; none once it is removed.
    pub serving: Option<String>,
    /// The versions that are known, the one that was deployed last first.
    pub versions: Vec<Version>,
    /// What the version on this host may reach, a line each.
    pub grants: Vec<String>,
    /// Why this host does not serve the version that it should.
    pub failing: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The component as it is now.
    pub component: Component,
    /// The hash of the version that served before.
    pub before: Option<String>,
    /// False when it served already.
    pub changed: bool,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// To which component.
    pub component: String,
    /// `deploy`, `rollback` or `remove`.
    pub what: String,
    /// The hash of the version that served before.
    pub from: Option<String>,
    /// The one that served after.
    pub to: Option<String>,
}

impl From<deploy::Refusal> for Refusal {
    fn from(refusal: deploy::Refusal) -> Self {
        let status = match &refusal {
            deploy::Refusal::Component(DeployError::Host(_) | DeployError::Unreadable { .. }) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            deploy::Refusal::Component(DeployError::Conflict(_))
            | deploy::Refusal::Conflict(_)
            | deploy::Refusal::Grants { .. } => StatusCode::CONFLICT,
            deploy::Refusal::Component(_) => StatusCode::UNPROCESSABLE_ENTITY,
            deploy::Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            deploy::Refusal::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refusal.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct How {
    #[serde(default)]
    accept_grants: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    max: Option<u32>,
}

async fn list(State(components): State<Components>) -> Result<Json<Vec<Component>>, Refusal> {
    let rows = components.deployments.rows().await?;
    Ok(Json(rows.into_iter().map(|row| components.shown(row)).collect()))
}

async fn show(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Component>, Refusal> {
    let rows = components.deployments.rows().await?;
    let row = rows.into_iter().find(|row| row.name == name);
    let missing = || Refusal(StatusCode::NOT_FOUND, format!("no component {name:?} was ever deployed"));
    row.map(|row| Json(components.shown(row))).ok_or_else(missing)
}

async fn put(
    State(components): State<Components>,
    Query(how): Query<How>,
    body: Bytes,
) -> Result<Json<Change>, Refusal> {
    let deployed = components.deployments.deploy(body.into(), how.accept_grants).await?;
    Ok(Json(components.change(deployed)))
}

async fn roll_back(
    State(components): State<Components>,
    Path(name): Path<String>,
    Query(To { to }): Query<To>,
) -> Result<Json<Change>, Refusal> {
    Ok(Json(components.change(components.deployments.roll_back(&name, to.as_deref()).await?)))
}

async fn remove(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Change>, Refusal> {
    Ok(Json(components.change(components.deployments.remove(&name).await?)))
}

async fn log(
    State(components): State<Components>,
    Query(Newest { max }): Query<Newest>,
) -> Result<Json<Vec<Done>>, Refusal> {
    let said = components.deployments.log(max.unwrap_or(MOST).clamp(1, MOST)).await?;
    let done = said.iter().filter_map(|said| {
        let said = Document::try_from(&**said).ok()?;
        let text = |name: &str| said.get_str(name).ok().map(str::to_owned);
        let at = u64::try_from(said.get_datetime("at").ok()?.timestamp_millis()).ok()?;
        Some(Done { at, component: text("component")?, what: text("what")?, from: text("from"), to: text("to") })
    });
    Ok(Json(done.collect()))
}

impl Components {
    fn shown(&self, row: Row) -> Component {
        let here = self.registry.component(&row.name);
        let grants = here.map(|loaded| loaded.manifest.grants.lines().into_iter().collect()).unwrap_or_default();
        let failing = self.deployments.failing(&row.name);
        Component { name: row.name, serving: row.serving, versions: row.versions, grants, failing }
    }

    fn change(&self, Deployed { row, before, changed }: Deployed) -> Change {
        Change { component: self.shown(row), before, changed }
    }
}
