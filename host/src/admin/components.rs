//! What operators see of components, and how they change what is deployed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use bson::Document;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Path, Query};
use super::{Refusal, Said};
use crate::deploy::{self, Deployed, Deployments, LARGEST, Row, Rule, Share, Tally, Trial, Version};
use crate::host::Host;
use crate::registry::{DeployError, Drain, Registry};

/// The most lines of the log in one answer.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Components {
    deployments: Arc<Deployments>,
    registry: Arc<Registry>,
}

/// The routes, for `/v1`.
pub(super) fn routes(host: &Host) -> OpenApiRouter {
    let state = Components { deployments: host.deployments.clone(), registry: host.registry.clone() };
    OpenApiRouter::new()
        .routes(routes!(list, put))
        .routes(routes!(show, remove))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
        .routes(routes!(log))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(state)
}

/// A component, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// The hash of the version that serves; none once it is removed.
    pub serving: Option<String>,
    /// The version that is tried out on some.
    pub canary: Option<Canary>,
    /// The versions that are known, the one that was deployed last first.
    pub versions: Vec<Version>,
    /// What the version on this host may reach, a line each.
    pub grants: Vec<String>,
    /// Versions that this host does not serve any more and whose calls have not all ended.
    pub draining: Vec<Draining>,
    /// Why this host does not serve the version that it should.
    pub failing: Option<String>,
}

/// A version that is tried out, and how that goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    /// The trial.
    #[serde(flatten)]
    pub trial: Trial,
    /// How its calls ended, on all hosts.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A version that is out of service here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Draining {
    /// Its hash.
    pub sha256: String,
    /// How many of its calls run.
    pub running: u64,
    /// For how long it has been out of service, in milliseconds.
    pub millis: u64,
}

impl From<&Drain> for Draining {
    fn from(drain: &Drain) -> Self {
        let millis = u64::try_from(drain.since.as_millis()).unwrap_or(u64::MAX);
        Self { sha256: drain.sha256.clone(), running: drain.running, millis }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The component as it is now.
    pub component: Component,
    /// The hash of the version that served before.
    pub before: Option<String>,
    /// False when it served already.
    pub changed: bool,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// To which component.
    pub component: String,
    /// `deploy`, `canary`, `promote`, `rollback` or `remove`.
    pub what: String,
    /// Why, where a canary's rule wanted it and no operator.
    pub why: Option<String>,
    /// The hash of the version that served before.
    pub from: Option<String>,
    /// The one that served after.
    pub to: Option<String>,
    /// The one that was tried out on some after.
    pub canary: Option<String>,
    /// On how many, in percent.
    pub weight: Option<u8>,
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
            deploy::Refusal::Component(_) | deploy::Refusal::Untriable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            deploy::Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            deploy::Refusal::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, refusal.to_string())
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
struct How {
    /// What the component asks for beyond the version that serves is accepted.
    #[serde(default)]
    accept_grants: bool,
    /// It is tried out on a share of users first, in percent (1 to 100).
    #[param(minimum = 1, maximum = 100)]
    weight: Option<u8>,
    /// It is gone back from when a larger share of its calls fails, in percent (0 to 100).
    #[param(minimum = 0, maximum = 100)]
    max_errors: Option<f64>,
    /// Before so many calls nothing is decided (1 and more).
    #[param(minimum = 1)]
    min_calls: Option<u64>,
    /// After so many seconds it is promoted.
    promote_after: Option<u64>,
}

/// How many calls a rule waits for that does not say so.
const MIN_CALLS: u64 = 100;
/// The share of calls that may fail where only a time was given, in percent.
const MAX_ERRORS: f64 = 1.0;

impl How {
    fn read(self) -> Result<deploy::How, Refusal> {
        let Self { accept_grants, weight, max_errors, min_calls, promote_after } = self;
        let wrong = |why: &str| Refusal(StatusCode::BAD_REQUEST, why.to_owned());
        let rule = (max_errors.is_some() || min_calls.is_some() || promote_after.is_some()).then(|| Rule {
            max_errors: max_errors.unwrap_or(MAX_ERRORS),
            min_calls: min_calls.unwrap_or(MIN_CALLS),
            promote_after,
        });
        rule.map_or(Ok(()), |rule| rule.check()).map_err(wrong)?;
        let share = match weight {
            Some(weight @ 1..=100) => Some(Share { weight, rule }),
            Some(_) => return Err(wrong("weight takes 1 to 100, in percent")),
            None if rule.is_some() => return Err(wrong("a rule is for a weight; say both")),
            None => None,
        };
        Ok(deploy::How { accept_grants, share })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct To {
    /// The beginning of the hash of a version; none: the one before.
    to: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Newest {
    /// How many lines at most; 1,000 at the most.
    max: Option<u32>,
}

/// Every component that was ever deployed.
#[utoipa::path(
    get,
    path = "/components",
    tag = "components",
    responses((status = 200, description = "Done", body = Vec<Component>), Said)
)]
async fn list(State(components): State<Components>) -> Result<Json<Vec<Component>>, Refusal> {
    let (mut all, draining) = (Vec::new(), components.registry.draining());
    for row in components.deployments.rows().await? {
        all.push(components.shown(row, &draining).await?);
    }
    Ok(Json(all))
}

/// One component.
#[utoipa::path(
    get,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Component), Said)
)]
async fn show(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Component>, Refusal> {
    let rows = components.deployments.rows().await?;
    let row = rows.into_iter().find(|row| row.name == name);
    let missing = || Refusal(StatusCode::NOT_FOUND, format!("no component {name:?} was ever deployed"));
    let draining = components.registry.draining();
    Ok(Json(components.shown(row.ok_or_else(missing)?, &draining).await?))
}

/// A component, with its manifest inside.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it is read as bytes; this is its description")]
struct Wasm(Vec<u8>);

/// Deploys the component that is sent, with its manifest inside.
#[utoipa::path(
    post,
    path = "/components",
    tag = "components",
    params(How),
    request_body(content = Wasm, content_type = "application/octet-stream"),
    responses((status = 200, description = "Done", body = Change), Said)
)]
async fn put(
    State(components): State<Components>,
    Query(how): Query<How>,
    Body(wasm): Body,
) -> Result<Json<Change>, Refusal> {
    let deployed = components.deployments.deploy(wasm.into(), how.read()?).await?;
    components.change(deployed).await
}

