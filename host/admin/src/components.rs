//! Components for operators: what is deployed, and changing it. Works through `Deployments`; touches no store itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use bson::Document;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Operated;
use crate::extract::{Body, Path, Query};
use crate::{ErrorBody, ErrorResponse};
use manifest::{BundleError, Manifest};
use registry::deploy;
use registry::deploy::{CanaryRun, ComponentRow, Deployed, Deployments, LARGEST, Rule, Share, Tally, Version};
use registry::{DeployError, Drain, Registry};

/// The most entries of the log in one response.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Components {
    deployments: Arc<Deployments>,
    registry: Arc<Registry>,
}

/// The routes, for `/v1`.
pub(super) fn routes(operated: &Operated) -> OpenApiRouter {
    let state = Components { deployments: operated.deployments.clone(), registry: operated.registry.clone() };
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
    /// Its name; that of the file where a file of the folder of components can't be read as one.
    pub name: String,
    /// The hash of the version that serves; none once it is removed.
    pub serving: Option<String>,
    /// The version that is tried out on some.
    pub canary: Option<Canary>,
    /// The versions that are known, the one that was deployed last first; none of what was never deployed and can't be.
    pub versions: Vec<Version>,
    /// What the version on this host may reach, a line each.
    pub grants: Vec<String>,
    /// Versions that this host does not serve any more and whose calls have not all ended.
    pub draining: Vec<Draining>,
    /// Why this host does not serve the version that it should, or can't deploy what its folder of components has.
    pub failing: Option<String>,
}

/// A version that is tried out, and how that goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    /// The trial.
    #[serde(flatten)]
    pub run: CanaryRun,
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

impl Component {
    /// What the folder of components has and this host can't deploy.
    fn of_folder(name: String, why: String) -> Self {
        let (versions, grants, draining) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, serving: None, canary: None, versions, grants, draining, failing: Some(why) }
    }
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
    /// What changes in what it may see or do, a line each: behind `+` what is new, behind `-` what is gone.
    #[serde(default)]
    pub difference: Vec<String>,
    /// What is allowed and looks wrong, a line each.
    #[serde(default)]
    pub warnings: Vec<String>,
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

impl From<deploy::ChangeError> for ErrorResponse {
    fn from(error: deploy::ChangeError) -> Self {
        let status = match &error {
            deploy::ChangeError::Component(
                DeployError::Host(_)
                | DeployError::Unreadable { .. }
                | DeployError::Bundle(BundleError::Unreadable { .. }),
            ) => StatusCode::INTERNAL_SERVER_ERROR,
            deploy::ChangeError::Component(DeployError::Conflict(_))
            | deploy::ChangeError::Conflict(_)
            | deploy::ChangeError::Grants { .. } => StatusCode::CONFLICT,
            deploy::ChangeError::Component(_) | deploy::ChangeError::SessionRuleChanged { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            deploy::ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
            deploy::ChangeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(super) struct DeployParams {
    /// What the component may see or do beyond the version that serves is accepted.
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

/// The `min-calls` of a rule that does not give it.
const MIN_CALLS: u64 = 100;
/// The `max-errors` of a rule that does not give it, in percent.
const MAX_ERRORS: f64 = 1.0;

impl DeployParams {
    pub(super) fn options(self) -> Result<deploy::DeployOptions, ErrorResponse> {
        let Self { accept_grants, weight, max_errors, min_calls, promote_after } = self;
        let wrong = |why: &str| ErrorResponse(StatusCode::BAD_REQUEST, why.to_owned());
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
        Ok(deploy::DeployOptions { accept_grants, share })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RollbackParams {
    /// The beginning of the hash of a version; none: the one before.
    to: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogParams {
    /// How many lines at most; 1,000 at the most.
    max: Option<u32>,
}

/// Every component that was ever deployed, and what the folder of components has and this host can't deploy.
#[utoipa::path(
    get,
    path = "/components",
    tag = "components",
    responses((status = 200, description = "Done", body = Vec<Component>), ErrorBody)
)]
async fn list(State(components): State<Components>) -> Result<Json<Vec<Component>>, ErrorResponse> {
    let (mut all, draining) = (Vec::new(), components.registry.draining());
    let rows = components.deployments.rows().await?;
    let mut failing = components.registry.failing().all();
    for row in rows {
        failing.remove(&row.name);
        all.push(components.describe(row, &draining).await?);
    }
    all.extend(failing.into_iter().map(|(name, why)| Component::of_folder(name, why)));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(all))
}

/// One component.
#[utoipa::path(
    get,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Component), ErrorBody)
)]
async fn show(
    State(components): State<Components>,
    Path(name): Path<String>,
) -> Result<Json<Component>, ErrorResponse> {
    let rows = components.deployments.rows().await?;
    let Some(row) = rows.into_iter().find(|row| row.name == name) else {
        let why = components.registry.failing().why(&name);
        let missing = || ErrorResponse(StatusCode::NOT_FOUND, format!("no component {name:?} was ever deployed"));
        let why = why.ok_or_else(missing)?;
        return Ok(Json(Component::of_folder(name, why)));
    };
    Ok(Json(components.describe(row, &components.registry.draining()).await?))
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
    params(DeployParams),
    request_body(content = Wasm, content_type = "application/octet-stream"),
    responses((status = 200, description = "Done", body = Change), ErrorBody)
)]
async fn put(
    State(components): State<Components>,
    Query(params): Query<DeployParams>,
    Body(wasm): Body,
) -> Result<Json<Change>, ErrorResponse> {
    let options = params.options()?;
    let (shared, looked_at) = (components.registry.engine().shared().clone(), wasm.clone());
    // Reading a component takes milliseconds, which requests must not wait for.
    let warnings = tokio::task::spawn_blocking(move || {
        let manifest = Manifest::of_component(&looked_at);
        manifest.map(|manifest| manifest.unhandled_types(&looked_at, &shared.application)).unwrap_or_default()
    });
    let deployed = components.deployments.deploy(wasm.into(), options).await?;
    let warnings = warnings.await.unwrap_or_default();
    for warning in &warnings {
        tracing::warn!(component = deployed.row.name, "{warning}");
    }
    let Json(change) = components.change(deployed).await?;
    Ok(Json(Change { warnings, ..change }))
}

