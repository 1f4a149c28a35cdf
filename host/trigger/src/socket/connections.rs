//! Connections: the TCP connections of the sockets, to shut down one whose client does not read.
//!
//! After a disconnect of Socket.IO a client does not reconnect by itself; after a broken connection it does. So the
//! connection of a socket that has missed messages is shut down. The trigger records the connection of each request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socketioxide::socket::Sid;

use crate::listener::ConnectionHandle;

/// How long a connection is kept for a socket that is still being opened.
const OPENING: Duration = Duration::from_secs(60);

/// The most sockets whose connections are recorded before they are open: anybody can make their ids up.
const MAX_UNOPENED: usize = 65_536;

/// The connections of all sockets.
#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<Sid, State>>);

#[derive(Debug)]
struct State {
    connection: ConnectionHandle,
    /// It was shut down.
    cut: bool,
    since: Instant,
}

impl Connections {
    /// Records the connection of a socket's newest request; false when the socket was cut and its requests are refused.
    pub fn used(&self, socket: Sid, connection: &ConnectionHandle) -> bool {
        let mut connections = self.connections();
        if connections.len() >= MAX_UNOPENED && !connections.contains_key(&socket) {
            return true;
        }
        let new = || State { connection: ConnectionHandle::default(), cut: false, since: Instant::now() };
        let state = connections.entry(socket).or_insert_with(new);
        state.connection = connection.clone();
        !state.cut
    }

    /// Records the connection of a socket's first request, unless a later request has recorded one.
    pub fn opened(&self, socket: Sid, connection: &ConnectionHandle) {
        let new = || State { connection: connection.clone(), cut: false, since: Instant::now() };
        self.connections().entry(socket).or_insert_with(new);
    }

    /// Shuts down the connection of a socket whose client does not read, and refuses its further requests: the client
    /// reconnects and reads what it missed.
    pub fn cut(&self, socket: Sid) {
        tracing::info!(%socket, "a client does not read its messages; its connection is shut down");
        if let Some(state) = self.connections().get_mut(&socket) {
            state.cut = true;
            state.connection.shut_down();
        }
    }

    /// The socket is closed.
    pub fn remove(&self, socket: Sid) {
        self.connections().remove(&socket);
    }

    /// Removes the connections that never became a socket.
    pub fn sweep(&self, is_socket: impl Fn(Sid) -> bool) {
        self.connections().retain(|socket, state| state.since.elapsed() < OPENING || is_socket(*socket));
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Sid, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack (45): requests for sockets that are not there, each under another id. Outcome: so many are recorded and no more;
    /// one that is opened is.
    #[test]
    fn ids_that_are_made_up_are_not_kept_without_end() {
        let connections = Connections::default();
        for _ in 0..MAX_UNOPENED + 1_000 {
            assert!(connections.used(Sid::new(), &ConnectionHandle::default()));
        }
        assert_eq!(connections.connections().len(), MAX_UNOPENED);
        let opened = Sid::new();
        connections.opened(opened, &ConnectionHandle::default());
        connections.cut(opened);
        assert!(!connections.used(opened, &ConnectionHandle::default()), "it was cut");
    }
}
