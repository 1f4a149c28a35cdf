//! The accept loop: hyper-util's connections, limited in number, time and buffers, and shut down gracefully.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::http::HttpTrigger;
use crate::http::stream::Stream;

/// The limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct AcceptOptions {
    /// Connections at once, sockets included; more wait in the backlog of the kernel.
    pub connections: usize,
    /// How long a client may take to send a request's header; then its connection is closed.
    pub header_time: Duration,
    /// The most that is buffered of a request's header, in bytes.
    pub buffer: usize,
    /// How long a graceful shutdown may take.
    pub drain_time: Duration,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            connections: 16_000,
            header_time: Duration::from_secs(30),
            buffer: 64 << 10,
            drain_time: Duration::from_secs(30),
        }
    }
}

/// Serves until `shutdown`; then accepts no connections, closes the sockets, lets every request finish, and returns.
pub async fn serve(
    listener: TcpListener,
    trigger: Arc<HttpTrigger>,
    options: AcceptOptions,
    shutdown: impl Future<Output = ()>,
) {
    trigger.sockets().start();
    let permits = Arc::new(Semaphore::new(options.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(&options);
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = next(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let stream = Stream::new(stream, permit);
        let handle = stream.handle();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), {
            let trigger = trigger.clone();
            service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                let trigger = trigger.clone();
                request.extensions_mut().insert(handle.clone());
                async move { Ok::<_, std::convert::Infallible>(trigger.respond(request, peer).await) }
            })
        });
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, "a connection ended: {error}");
            }
        });
    }
    drop(listener);
    // First: a client that polls for messages would keep its request open.
    trigger.sockets().close().await;
    let open = options.connections - permits.available_permits();
    tracing::info!(open, "no more connections are accepted; finishing what is open");
    if tokio::time::timeout(options.drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in {:?} and are cut", options.drain_time);
    }
}

/// The next connection and its permit. Waits for the permit first, so that other connections stay in the kernel's backlog.
async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // A response is written at once; waiting to fill a segment would only delay it.
            let _ = stream.set_nodelay(true);
            Some((stream, peer.ip(), permit))
        }
        Err(error) => {
            tracing::warn!("accepting failed: {error}");
            // Out of file descriptors: retrying at once would spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn builder(options: &AcceptOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_time)
        .max_buf_size(options.buffer)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(32 << 10)
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}
