//! The handshake: a client shows its session and becomes a socket, or is refused in words.
//!
//! A session may end while its socket is being opened. Ending one disconnects the sockets that are there; so the session
//! is looked at once more when the socket is there, and one of the two sees the other.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler as _, FromMessageParts};
use socketioxide::socket::Socket;
use socketioxide::{SendError, SocketError};

use super::SocketTrigger;
use super::census::{Bucket, Seat};
use super::lane::Lane;
use super::messages::{Incoming, Said, answer};
use crate::capability::sockets::lines::Line;
use crate::capability::sockets::{session_room, user_room};
use crate::engine::Identity;
use crate::trigger::http::token_of;

/// The client's address, on its way from the request to the handshake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) IpAddr);

/// The token that a socket was opened with, to look at its session once more.
#[derive(Clone)]
struct Shown(String);

/// Why a client is not let in; it reads these words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// What the host knows of one socket. Nothing in here keeps the socket itself alive.
struct Connection {
    identity: Identity,
    client: String,
    lane: Arc<Lane>,
    bucket: Mutex<Bucket>,
    /// Given back when the socket is gone.
    _seat: Seat,
}

/// Opens the namespace `/`: from here on clients are let in.
pub(super) fn open(trigger: &Arc<SocketTrigger>) {
    let (admitting, confirming) = (Arc::downgrade(trigger), Arc::downgrade(trigger));
    let connected = move |socket: SocketRef| {
        let confirming = confirming.clone();
        async move { confirm(&confirming, socket).await }
    };
    let admitted = move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let admitting = admitting.clone();
        async move { admit(&admitting, socket, auth.ok()).await }
    };
    trigger.io.ns("/", connected.with(admitted));
}

async fn admit(trigger: &Weak<SocketTrigger>, socket: SocketRef, auth: Option<Value>) -> Result<(), Refused> {
    let trigger = trigger.upgrade().ok_or_else(|| Refused("This host is ending".into()))?;
    let shared = trigger.registry.engine().shared().clone();
    let rules = &shared.application.session;
    let parts = socket.req_parts();
    // In the handshake's payload it has the name that it has as a cookie.
    let in_payload = auth.as_ref().and_then(|auth| auth.get(&rules.cookie)?.as_str()).map(str::to_owned);
    let token = in_payload.or_else(|| token_of(&parts.headers, &rules.cookie));
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
    let seat = trigger.census.admit(trigger.most(), &identity.subject, counted);
    let connection = Arc::new(Connection {
        client: client.map(|address| address.to_string()).unwrap_or_default(),
        lane: Arc::default(),
        bucket: Mutex::new(Bucket::full(trigger.pace(), Instant::now())),
        _seat: seat.map_err(|why| Refused(why.into()))?,
        identity: identity.clone(),
    });
    trigger.lines.opened(socket.id, &parts.extensions.get::<Line>().cloned().unwrap_or_default());
    socket.join(vec![user_room(&identity.subject), session_room(&identity.session)]);
    socket.extensions.insert(identity);
    socket.extensions.insert(Shown(token));
    listen(&trigger, &socket, connection);
    Ok(())
}

/// Before the client is told that it is in, so that nothing it sends is missed.
fn listen(trigger: &Arc<SocketTrigger>, socket: &SocketRef, connection: Arc<Connection>) {
    let user = connection.identity.subject.clone();
    let (hearing, leaving) = (Arc::downgrade(trigger), Arc::downgrade(trigger));
    socket.on_fallback(
        move |socket: SocketRef,
              Event(event): Event,
              TryData(payload): TryData<Value>,
              WantsAck(wants_ack): WantsAck,
              ack: AckSender| {
            if let Some(trigger) = hearing.upgrade() {
                let payload = payload.unwrap_or_default();
                let heard = Heard { event, payload, ack: wants_ack.then_some(ack) };
                trigger.hear(&connection, socket, heard);
            }
            std::future::ready(())
        },
    );
    socket.on_disconnect(move |socket: SocketRef| {
        if let Some(trigger) = leaving.upgrade() {
            trigger.presence.leave(&user, socket.id.as_str());
            trigger.lines.forget(socket.id);
        }
        std::future::ready(())
    });
}

/// The socket is there and can be found by whoever ends its session. Did somebody just before?
async fn confirm(trigger: &Weak<SocketTrigger>, socket: SocketRef) {
    let (Some(trigger), Some(Shown(token))) = (trigger.upgrade(), socket.extensions.remove::<Shown>()) else { return };
    let sessions = &trigger.registry.engine().shared().capabilities.sessions;
    if let Ok(None) = sessions.check(&token).await {
        let _ = socket.disconnect();
    }
}

/// A message as it was heard.
struct Heard {
    event: String,
    payload: Value,
    ack: Option<AckSender>,
}

impl SocketTrigger {
    /// Puts a message into its socket's lane. Called in the order in which the messages came; must not wait.
    fn hear(self: &Arc<Self>, connection: &Arc<Connection>, socket: SocketRef, heard: Heard) {
        let Heard { event, payload, ack } = heard;
        let in_pace =
            connection.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(self.pace(), Instant::now());
        if !in_pace {
            return self.say(&socket, &event, ack, Said::refused("Too many messages; slow down"));
        }
        let payload = Bytes::from(payload.to_string());
        let bytes = payload.len() + event.len();
        if !connection.lane.has(self.room(), bytes) {
            return self.say(&socket, &event, ack, Said::refused("Too many messages wait to be answered; slow down"));
        }
        let incoming = Incoming {
            socket: socket.id.to_string(),
            identity: connection.identity.clone(),
            client: connection.client.clone(),
            wants_ack: ack.is_some(),
            event: event.clone(),
            payload,
        };
        let trigger = self.clone();
        connection.lane.push(bytes, async move {
            let said = answer(&trigger.registry, incoming).await;
            trigger.say(&socket, &event, ack, said);
        });
    }

    fn say(&self, socket: &SocketRef, event: &str, ack: Option<AckSender>, said: Said) {
        let sent = match ack {
            Some(ack) => ack.send(&(said.into_ack(),)),
            None => said.into_error(event).map_or(Ok(()), |reason| socket.emit("error", &(reason,))),
        };
        if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
            self.lines.cut(socket.id);
        }
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
