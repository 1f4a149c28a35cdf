//! The sockets of this host: emits, rooms and ends of sessions, over its Socket.IO server (protocol 4).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{SendError, SocketError, SocketIo};

use crate::socket::NAMESPACE;
use crate::socket::connections::Connections;
use capability::sessions::Ending;
use capability::sessions::Identity;
use capability::sockets::presence::Presence;
use capability::sockets::{Error, MAX_PAYLOAD, Sockets, Target};

/// The room of all sockets of a user. The name of a component's room has no space, so the two never collide.
pub(super) fn user_room(user: &str) -> String {
    format!("user {user}")
}

/// The room of all sockets of a session.
pub(super) fn session_room(session: &str) -> String {
    format!("session {session}")
}

/// The room of one socket, by its public id: how it is found by that.
pub(super) fn socket_room(id: &str) -> String {
    format!("socket {id}")
}

/// The socket of a public id. None before the namespace is open.
pub(super) fn find(io: &SocketIo, id: &str) -> Option<SocketRef> {
    io.of(NAMESPACE)?.within(socket_room(id)).sockets().into_iter().next()
}

/// [`Sockets`] over the host's own server.
pub struct SocketIoEngine {
    io: SocketIo,
    presence: Arc<Presence>,
    connections: Arc<Connections>,
}

impl SocketIoEngine {
    /// Over a server, whose namespace may be opened later.
    pub fn new(io: SocketIo, presence: Arc<Presence>, connections: Arc<Connections>) -> Self {
        Self { io, presence, connections }
    }

    /// Whether a socket is on this host.
    pub(super) fn has(&self, socket: &str) -> bool {
        self.socket(socket).is_some()
    }

    fn socket(&self, id: &str) -> Option<SocketRef> {
        find(&self.io, id)
    }

    /// The sockets in any of these rooms. None before the namespace is open, when messages of other hosts may come already.
    fn within(&self, rooms: Vec<String>) -> Vec<SocketRef> {
        self.io.of(NAMESPACE).map_or_else(Vec::new, |all| all.within(rooms).sockets())
    }

    fn recipients(&self, targets: &[Target]) -> Vec<SocketRef> {
        let mut rooms = Vec::new();
        let mut recipients = Vec::new();
        for target in targets {
            match target {
                Target::User(user) => rooms.push(user_room(user)),
                Target::Room(room) => rooms.push(room.clone()),
                Target::Socket(id) => recipients.extend(self.socket(id)),
            }
        }
        if !rooms.is_empty() {
            let named: Vec<Sid> = recipients.iter().map(|socket| socket.id).collect();
            let in_rooms = self.within(rooms);
            recipients.extend(in_rooms.into_iter().filter(|socket| !named.contains(&socket.id)));
        }
        recipients
    }
}

#[async_trait]
impl Sockets for SocketIoEngine {
    async fn emit(&self, targets: &[Target], event: &str, payload: &RawValue) -> Result<(), Error> {
        for socket in self.recipients(targets) {
            // A tuple is the list of arguments: without it, an array would be sent as several arguments.
            match socket.emit(event, &(payload,)) {
                Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
                Err(SendError::Socket(SocketError::InternalChannelFull)) => self.connections.cut(socket.id),
                Err(SendError::Serialize(error)) => return Err(Error::Invalid(error.to_string())),
            }
        }
        Ok(())
    }

    async fn emit_with_ack(
        &self,
        socket: &str,
        event: &str,
        payload: &RawValue,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error> {
        let Some(socket) = self.socket(socket) else { return Ok(None) };
        let answer = match socket.timeout(timeout).emit_with_ack::<_, serde_json::Value>(event, &(payload,)) {
            Ok(answer) => answer,
            Err(SendError::Serialize(error)) => return Err(Error::Invalid(error.to_string())),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                self.connections.cut(socket.id);
                return Ok(None);
            }
            Err(SendError::Socket(SocketError::Closed)) => return Ok(None),
        };
        // One that is too large counts as none.
        let answer = answer.await.ok().map(|value| Bytes::from(value.to_string()));
        Ok(answer.filter(|answer| answer.len() <= MAX_PAYLOAD))
    }

    async fn join(&self, socket: &str, room: &str) -> Result<(), Error> {
        if let Some(socket) = self.socket(socket) {
            socket.join(room.to_owned());
        }
        Ok(())
    }

    async fn leave(&self, socket: &str, room: &str) -> Result<(), Error> {
        if let Some(socket) = self.socket(socket) {
            socket.leave(room.to_owned());
        }
        Ok(())
    }

    async fn appear(&self, user: &str, socket: &str) -> Result<(), Error> {
        self.presence.appear(user, socket).await;
        // The socket may have closed before this call; then no other code would call `leave`.
        if !self.socket(socket).is_some_and(|socket| socket.connected()) {
            self.presence.leave(user, socket);
        }
        Ok(())
    }

    async fn online(&self, user: &str) -> Result<bool, Error> {
        Ok(self.presence.online(user).await)
    }

    async fn end(&self, user: &str, ending: &Ending) {
        for socket in self.within(vec![user_room(user)]) {
            let session = socket.extensions.get::<Identity>().map(|identity| identity.session);
            let ended = session.is_some_and(|session| ending.covers(&session));
            if ended && socket.clone().disconnect().is_err() {
                self.connections.cut(socket.id);
            }
        }
    }
}
