//! The socket trigger: components answer messages of clients over Socket.IO 4.
//!
//! Sockets belong to the host: a socket's user is its session's, it has a queue of messages, and deploys close none.
//! It touches the Socket.IO server, the registry and sessions, and through `hosts` the sockets of other hosts.

mod connection_limits;
mod connections;
mod errors;
mod handshake;
mod hosts;
mod member;
mod messages;
mod opening;
mod outgoing;
mod presence;
mod queue;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::service::Service as _;
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;
use socketioxide::{ParserConfig, SocketIo};

pub use hosts::SocketsOfHosts;
pub use messages::{Incoming, MessageReply, answer};
pub use outgoing::SocketIoEngine;
pub use presence::tell;

use crate::listener::ConnectionHandle;
use crate::session_token::session_token;
use capability::clocks::Clock;
use capability::refusals::Refusal;
use capability::sessions::Identity;
use capability::sockets::leases::Leases;
use capability::sockets::presence::{Changed, Presence};
use connection_limits::{ConnectionLimits, MaxConnections, RateLimit};
use connections::Connections;
use opening::{Opener, Opening, Openings};
use queue::Capacity;
use registry::Registry;

/// The path of the server; clients rely on it.
pub const PATH: &str = "/socket.io";
/// The only namespace.
const NAMESPACE: &str = "/";
/// How often leases are renewed, and expired and lost sockets removed.
const SWEEP: Duration = Duration::from_secs(10);
/// How long a client may take from its first request to its session's token.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the body of a polling request may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);
/// The most binary attachments of a message. Payloads are JSON: a message with any is refused when it is whole.
const MAX_ATTACHMENTS: usize = 16;
/// How long [`SocketTrigger::close`] waits until the users that went offline are reported.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of sockets.
#[derive(Debug, Clone, Copy)]
pub struct SocketOptions {
    /// Sockets of this host.
    pub sockets: usize,
    /// Sockets of one user on this host.
    pub per_user: usize,
    /// Sockets from one address on this host.
    pub per_address: usize,
    /// Socket.IO sessions of clients without a session cookie that are not connected yet.
    pub opening: usize,
    /// The same from one address.
    pub opening_per_address: usize,
    /// Count the loopback address too.
    pub count_loopback: bool,
    /// Messages of one socket a second, on average.
    pub pace: u32,
    /// Messages of one socket in a burst.
    pub burst: u32,
    /// Messages of one socket in its queue.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Messages to one socket that wait to be read; one more, and its connection is shut down.
    pub unread: usize,
    /// The largest message of a client, in bytes; a larger one closes its socket.
    pub message: usize,
    /// The interval of pings.
    pub ping: Duration,
    /// How long the pong may take.
    pub pong: Duration,
    /// How long a user counts as online after a host's last renewal of its leases.
    pub lease: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            sockets: 15_000,
            per_user: 50,
            per_address: 1_000,
            opening: 2_000,
            opening_per_address: 100,
            count_loopback: false,
            pace: 200,
            burst: 2_000,
            waiting: 2_000,
            waiting_bytes: 4 << 20,
            unread: 2_048,
            message: 100_000,
            ping: Duration::from_secs(25),
            pong: Duration::from_secs(20),
            lease: Duration::from_secs(300),
        }
    }
}

/// The Socket.IO server without its trigger, which is made later: capabilities need the server first.
pub struct SocketServer {
    io: SocketIo,
    service: SocketIoService<NotFound>,
    options: SocketOptions,
    presence: Arc<Presence>,
    changed: Changed,
    connections: Arc<Connections>,
}

