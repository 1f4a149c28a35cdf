//! Admin: the operator's API of a host, on a listener of its own that must not be public.
//!
//! It shows and changes state, and serves no users. It may use every other crate; only the binary uses it. Metrics need no
//! token; everything under `/v1` needs the operator's token.

#![forbid(unsafe_code)]

mod app;
mod components;
mod dead_letters;
mod events;
mod extract;
#[cfg(test)]
mod fuzz;
mod lag;
mod metrics;
mod rebuilds;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema, openapi};
use utoipa_axum::router::OpenApiRouter;

use capability::documents::Documents;
use capability::events::EventLog;
use capability::health::Store;
use capability::{documents, events as log};
pub use components::{Canary, Change, Component, Done, Draining};
pub use dead_letters::{Letter, LetterCount};
pub use events::{Ends, Records, Shown};
pub use lag::Lag;
use lag::Lags;
use metrics::Metrics;
pub use rebuilds::Rebuild;
use registry::Registry;
use registry::deploy::Deployments;
pub use token::Token;
use trigger::http::HttpTrigger;
use trigger::listener::Listener;

/// How long a scrape of the metrics waits for the event log.
const LAG_TIMEOUT: Duration = Duration::from_secs(3);

/// The parts of a host that the operator's API shows and changes.
#[derive(Clone)]
pub struct Operated {
    /// What is deployed on this host.
    pub registry: Arc<Registry>,
    /// What is deployed in the cluster.
    pub deployments: Arc<Deployments>,
    /// The HTTP trigger, for routes with `session = "operator"`.
    pub http: Arc<HttpTrigger>,
    /// The documents, without the checks on components' queries.
    pub documents: Arc<dyn Documents>,
    /// The log of events.
    pub events: Arc<dyn EventLog>,
    /// The engine and the health of each capability.
    pub stores: Arc<Vec<Store>>,
}

/// The admin listener of one host.
pub struct Admin {
    router: Router,
}

impl Admin {
    /// The operator's API of a host; `token` protects everything under `/v1`. The metrics show the connections of `listeners`.
    pub fn new(operated: &Operated, token: Token, listeners: Vec<(&'static str, Arc<Listener>)>) -> Self {
        let lags = Arc::new(Lags::of(operated));
        let capabilities = &operated.registry.engine().shared().capabilities;
        let (refusals, deleted) = (capabilities.refusals.clone(), capabilities.deleted.clone());
        let metrics = MetricsSources {
            metrics: Arc::new(Metrics::new(operated.stores.clone(), refusals, deleted, listeners)),
            lags: lags.clone(),
            registry: operated.registry.clone(),
        };
        let routes =
            events::routes(operated, lags).merge(rebuilds::routes(operated)).merge(components::routes(operated));
        let (api, document) = OpenApiRouter::with_openapi(ApiDocument::openapi()).merge(routes).split_for_parts();
        let api = api
            .route("/openapi.json", get(async move || Json(document.clone())))
            .merge(app::routes(operated))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(Arc::new(token), token::required));
        let router = Router::new().route("/metrics", get(scrape)).with_state(metrics).nest("/v1", api);
        Self { router: router.fallback(not_found) }
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// The system has no thread or file for the listener's door.
    pub async fn serve(
        self,
        listener: TcpListener,
        side: &Listener,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let respond = move |request, _| {
            let answered = TowerToHyperService::new(self.router.clone()).call(request);
            async move {
                match answered.await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        side.serve(listener, respond, shutdown, std::future::ready(())).await
    }
}

/// The routes under `/v1`, but for those of components.
#[derive(OpenApi)]
#[openapi(
    info(title = "DevConnect, the operator's side", description = "Shows and steers one host of a cluster and what the cluster runs."),
    servers((url = "/v1")),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct ApiDocument;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", bearer);
    }
}

/// What metrics are read from.
#[derive(Clone)]
struct MetricsSources {
    metrics: Arc<Metrics>,
    lags: Arc<Lags>,
    registry: Arc<Registry>,
}

/// In the text format of Prometheus, version 0.0.4.
async fn scrape(State(MetricsSources { metrics, lags, registry }): State<MetricsSources>) -> impl IntoResponse {
    // When the log does not answer, the other metrics are sent without the lag; the store's state shows that the log is down.
    let lags = tokio::time::timeout(LAG_TIMEOUT, lags.read()).await.ok().and_then(Result::ok).unwrap_or_default();
    let assets = [("loaded", registry.engine().asset_bytes()), ("replaced", registry.retired_bytes())];
    let text = metrics.render(&lags, &registry.engine().totals(), assets);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn not_found() -> ErrorResponse {
    ErrorResponse(StatusCode::NOT_FOUND, "there is nothing at this address".to_owned())
}

async fn method_not_allowed() -> ErrorResponse {
    ErrorResponse(StatusCode::METHOD_NOT_ALLOWED, "this address has other methods".to_owned())
}

/// The response to a request that failed: its status and the reason.
#[derive(Debug)]
struct ErrorResponse(StatusCode, String);

/// The words of a refusal.
#[derive(Serialize, ToSchema, IntoResponses)]
#[response(status = "default", description = "Why it is not done")]
struct ErrorBody {
    /// For people.
    message: String,
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { message: self.1 })).into_response()
    }
}

impl From<log::Error> for ErrorResponse {
    fn from(error: log::Error) -> Self {
        let status = match error {
            log::Error::Invalid(_) => StatusCode::BAD_REQUEST,
            log::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl From<documents::Error> for ErrorResponse {
    fn from(error: documents::Error) -> Self {
        let status = match error {
            documents::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}