/// Has its canary serve.
#[utoipa::path(
    post,
    path = "/components/{component}/promote",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Change), Said)
)]
async fn promote(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Change>, Refusal> {
    components.change(components.deployments.promote(&name).await?).await
}

/// Goes back from its canary or, without one, to an earlier version.
#[utoipa::path(
    post,
    path = "/components/{component}/rollback",
    tag = "components",
    params(("component" = String, Path, description = "Its name"), To),
    responses((status = 200, description = "Done", body = Change), Said)
)]
async fn roll_back(
    State(components): State<Components>,
    Path(name): Path<String>,
    Query(To { to }): Query<To>,
) -> Result<Json<Change>, Refusal> {
    components.change(components.deployments.roll_back(&name, to.as_deref()).await?).await
}

/// Takes it out of service; its versions stay.
#[utoipa::path(
    delete,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Change), Said)
)]
async fn remove(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Change>, Refusal> {
    components.change(components.deployments.remove(&name).await?).await
}

/// What was done with components, the newest first.
#[utoipa::path(
    get,
    path = "/deploys",
    tag = "components",
    params(Newest),
    responses((status = 200, description = "Done", body = Vec<Done>), Said)
)]
async fn log(
    State(components): State<Components>,
    Query(Newest { max }): Query<Newest>,
) -> Result<Json<Vec<Done>>, Refusal> {
    let said = components.deployments.log(max.unwrap_or(MOST).clamp(1, MOST)).await?;
    let done = said.iter().filter_map(|said| {
        let said = Document::try_from(&**said).ok()?;
        let text = |name: &str| said.get_str(name).ok().map(str::to_owned);
        let at = u64::try_from(said.get_datetime("at").ok()?.timestamp_millis()).ok()?;
        Some(Done {
            at,
            component: text("component")?,
            what: text("what")?,
            why: text("why"),
            from: text("from"),
            to: text("to"),
            canary: text("canary"),
            weight: said.get_i32("weight").ok().and_then(|weight| u8::try_from(weight).ok()),
        })
    });
    Ok(Json(done.collect()))
}

impl Components {
    async fn shown(&self, row: Row, draining: &[Drain]) -> Result<Component, Refusal> {
        let tally = self.deployments.tally_of(&row).await?;
        let canary = row.canary.zip(tally).map(|(trial, tally)| Canary { trial, tally });
        let here = self.registry.component(&row.name);
        let grants = here.map(|loaded| loaded.manifest.grants.lines().into_iter().collect()).unwrap_or_default();
        let draining = draining.iter().filter(|drain| drain.component == row.name);
        let draining = draining.map(Draining::from).collect();
        let failing = self.deployments.why_failing(&row.name);
        let Row { name, serving, versions, .. } = row;
        Ok(Component { name, serving, canary, versions, grants, draining, failing })
    }

    async fn change(&self, Deployed { row, before, changed }: Deployed) -> Result<Json<Change>, Refusal> {
        let component = self.shown(row, &self.registry.draining()).await?;
        Ok(Json(Change { component, before, changed }))
    }
}