impl SocketServer {
    /// A server whose namespace is not open yet.
    pub fn new(options: SocketOptions, clock: Arc<dyn Clock>, leases: Arc<dyn Leases>) -> Self {
        // Attachments are kept until the last one has come, on connections of strangers, too.
        let parser = ParserConfig::common()
            .max_incoming_binary_buf_size(options.message)
            .max_incoming_binaries(MAX_ATTACHMENTS)
            .packet_completion_timeout(HANDSHAKE_TIMEOUT);
        let (service, io) = SocketIo::builder()
            .with_parser(parser)
            .req_path(PATH)
            .max_payload(options.message as u64)
            .ws_max_message_size(options.message)
            .ws_max_frame_size(options.message)
            .max_buffer_size(options.unread)
            .connect_timeout(HANDSHAKE_TIMEOUT)
            .ping_interval(options.ping)
            .ping_timeout(options.pong)
            .build_with_inner_svc(NotFound);
        let (presence, changed) = Presence::new(leases, clock);
        Self { io, service, options, presence: Arc::new(presence), changed, connections: Arc::default() }
    }

    /// Emits through this server.
    pub fn engine(&self) -> SocketIoEngine {
        SocketIoEngine::new(self.io.clone(), self.presence.clone(), self.connections.clone())
    }
}

/// Opens sockets and calls components for their messages.
pub struct SocketTrigger {
    io: SocketIo,
    service: SocketIoService<NotFound>,
    options: SocketOptions,
    registry: Arc<Registry>,
    presence: Arc<Presence>,
    changed: Mutex<Option<Changed>>,
    connections: Arc<Connections>,
    limits: Arc<ConnectionLimits>,
    openings: Arc<Openings>,
}

impl SocketTrigger {
    /// For the components of a registry.
    pub fn new(server: SocketServer, registry: Arc<Registry>) -> Arc<Self> {
        let SocketServer { io, service, options, presence, changed, connections } = server;
        let changed = Mutex::new(Some(changed));
        let (limits, openings) = (Arc::default(), Arc::default());
        let trigger = Self { io, service, options, registry, presence, changed, connections, limits, openings };
        let trigger = Arc::new(trigger);
        handshake::open(&trigger);
        trigger
    }

    /// Starts the tasks that report presence and sweep. Once; needs a runtime.
    pub fn start(self: &Arc<Self>) {
        let Some(changed) = self.changed.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        tokio::spawn(presence::report_all(self.registry.clone(), self.presence.clone(), changed));
        tokio::spawn(sweep(Arc::downgrade(self), SWEEP.min(self.options.lease / 3)));
    }

