//! Admin: the operator's side of a host, on a listener of its own that is not meant for the world.
//!
//! What is here shows and steers; it serves no member. It may look into every room and is known by none but the binary.

mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::host::Host;
use metrics::Metrics;

/// The admin listener of one host.
pub struct Admin {
    router: Router,
}

impl Admin {
    /// Of a host.
    pub fn new(host: &Host) -> Self {
        let metrics = Arc::new(Metrics::new(host.stores.clone()));
        Self { router: Router::new().route("/metrics", get(scrape)).with_state(metrics) }
    }

    /// Serves until the future is dropped, or the listener breaks.
    pub async fn serve(self, listener: TcpListener) {
        if let Err(error) = axum::serve(listener, self.router).await {
            tracing::error!("the admin listener ended: {error}");
        }
    }
}

/// In the text format of Prometheus, version 0.0.4.
async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}
