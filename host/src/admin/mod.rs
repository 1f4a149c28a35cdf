//! Admin: the operator's side of a host, on a listener of its own that is not meant for the world.
//!
//! What is here shows and steers; it serves no member. It may look into every room and is known by none but the binary.
//! Metrics are for everybody who reaches the listener; everything under `/v1` wants the operator's token.

mod app;
mod components;
mod dead_letters;
mod events;
mod extract;
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
use serde::Serialize;
use tokio::net::TcpListener;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema, openapi};
use utoipa_axum::router::OpenApiRouter;

use crate::capability::{documents, events as log};
use crate::engine::Engine;
use crate::host::Host;
pub use components::{Canary, Change, Component, Done, Draining};
pub use dead_letters::Letter;
pub use events::{Ends, Records, Shown};
pub use lag::Lag;
use lag::Lags;
use metrics::Metrics;
pub use rebuilds::Rebuild;
pub use token::Token;

/// How long whoever reads the metrics waits for the log.
const LOG_PATIENCE: Duration = Duration::from_secs(3);

/// The admin listener of one host.
pub struct Admin {
    router: Router,
}

impl Admin {
    /// Of a host, for whoever has the token.
    pub fn new(host: &Host, token: Token) -> Self {
        let lags = Arc::new(Lags::of(host));
        let metrics = Scraped {
            metrics: Arc::new(Metrics::new(host.stores.clone())),
            lags: lags.clone(),
            engine: host.registry.engine().clone(),
        };
        let described = events::routes(host, lags).merge(rebuilds::routes(host)).merge(components::routes(host));
        let (steering, described) =
            OpenApiRouter::with_openapi(Described::openapi()).merge(described).split_for_parts();
        let steering = steering
            .route("/openapi.json", get(async move || Json(described.clone())))
            .merge(app::routes(host))
            .fallback(nothing)
            .method_not_allowed_fallback(other_method)
            .layer(from_fn_with_state(Arc::new(token), token::required));
        let router = Router::new().route("/metrics", get(scrape)).with_state(metrics).nest("/v1", steering);
        Self { router: router.fallback(nothing) }
    }

    /// Serves until the future is dropped, or the listener breaks.
    pub async fn serve(self, listener: TcpListener) {
        if let Err(error) = axum::serve(listener, self.router).await {
            tracing::error!("the admin listener ended: {error}");
        }
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
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, described: &mut openapi::OpenApi) {
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        described.components.get_or_insert_default().add_security_scheme("token", bearer);
    }
}

/// What metrics are made of.
#[derive(Clone)]
struct Scraped {
    metrics: Arc<Metrics>,
    lags: Arc<Lags>,
    engine: Arc<Engine>,
}

/// In the text format of Prometheus, version 0.0.4.
async fn scrape(State(Scraped { metrics, lags, engine }): State<Scraped>) -> impl IntoResponse {
    // A log that is away is seen by its state; the rest is said all the same.
    let lags = tokio::time::timeout(LOG_PATIENCE, lags.look()).await.ok().and_then(Result::ok).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render(&lags, &engine.totals()))
}

async fn nothing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is nothing at this address".to_owned())
}

async fn other_method() -> Refusal {
    Refusal(StatusCode::METHOD_NOT_ALLOWED, "this address has other methods".to_owned())
}

/// Why an operator's request was not done.
#[derive(Debug)]
struct Refusal(StatusCode, String);

/// The words of a refusal.
#[derive(Serialize, ToSchema, IntoResponses)]
#[response(status = "default", description = "Why it is not done")]
struct Said {
    /// For people.
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Said { message: self.1 })).into_response()
    }
}

impl From<log::Error> for Refusal {
    fn from(error: log::Error) -> Self {
        let status = match error {
            log::Error::Invalid(_) => StatusCode::BAD_REQUEST,
            log::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl From<documents::Error> for Refusal {
    fn from(error: documents::Error) -> Self {
        let status = match error {
            documents::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}