    /// Whether a path is the server's.
    pub fn answers(path: &str) -> bool {
        path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Responds to a request to the server's path: a handshake, a poll, an upgrade.
    pub async fn respond<B>(&self, mut request: Request<B>, client: IpAddr) -> Response<ServerBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::fmt::Debug,
    {
        if asks_for_websocket(request.uri()) && !is_websocket_handshake(&request) {
            return reply(StatusCode::BAD_REQUEST, r#"{"code":3,"message":"Bad request"}"#);
        }
        let connection = request.extensions().get::<ConnectionHandle>().cloned().unwrap_or_default();
        let token = session_token(request.headers(), &self.registry.engine().shared().application.session.cookie);
        match socket_of(request.uri()) {
            Some(socket) => {
                let known = self.is_of_its_member(socket, token).await && self.connections.used(socket, &connection);
                if !known {
                    return unknown_session();
                }
            }
            None => match self.open(token, client).await {
                // The Socket.IO session keeps its first request's extensions until it ends.
                Ok(opening) => _ = request.extensions_mut().insert(Arc::new(opening)),
                Err(refusal) => {
                    self.registry.engine().shared().capabilities.refusals.count(refusal);
                    return too_many(refusal);
                }
            },
        }
        request.extensions_mut().insert(handshake::Client(client));
        let has_body = request.method() == Method::POST;
        let answering = self.service.call(request);
        let answered = if has_body {
            match tokio::time::timeout(BODY_TIME, answering).await {
                Ok(answered) => answered,
                Err(_) => return too_slow(),
            }
        } else {
            answering.await
        };
        match answered {
            Ok(response) => {
                let response = response.map(|body| body.map_err(|never| match never {}).boxed_unsync());
                errors::in_one_shape(response).await
            }
            Err(never) => match never {},
        }
    }

    /// A permit for a new Socket.IO session: of a member's own where the request has a session's cookie, else of its address.
    async fn open(&self, token: Option<String>, client: IpAddr) -> Result<Opening, Refusal> {
        let shared = self.registry.engine().shared();
        let member = match token {
            // What does not hold is a stranger's, and is refused with its reason when it connects.
            Some(token) => shared.capabilities.sessions.check(&token).await.ok().flatten(),
            None => None,
        };
        let (opener, max) = match member {
            Some(identity) => (Opener::Member(identity.subject.to_string()), self.options.per_user),
            None if client.is_loopback() && !self.options.count_loopback => (Opener::Loopback, usize::MAX),
            None => (Opener::Address(client), self.options.opening_per_address),
        };
        self.openings.admit(opener, max, self.options.opening)
    }

    /// Closes all sockets and waits until the users that went offline are reported.
    pub async fn close(&self) {
        self.io.close().await;
        if tokio::time::timeout(REPORT_TIMEOUT, self.presence.settled()).await.is_err() {
            tracing::warn!("not every user that went offline was reported before this host ended");
        }
    }

    fn max_connections(&self) -> MaxConnections {
        MaxConnections { all: self.options.sockets, user: self.options.per_user, address: self.options.per_address }
    }

    fn rate_limit(&self) -> RateLimit {
        RateLimit { per_second: self.options.pace.into(), burst: self.options.burst.into() }
    }

    fn capacity(&self) -> Capacity {
        Capacity { length: self.options.waiting, bytes: self.options.waiting_bytes }
    }
}

/// The body of the server's responses.
pub type ServerBody = UnsyncBoxBody<Bytes, Infallible>;

/// The socket of a request; none for the first one.
fn socket_of(uri: &http::Uri) -> Option<Sid> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == "sid").and_then(|(_, value)| value.parse().ok())
}

/// Whether the Socket.IO server would answer a request with an upgrade to a WebSocket.
fn asks_for_websocket(uri: &http::Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| pair.strip_prefix("transport=").is_some_and(|value| value.split('=').next() == Some("websocket")))
}

/// Whether a request is the opening handshake of a WebSocket (RFC 6455, section 4.2.1). The response to another one would be an
/// upgrade that its client, or a proxy between the two, takes for something else; on HTTP/2 there is none at all.
fn is_websocket_handshake<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let has = |name: header::HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    // 16 bytes in Base64.
    let has_key = headers.get(header::SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == 24);
    let is_upgrade = has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade");
    let is_known = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    is_known && is_upgrade && has_key && has(header::SEC_WEBSOCKET_VERSION, "13")
}

/// A response of the host's own, with this JSON.
fn reply(status: StatusCode, body: &'static str) -> Response<ServerBody> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Engine.IO's response for an unknown session; the client opens a new one.
fn unknown_session() -> Response<ServerBody> {
    reply(StatusCode::BAD_REQUEST, r#"{"code":1,"message":"Session ID unknown"}"#)
}

/// The response to a body that does not end. The rest of it would follow on this connection.
fn too_slow() -> Response<ServerBody> {
    let mut response = reply(StatusCode::REQUEST_TIMEOUT, r#"{"message":"The body did not arrive in time"}"#);
    response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}

/// The response to a client that has to come back later; it does so by itself.
fn too_many(refusal: Refusal) -> Response<ServerBody> {
    let (status, body) = match refusal {
        Refusal::HandshakeCaller => (
            StatusCode::TOO_MANY_REQUESTS,
            r#"{"message":"You are opening too many connections; try again in a moment"}"#,
        ),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"message":"This host has too many connections; try again in a moment"}"#,
        ),
    };
    let mut response = reply(status, body);
    response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    response
}

/// Renews leases, closes sockets whose session has expired, and removes the state of sockets that closed without a disconnect.
async fn sweep(trigger: Weak<SocketTrigger>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(trigger) = trigger.upgrade() else { return };
        trigger.presence.renew().await;
        let now = trigger.registry.engine().shared().capabilities.clock.now() / 1_000;
        // A server that has closed has no namespace any more, and panics when it is asked for its sockets.
        let Some(sockets) = trigger.io.of(NAMESPACE).map(|all| all.sockets()) else { continue };
        for socket in sockets {
            let expired = socket.extensions.get::<Identity>().is_some_and(|identity| identity.expires <= now);
            if expired && socket.clone().disconnect().is_err() {
                tracing::debug!(socket = %socket.id, "the session of a socket that does not read has expired");
            }
        }
        let is_open = |socket: Sid| {
            let socket = trigger.io.of(NAMESPACE).and_then(|all| all.get_socket(socket));
            socket.is_some_and(|socket| socket.connected())
        };
        for (user, socket) in trigger.presence.sockets() {
            if !outgoing::find(&trigger.io, &socket).is_some_and(|socket| socket.connected()) {
                trigger.presence.leave(&user, &socket);
            }
        }
        trigger.connections.sweep(is_open);
    }
}

