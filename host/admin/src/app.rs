//! Routes of components for operators, `session = "operator"` in the manifest, under `/v1/app`. Calls the HTTP trigger.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use crate::Operated;
use trigger::http::HttpTrigger;

/// The routes, for `/v1`.
pub(super) fn routes(operated: &Operated) -> Router {
    Router::new().route("/app/{*path}", any(answer)).with_state(operated.http.clone())
}

async fn answer(State(http): State<Arc<HttpTrigger>>, mut request: Request) -> Response {
    let Some(uri) = component_uri(request.uri()) else { return super::not_found().await.into_response() };
    *request.uri_mut() = uri;
    http.respond_to_operator(request).await.map(Body::new)
}

/// The URI without `/app`, as the component's manifest has it.
fn component_uri(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix("/app")?;
    Some(Uri::from(path.parse::<PathAndQuery>().ok()?))
}