/// Has its canary serve.
#[utoipa::path(
    post,
    path = "/components/{component}/promote",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Change), ErrorBody)
)]
async fn promote(
    State(components): State<Components>,
    Path(name): Path<String>,
) -> Result<Json<Change>, ErrorResponse> {
    components.change(components.deployments.promote(&name).await?).await
}

/// Goes back from its canary or, without one, to an earlier version.
#[utoipa::path(
    post,
    path = "/components/{component}/rollback",
    tag = "components",
    params(("component" = String, Path, description = "Its name"), RollbackParams),
    responses((status = 200, description = "Done", body = Change), ErrorBody)
)]
async fn roll_back(
    State(components): State<Components>,
    Path(name): Path<String>,
    Query(RollbackParams { to }): Query<RollbackParams>,
) -> Result<Json<Change>, ErrorResponse> {
    components.change(components.deployments.roll_back(&name, to.as_deref()).await?).await
}

/// Takes it out of service; its versions stay.
#[utoipa::path(
    delete,
    path = "/components/{component}",
    tag = "components",
    params(("component" = String, Path, description = "Its name")),
    responses((status = 200, description = "Done", body = Change), ErrorBody)
)]
async fn remove(State(components): State<Components>, Path(name): Path<String>) -> Result<Json<Change>, ErrorResponse> {
    components.change(components.deployments.remove(&name).await?).await
}

/// What was done with components, the newest first.
#[utoipa::path(
    get,
    path = "/deploys",
    tag = "components",
    params(LogParams),
    responses((status = 200, description = "Done", body = Vec<Done>), ErrorBody)
)]
async fn log(
    State(components): State<Components>,
    Query(LogParams { max }): Query<LogParams>,
) -> Result<Json<Vec<Done>>, ErrorResponse> {
    let entries = components.deployments.log(max.unwrap_or(MOST).clamp(1, MOST)).await?;
    let done = entries.iter().filter_map(|entry| {
        let entry = Document::try_from(&**entry).ok()?;
        let text = |name: &str| entry.get_str(name).ok().map(str::to_owned);
        let at = u64::try_from(entry.get_datetime("at").ok()?.timestamp_millis()).ok()?;
        Some(Done {
            at,
            component: text("component")?,
            what: text("what")?,
            why: text("why"),
            from: text("from"),
            to: text("to"),
            canary: text("canary"),
            weight: entry.get_i32("weight").ok().and_then(|weight| u8::try_from(weight).ok()),
        })
    });
    Ok(Json(done.collect()))
}

impl Components {
    async fn describe(&self, row: ComponentRow, draining: &[Drain]) -> Result<Component, ErrorResponse> {
        let tally = self.deployments.tally_of(&row).await?;
        let canary = row.canary.zip(tally).map(|(run, tally)| Canary { run, tally });
        let loaded = self.registry.component(&row.name);
        let grants = loaded.map(|loaded| loaded.manifest.grant_lines().into_iter().collect()).unwrap_or_default();
        let draining = draining.iter().filter(|drain| drain.component == row.name);
        let draining = draining.map(Draining::from).collect();
        let failing = self.registry.failing().why(&row.name);
        let ComponentRow { name, serving, versions, .. } = row;
        Ok(Component { name, serving, canary, versions, grants, draining, failing })
    }

    async fn change(&self, deployed: Deployed) -> Result<Json<Change>, ErrorResponse> {
        let Deployed { row, before, changed, difference } = deployed;
        let component = self.describe(row, &self.registry.draining()).await?;
        let difference = difference.lines().to_vec();
        Ok(Json(Change { component, before, changed, difference, warnings: Vec::new() }))
    }
}