/// The inner service, which socketioxide calls for other paths: there are none.
#[derive(Clone)]
struct NotFound;

impl<B> hyper::service::Service<Request<B>> for NotFound {
    type Response = Response<http_body_util::Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(http_body_util::Empty::new());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_servers_and_no_other() {
        for path in ["/socket.io", "/socket.io/", "/socket.io/x"] {
            assert!(SocketTrigger::answers(path), "{path}");
        }
        for path in ["/socket.iox", "/", "/socket"] {
            assert!(!SocketTrigger::answers(path), "{path}");
        }
    }

    /// Attack (smuggling): an upgrade to a WebSocket that its client did not ask for in words that a proxy knows. Outcome: it
    /// is no handshake.
    #[test]
    fn only_a_whole_handshake_opens_a_websocket() {
        const WHOLE: [(&str, &str); 4] = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let request = |version, method: Method, change: Option<(&str, Option<&str>)>| {
            let mut request = Request::builder().version(version).method(method).uri("/socket.io/");
            for (name, value) in WHOLE {
                let changed = change.filter(|(changed, _)| *changed == name);
                if let Some(value) = changed.map_or(Some(value), |(_, value)| value) {
                    request = request.header(name, value);
                }
            }
            is_websocket_handshake(&request.body(()).unwrap())
        };
        assert!(request(Version::HTTP_11, Method::GET, None));
        assert!(!request(Version::HTTP_2, Method::GET, None));
        assert!(!request(Version::HTTP_10, Method::GET, None));
        assert!(!request(Version::HTTP_11, Method::POST, None));
        for (name, _) in WHOLE {
            assert!(!request(Version::HTTP_11, Method::GET, Some((name, None))), "{name}");
            assert!(!request(Version::HTTP_11, Method::GET, Some((name, Some("777")))), "{name}");
        }
    }

    #[test]
    fn a_request_for_a_websocket_is_known_as_the_server_knows_it() {
        for asks in ["transport=websocket", "EIO=4&transport=websocket&sid=x", "transport=websocket=x"] {
            assert!(asks_for_websocket(&format!("/socket.io/?{asks}").parse().unwrap()), "{asks}");
        }
        for other in ["", "?", "?transport=polling", "?transport=websockets", "?xtransport=websocket"] {
            assert!(!asks_for_websocket(&format!("/socket.io/{other}").parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn a_request_names_its_socket_or_none() {
        let id = Sid::new();
        let named = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
        assert_eq!(socket_of(&named.parse().unwrap()), Some(id));
        for none in ["/socket.io/", "/socket.io/?EIO=4", "/socket.io/?sid=", "/socket.io/?sid=%ff"] {
            assert_eq!(socket_of(&none.parse().unwrap()), None, "{none}");
        }
    }
}
