//! The handshake: opens a socket for a client with a session, and refuses others with a text.
//!
//! A session may end while its socket is being opened. Its end disconnects the sockets that are open, and an opened socket
//! checks its session once more: one of the two sees the other.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::FromConnectParts;
use socketioxide::handler::{ConnectHandler as _, FromMessageParts};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use crate::json::with_whole_characters;
use crate::listener::ConnectionHandle;
use crate::session_token::{self, session_token};
use crate::socket::SocketTrigger;
use crate::socket::connection_limits::TokenBucket;
use crate::socket::member::Holder;
use crate::socket::messages::{Incoming, MessageReply, answer};
use crate::socket::opening::Opening;
use crate::socket::outgoing::{session_room, socket_room, user_room};
use crate::socket::queue::Queue;
use capability::sessions::Identity;

/// The client's address, which the request passes to the handshake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) IpAddr);

/// The token that a socket was opened with, to check its session once more.
#[derive(Clone)]
struct OpeningToken(String);

/// Why a client is refused; the text goes to the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// The host's state of one socket. It holds no reference to the socket itself.
struct SocketState {
    /// The id that leaves the host. The Socket.IO server's own one is the key to the socket's messages.
    id: String,
    identity: Identity,
    client: String,
    queue: Arc<Queue>,
    bucket: Mutex<TokenBucket>,
}

/// Opens the namespace `/`: from here on clients can connect.
pub(super) fn open(trigger: &Arc<SocketTrigger>) {
    let (admitting, confirming) = (Arc::downgrade(trigger), Arc::downgrade(trigger));
    let connected = move |socket: SocketRef| {
        let confirming = confirming.clone();
        async move { confirm(&confirming, socket).await }
    };
    let admitted = move |socket: SocketRef, Auth(auth): Auth| {
        let admitting = admitting.clone();
        async move { admit(&admitting, socket, auth).await }
    };
    trigger.io.ns(super::NAMESPACE, connected.with(admitted));
}

async fn admit(trigger: &Weak<SocketTrigger>, socket: SocketRef, auth: Option<Value>) -> Result<(), Refused> {
    let trigger = trigger.upgrade().ok_or_else(|| Refused("This host is ending".into()))?;
    let shared = trigger.registry.engine().shared().clone();
    let rules = &shared.application.session;
    let parts = socket.req_parts();
    // In the handshake's payload the token has the name of the cookie. A value without the form of a token hides no good cookie.
    let in_payload = auth.as_ref().and_then(|auth| auth.get(&rules.cookie)?.as_str());
    let in_payload = in_payload.and_then(|text| session_token::token(text.trim().as_bytes()));
    let in_headers = session_token(&parts.headers, &rules.cookie);
    let holder = Holder::new(in_payload.clone(), in_headers.clone());
    let token = in_payload.or(in_headers);
    let token = token.ok_or_else(|| Refused(rules.refusal.clone()))?;
    let identity = match shared.capabilities.sessions.check(&token).await {
        Ok(Some(identity)) => identity,
        Ok(None) => return Err(Refused(rules.refusal.clone())),
        Err(error) => {
            tracing::warn!("{error}");
            return Err(Refused("Sessions can't be checked at this moment; try again".into()));
        }
    };
    let client = parts.extensions.get::<Client>().map(|client| client.0);
    let counted = client.filter(|address| trigger.options.count_loopback || !address.is_loopback());
    let opening = parts.extensions.get::<Arc<Opening>>().ok_or_else(|| Refused("This host is ending".into()))?;
    let permit = || trigger.limits.admit(trigger.max_connections(), &identity.subject, counted);
    opening.connected(&identity.subject, permit).map_err(|why| Refused(why.into()))?;
    let state = Arc::new(SocketState {
        id: hex::encode(capability::random::bytes::<12>()),
        client: client.map(|address| address.to_string()).unwrap_or_default(),
        queue: Arc::default(),
        bucket: Mutex::new(TokenBucket::full(trigger.rate_limit(), Instant::now())),
        identity: identity.clone(),
    });
    trigger.connections.opened(socket.id, &parts.extensions.get::<ConnectionHandle>().cloned().unwrap_or_default());
    socket.join(vec![user_room(&identity.subject), session_room(&identity.session), socket_room(&state.id)]);
    socket.extensions.insert(holder);
    socket.extensions.insert(identity);
    socket.extensions.insert(OpeningToken(token));
    listen(&trigger, &socket, state);
    Ok(())
}

