//! The socket trigger: from a client's message to a component and back, over Socket.IO 4.
//!
//! Sockets belong to the host: who is behind one comes from its session, its messages wait in a lane of their own, and
//! replacing a component closes none. `handshake` lets clients in, `messages` answers them, `presence` tells who came and
//! went. What goes out is the business of `capability::sockets`.

mod census;
mod handshake;
mod lane;
mod messages;
mod presence;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::service::Service as _;
use socketioxide::SocketIo;
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;

pub use messages::{Incoming, Said, answer};
pub use presence::tell;

use crate::capability::clocks::Clock;
use crate::capability::sockets::SocketIoEngine;
use crate::capability::sockets::leases::Leases;
use crate::capability::sockets::lines::{Line, Lines};
use crate::capability::sockets::presence::{Changed, Presence};
use crate::engine::Identity;
use crate::registry::Registry;
use census::{Census, Most, Pace};
use lane::Room;

/// Where the server answers; part of the protocol as clients know it.
pub const PATH: &str = "/socket.io";
/// How often what went without a word is looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// How long a client may take from its first request to showing its session.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the end of the host waits until everybody is told who went.
const FAREWELL: Duration = Duration::from_secs(10);

/// What sockets may use.
#[derive(Debug, Clone, Copy)]
pub struct SocketOptions {
    /// Sockets of this host.
    pub sockets: usize,
    /// Sockets of one user on this host.
    pub per_user: usize,
    /// Sockets from one address on this host.
    pub per_address: usize,
    /// Count the loopback address too.
    pub count_loopback: bool,
    /// Messages of one socket a second, on the long run.
    pub pace: u32,
    /// Messages of one socket at once.
    pub burst: u32,
    /// Messages of one socket that wait to be answered.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Messages to one socket that wait to be read; one more, and its line is cut.
    pub unread: usize,
    /// The largest message of a client, in bytes; a larger one closes its socket.
    pub message: usize,
    /// How long a socket may be silent before it is asked whether it is there.
    pub ping: Duration,
    /// How long its answer may take.
    pub pong: Duration,
    /// How long a user counts as being there after the last word of a host that died.
    pub lease: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            sockets: 15_000,
            per_user: 50,
            per_address: 1_000,
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

/// The Socket.IO server before its trigger: capabilities need it first.
pub struct SocketServer {
    io: SocketIo,
    service: SocketIoService<NothingElse>,
    options: SocketOptions,
    presence: Arc<Presence>,
    changed: Changed,
    lines: Arc<Lines>,
}

impl SocketServer {
    /// A server that lets nobody in yet.
    pub fn new(options: SocketOptions, clock: Arc<dyn Clock>, leases: Arc<dyn Leases>) -> Self {
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(options.message as u64)
            .ws_max_message_size(options.message)
            .ws_max_frame_size(options.message)
            .max_buffer_size(options.unread)
            .connect_timeout(HANDSHAKE)
            .ping_interval(options.ping)
            .ping_timeout(options.pong)
            .build_with_inner_svc(NothingElse);
        let (presence, changed) = Presence::new(leases, clock);
        Self { io, service, options, presence: Arc::new(presence), changed, lines: Arc::default() }
    }

    /// What goes out through it.
    pub fn engine(&self) -> SocketIoEngine {
        SocketIoEngine::new(self.io.clone(), self.presence.clone(), self.lines.clone())
    }
}

/// Lets clients in and has their messages answered by components.
pub struct SocketTrigger {
    io: SocketIo,
    service: SocketIoService<NothingElse>,
    options: SocketOptions,
    registry: Arc<Registry>,
    presence: Arc<Presence>,
    changed: Mutex<Option<Changed>>,
    lines: Arc<Lines>,
    census: Arc<Census>,
}

impl SocketTrigger {
    /// For the components of a registry.
    pub fn new(server: SocketServer, registry: Arc<Registry>) -> Arc<Self> {
        let SocketServer { io, service, options, presence, changed, lines } = server;
        let changed = Mutex::new(Some(changed));
        let trigger = Self { io, service, options, registry, presence, changed, lines, census: Arc::default() };
        let trigger = Arc::new(trigger);
        handshake::open(&trigger);
        trigger
    }

    /// Starts what goes on besides requests: telling of presence, and the sweep. Once; needs a runtime.
    pub fn start(self: &Arc<Self>) {
        let Some(changed) = self.changed.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        tokio::spawn(presence::tell_all(self.registry.clone(), self.presence.clone(), changed));
        tokio::spawn(sweep(Arc::downgrade(self), SWEEP.min(self.options.lease / 3)));
    }

    /// Whether a path is the server's.
    pub fn answers(path: &str) -> bool {
        path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request to the server's path: a handshake, a poll, an upgrade.
    pub async fn respond<B>(&self, mut request: Request<B>, client: IpAddr) -> Response<ServerBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::fmt::Debug,
    {
        let line = request.extensions().get::<Line>().cloned().unwrap_or_default();
        if let Some(socket) = socket_of(request.uri())
            && !self.lines.used(socket, &line)
        {
            return gone();
        }
        request.extensions_mut().insert(handshake::Client(client));
        match self.service.call(request).await {
            Ok(response) => response.map(|body| body.map_err(|never| match never {}).boxed_unsync()),
            Err(never) => match never {},
        }
    }

    /// Closes all sockets and waits until it is told who went.
    pub async fn close(&self) {
        self.io.close().await;
        if tokio::time::timeout(FAREWELL, self.presence.settled()).await.is_err() {
            tracing::warn!("not everybody was told who went offline when this host ended");
        }
    }

    fn most(&self) -> Most {
        Most { all: self.options.sockets, user: self.options.per_user, address: self.options.per_address }
    }

    fn pace(&self) -> Pace {
        Pace { per_second: self.options.pace.into(), burst: self.options.burst.into() }
    }

    fn room(&self) -> Room {
        Room { length: self.options.waiting, bytes: self.options.waiting_bytes }
    }
}

/// The body of the server's answers.
pub type ServerBody = UnsyncBoxBody<Bytes, Infallible>;

/// The socket that a request belongs to, once it has one.
fn socket_of(uri: &http::Uri) -> Option<Sid> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == "sid").and_then(|(_, value)| value.parse().ok())
}

/// What Engine.IO says of a session that is not there; a client opens a new one then.
fn gone() -> Response<ServerBody> {
    let body = Full::new(Bytes::from_static(br#"{"code":1,"message":"Session ID unknown"}"#));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// Renews leases, closes sockets whose session ended by itself, and takes back what sockets left that went without a word.
async fn sweep(trigger: Weak<SocketTrigger>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(trigger) = trigger.upgrade() else { return };
        trigger.presence.renew().await;
        let now = trigger.registry.engine().shared().capabilities.clock.now() / 1_000;
        for socket in trigger.io.sockets() {
            let expired = socket.extensions.get::<Identity>().is_some_and(|identity| identity.expires <= now);
            if expired && socket.clone().disconnect().is_err() {
                tracing::debug!(socket = %socket.id, "the session of a socket that does not read is over");
            }
        }
        let there = |socket: Sid| trigger.io.get_socket(socket).is_some_and(|socket| socket.connected());
        for (user, socket) in trigger.presence.sockets() {
            if !socket.parse().is_ok_and(there) {
                trigger.presence.leave(&user, &socket);
            }
        }
        trigger.lines.sweep(there);
    }
}

/// What the server has below it: nothing. Other paths never come here.
#[derive(Clone)]
struct NothingElse;

impl<B> hyper::service::Service<Request<B>> for NothingElse {
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
