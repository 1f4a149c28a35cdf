//! What components have for operators: the routes whose manifest says `session = "operator"`, under `/v1/app`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use crate::host::Host;
use crate::trigger::http::HttpTrigger;

/// The routes, for `/v1`.
pub(super) fn routes(host: &Host) -> Router {
    Router::new().route("/app/{*path}", any(answer)).with_state(host.http.clone())
}

async fn answer(State(http): State<Arc<HttpTrigger>>, mut request: Request) -> Response {
    let Some(uri) = within(request.uri()) else { return super::nothing().await.into_response() };
    *request.uri_mut() = uri;
    http.respond_to_operator(request).await.map(Body::new)
}

/// As the component knows it.
fn within(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix("/app")?;
    Some(Uri::from(path.parse::<PathAndQuery>().ok()?))
}
