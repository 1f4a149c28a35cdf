//! The listener: accepts connections and serves HTTP/1 and HTTP/2 on them, with limits from the first byte on.
//!
//! The public and the operator's side are each one listener. It knows TCP and hyper, and nothing of routes.

mod connections;
mod options;
mod request_body;
mod stream;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use capability::refusals::{Refusal, Refusals};
use connections::{Connection, Connections};
pub use options::ListenerOptions;
pub use request_body::RequestBody;
pub use stream::ConnectionHandle;
use stream::Stream;

/// Between two looks at whether an HTTP/2 connection is idle.
const LOOK: Duration = Duration::from_secs(15);
/// After an accept that failed: at once it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One side of a host.
pub struct Listener {
    options: ListenerOptions,
    connections: Arc<Connections>,
    refusals: Arc<Refusals>,
}

impl Listener {
    /// A listener that counts whom it refuses in `refusals`.
    pub fn new(options: ListenerOptions, refusals: Arc<Refusals>) -> Self {
        let connections = Arc::new(Connections::new(options.clone(), refusals.clone()));
        Self { options, connections, refusals }
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// Serves until `shutdown`; then accepts no more, waits for `drained`, lets every request finish, and returns.
    pub async fn serve<F, R, B>(
        &self,
        listener: TcpListener,
        respond: F,
        shutdown: impl Future<Output = ()>,
        drained: impl Future<Output = ()>,
    ) where
        F: Fn(Request<RequestBody>, IpAddr) -> R + Clone + Send + 'static,
        R: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let graceful = GracefulShutdown::new();
        let builder = builder(&self.options);
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.next(&listener) => accepted,
            };
            let Some((stream, connection)) = accepted else { continue };
            let peer = connection.peer();
            let handle = stream.handle();
            let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), {
                let (respond, connection) = (respond.clone(), connection.clone());
                service_fn(move |mut request: Request<Incoming>| {
                    let in_flight = connection.begin();
                    request.extensions_mut().insert(handle.clone());
                    let (response, connection) = (respond(RequestBody::of(request), peer), connection.clone());
                    async move {
                        let response = response.await;
                        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                            connection.upgraded();
                        }
                        drop(in_flight);
                        Ok::<_, Infallible>(response)
                    }
                })
            });
            let mut served = Box::pin(graceful.watch(served.into_owned()));
            let (options, refusals) = (self.options.clone(), self.refusals.clone());
            tokio::spawn(async move {
                let ended = tokio::select! {
                    ended = &mut served => Some(ended),
                    () = unused(&connection, &options, &refusals) => None,
                };
                if let Some(Err(error)) = ended {
                    tracing::debug!(%peer, "a connection ended: {error}");
                }
            });
        }
        drop(listener);
        drained.await;
        let open = self.open();
        tracing::info!(open, "no more connections are accepted; finishing what is open");
        if tokio::time::timeout(self.options.drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in {:?} and are cut", self.options.drain_time);
        }
    }

    /// The next connection that is admitted.
    async fn next(&self, listener: &TcpListener) -> Option<(Stream, Arc<Connection>)> {
        match listener.accept().await {
            Ok((stream, peer)) => self.admit(stream, peer.ip().to_canonical()),
            Err(error) => {
                tracing::warn!("accepting failed: {error}");
                // Out of file descriptors: those that do nothing make room.
                self.connections.make_room();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: IpAddr) -> Option<(Stream, Arc<Connection>)> {
        // A response is written at once; waiting to fill a segment would only delay it.
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let handle = ConnectionHandle::new(Arc::downgrade(&stream));
        let connection = self.connections.admit(peer, handle)?;
        let (connections, refusals) = (self.connections.clone(), self.refusals.clone());
        let stream = Stream::new(stream, connections, connection.clone(), self.options.write_time, refusals);
        Some((stream, connection))
    }
}

/// Resolves when a connection is to be closed: no request came in time, or it has been idle for long.
async fn unused(connection: &Connection, options: &ListenerOptions, refusals: &Refusals) {
    tokio::time::sleep(options.first_request).await;
    if !connection.is_used() {
        refusals.count(Refusal::ConnectionSilent);
        return;
    }
    loop {
        tokio::time::sleep(LOOK.min(options.idle)).await;
        if connection.idle_for().is_some_and(|idle| idle >= options.idle) {
            return;
        }
    }
}

fn builder(options: &ListenerOptions) -> auto::Builder<TokioExecutor> {
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
        .max_concurrent_streams(options.streams)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(64 << 10)
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(1 << 20)
        .max_header_list_size(32 << 10)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
