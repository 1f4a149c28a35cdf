//! Serving: the public listener's requests are the HTTP trigger's.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::http::HttpTrigger;
use crate::listener::Listener;

/// Serves until `shutdown`; then accepts no connections, closes the sockets, lets every request finish, and returns.
///
/// # Errors
/// The system has no thread or file for the listener's door.
pub async fn serve(
    listener: TcpListener,
    side: &Listener,
    trigger: Arc<HttpTrigger>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let sockets = trigger.sockets().clone();
    sockets.start();
    let respond = move |request, peer| {
        let trigger = trigger.clone();
        async move { trigger.respond(request, peer).await }
    };
    // The sockets close before the drain: a client that polls for messages would keep its request open.
    side.serve(listener, respond, shutdown, async move { sockets.close().await }).await
}