/// Registers the handlers, before the client learns that it is connected: no message is missed.
fn listen(trigger: &Arc<SocketTrigger>, socket: &SocketRef, state: Arc<SocketState>) {
    let (user, id) = (state.identity.subject.clone(), state.id.clone());
    let (receiving, leaving) = (Arc::downgrade(trigger), Arc::downgrade(trigger));
    socket.on_fallback(
        move |socket: SocketRef,
              WholeCharacters: WholeCharacters,
              Event(event): Event,
              TryData(payload): TryData<Value>,
              WantsAck(wants_ack): WantsAck,
              ack: AckSender| {
            if let Some(trigger) = receiving.upgrade() {
                let payload = payload.unwrap_or_default();
                let message = Message { event, payload, ack: wants_ack.then_some(ack) };
                trigger.receive(&state, socket, message);
            }
            std::future::ready(())
        },
    );
    socket.on_disconnect(move |socket: SocketRef| {
        if let Some(trigger) = leaving.upgrade() {
            trigger.presence.leave(&user, &id);
            trigger.connections.remove(socket.id);
        }
        std::future::ready(())
    });
}

/// The socket is open, and the end of its session would close it. Closes it when the session ended just before.
async fn confirm(trigger: &Weak<SocketTrigger>, socket: SocketRef) {
    let (Some(trigger), Some(OpeningToken(token))) = (trigger.upgrade(), socket.extensions.remove::<OpeningToken>())
    else {
        return;
    };
    let sessions = &trigger.registry.engine().shared().capabilities.sessions;
    if let Ok(None) = sessions.check(&token).await {
        let _ = socket.disconnect();
    }
}

/// A received message.
struct Message {
    event: String,
    payload: Value,
    ack: Option<AckSender>,
}

impl SocketTrigger {
    /// Appends a message to its socket's queue. Called in the order in which the messages came; must not wait.
    fn receive(self: &Arc<Self>, state: &Arc<SocketState>, socket: SocketRef, message: Message) {
        let Message { event, payload, ack } = message;
        let within_limit =
            state.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(self.rate_limit(), Instant::now());
        if !within_limit {
            return self.reply(&socket, &event, ack, MessageReply::refused("Too many messages; slow down"));
        }
        let payload = Bytes::from(payload.to_string());
        let bytes = payload.len() + event.len();
        if !state.queue.has_room(self.capacity(), bytes) {
            return self.reply(
                &socket,
                &event,
                ack,
                MessageReply::refused("Too many messages wait to be answered; slow down"),
            );
        }
        let incoming = Incoming {
            socket: state.id.clone(),
            identity: state.identity.clone(),
            client: state.client.clone(),
            wants_ack: ack.is_some(),
            event: event.clone(),
            payload,
        };
        let trigger = self.clone();
        state.queue.push(bytes, async move {
            let reply = answer(&trigger.registry, incoming).await;
            trigger.reply(&socket, &event, ack, reply);
        });
    }

    fn reply(&self, socket: &SocketRef, event: &str, ack: Option<AckSender>, reply: MessageReply) {
        let sent = match ack {
            Some(ack) => ack.send(&(reply.into_ack(),)),
            None => reply.into_error(event).map_or(Ok(()), |reason| socket.emit("error", &(reason,))),
        };
        if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
            self.connections.cut(socket.id);
        }
    }
}

/// The payload of the handshake, if there is one.
struct Auth(Option<Value>);

impl<A: Adapter> FromConnectParts<A> for Auth {
    type Error = std::convert::Infallible;

    fn from_connect_parts(_: &Arc<Socket<A>>, auth: &Option<socketioxide_core::Value>) -> Result<Self, Self::Error> {
        let json = auth.as_ref().and_then(|auth| auth.as_str());
        let json = json.map(|json| with_whole_characters(Bytes::copy_from_slice(json.as_bytes())));
        Ok(Self(json.and_then(|json| serde_json::from_slice(&json).ok())))
    }
}

/// Changes a message before it is read: each half of a surrogate pair becomes a whole character, as in the body of a request.
struct WholeCharacters;

impl<A: Adapter> FromMessageParts<A> for WholeCharacters {
    type Error = std::convert::Infallible;

    fn from_message_parts(
        _: &Arc<Socket<A>>,
        message: &mut socketioxide_core::Value,
        _: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        if let socketioxide_core::Value::Str(json, _) = message {
            let whole = with_whole_characters(Bytes::copy_from_slice(json.as_str().as_bytes()));
            if whole.as_ref() != json.as_str().as_bytes()
                && let Ok(whole) = String::from_utf8(whole.to_vec())
            {
                *json = whole.into();
            }
        }
        Ok(Self)
    }
}

/// Whether the client waits for an acknowledgement.
struct WantsAck(bool);

impl<A: Adapter> FromMessageParts<A> for WantsAck {
    type Error = std::convert::Infallible;

    fn from_message_parts(
        _: &Arc<Socket<A>>,
        _: &mut socketioxide_core::Value,
        ack: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        Ok(Self(ack.is_some()))
    }
}
