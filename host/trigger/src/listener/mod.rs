//! The listener: serves HTTP/1 and HTTP/2 on the connections that come in at its door, with limits from the first byte on.
//!
//! The public and the operator's side are each one listener. It knows TCP and hyper, and nothing of routes.

mod connections;
mod door;
mod fairness;
mod options;
mod request_body;
mod stream;

use std::convert::Infallible;
use std::io;
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
use tokio::net::TcpListener;
use tokio::time::Instant;

use capability::refusals::{Refusal, Refusals};
use connections::{Connection, Connections, InFlight};
use door::{Arrival, Door};
use fairness::Fairness;
pub use options::ListenerOptions;
pub use request_body::RequestBody;
pub use stream::ConnectionHandle;
use stream::Stream;

/// Between two looks at whether an HTTP/2 connection is idle.
const LOOK: Duration = Duration::from_secs(15);

/// One side of a host.
pub struct Listener {
    options: ListenerOptions,
    connections: Arc<Connections>,
    refusals: Arc<Refusals>,
    fairness: Arc<Fairness>,
}

impl Listener {
    /// A listener that counts whom it refuses in `refusals`.
    pub fn new(options: ListenerOptions, refusals: Arc<Refusals>) -> Self {
        let connections = Arc::new(Connections::new(options.clone(), refusals.clone()));
        Self { options, connections, refusals, fairness: Arc::new(Fairness::new()) }
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// Serves until `shutdown`; then accepts no more, waits for `drained`, lets every request finish, and returns.
    ///
    /// # Errors
    /// The system has no thread or file for the listener's door.
    pub async fn serve<F, R, B>(
        &self,
        listener: TcpListener,
        respond: F,
        shutdown: impl Future<Output = ()>,
        drained: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        F: Fn(Request<RequestBody>, IpAddr) -> R + Clone + Send + 'static,
        R: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let graceful = GracefulShutdown::new();
        let builder = builder(&self.options);
        let (connections, refusals) = (self.connections.clone(), self.refusals.clone());
        let (door, mut arrivals) = Door::open(listener, self.options.first_request, connections, refusals)?;
        {
            let mut ending = pin!(async {
                shutdown.await;
                door.accept_no_more();
                drained.await;
            });
            loop {
                let arrived = tokio::select! {
                    () = &mut ending => break,
                    arrived = arrivals.recv() => arrived,
                };
                let Some(arrival) = arrived else { return Err(io::Error::other("the door of a listener is closed")) };
                let Arrival { socket, entry, deadline } = arrival?;
                let connection = entry.connection().clone();
                let stream = match Stream::new(socket, entry, self.options.write_time, self.refusals.clone()) {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::warn!("a connection can't be served: {error}");
                        continue;
                    }
                };
                let handle = stream.handle();
                let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), {
                    let (respond, connection, fairness) = (respond.clone(), connection.clone(), self.fairness.clone());
                    service_fn(move |mut request: Request<Incoming>| {
                        let in_flight = connection.begin();
                        request.extensions_mut().insert(handle.clone());
                        let response = respond(RequestBody::of(request), connection.peer());
                        let answered = answered(response, in_flight, connection.clone(), fairness.clone());
                        async move { Ok::<_, Infallible>(answered.await) }
                    })
                });
                let mut served = Box::pin(graceful.watch(served.into_owned()));
                let (options, refusals, closing) = (self.options.clone(), self.refusals.clone(), door.closing());
                tokio::spawn(async move {
                    let ended = tokio::select! {
                        ended = &mut served => Some(ended),
                        () = unused(&connection, deadline, &options, &refusals) => None,
                    };
                    if let Some(Err(error)) = ended {
                        tracing::debug!(peer = %connection.peer(), "a connection ended: {error}");
                    }
                    // Thousands that did nothing may end at once. What one with requests has under way ends here.
                    if connection.idle_for().is_some() {
                        _ = closing.send(Box::new(served));
                    }
                });
            }
        }
        drop(arrivals);
        let open = self.open();
        tracing::info!(open, "no more connections are accepted; finishing what is open");
        if tokio::time::timeout(self.options.drain_time, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in {:?} and are cut", self.options.drain_time);
        }
        Ok(())
    }
}

/// The response to a request, when it may be sent.
async fn answered<B>(
    response: impl Future<Output = Response<B>>,
    in_flight: InFlight,
    connection: Arc<Connection>,
    fairness: Arc<Fairness>,
) -> Response<B> {
    let mut response = pin!(response);
    let starts_at_once = in_flight.is_alone() || connection.is_of_proxy();
    let started = if starts_at_once { None } else { connection.queues.start(response.as_mut()).await };
    let response = match started {
        Some(response) => response,
        None => response.await,
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.upgraded();
    }
    // A connection whose refusal waits does nothing, and makes room.
    drop(in_flight);
    if !connection.is_of_proxy() {
        fairness.pace(&connection.queues, response.status()).await;
    }
    response
}

/// Resolves when a connection is to be closed: no request came until the deadline, or it has been idle for long.
async fn unused(connection: &Connection, deadline: Instant, options: &ListenerOptions, refusals: &Refusals) {
    tokio::time::sleep_until(deadline).await;
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
