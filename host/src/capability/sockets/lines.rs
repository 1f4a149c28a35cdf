//! Lines: the connections below the sockets, kept to cut one whose reader does not read.
//!
//! The Socket.IO server can say good-bye to a client, which then does not come back by itself; a client whose line breaks
//! does. So a socket that has to catch up gets its line cut. Written by the trigger for each request of a socket.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use socketioxide::socket::Sid;
use tokio::net::TcpStream;

/// A connection that can be cut while somebody else reads and writes it.
#[derive(Debug, Clone, Default)]
pub struct Line(Weak<TcpStream>);

impl Line {
    /// Of a connection, for as long as it is there.
    pub fn of(stream: Weak<TcpStream>) -> Self {
        Self(stream)
    }

    /// Ends it in both directions, at once.
    fn cut(&self) {
        if let Some(stream) = self.0.upgrade() {
            // A connection that is gone already is what is wanted.
            let _ = socket2::SockRef::from(&*stream).shutdown(std::net::Shutdown::Both);
        }
    }
}

/// How long a line is kept for a socket that is still being opened.
const OPENING: Duration = Duration::from_secs(60);

/// The lines of all sockets.
#[derive(Debug, Default)]
pub struct Lines(Mutex<HashMap<Sid, State>>);

#[derive(Debug)]
struct State {
    line: Line,
    cut: bool,
    since: Instant,
}

impl Lines {
    /// The line that a socket's newest request came on; false when the socket was cut and must not go on.
    pub fn used(&self, socket: Sid, line: &Line) -> bool {
        let mut lines = self.lines();
        let fresh = || State { line: Line::default(), cut: false, since: Instant::now() };
        let state = lines.entry(socket).or_insert_with(fresh);
        state.line = line.clone();
        !state.cut
    }

    /// The line of a socket's very first request, unless it has moved to another one meanwhile.
    pub fn opened(&self, socket: Sid, line: &Line) {
        let fresh = || State { line: line.clone(), cut: false, since: Instant::now() };
        self.lines().entry(socket).or_insert_with(fresh);
    }

    /// Cuts the line of a socket whose client does not read, and lets no other request of it pass: the client connects
    /// again and reads what it missed.
    pub fn cut(&self, socket: Sid) {
        tracing::info!(%socket, "a client does not read what it is sent; its line is cut");
        if let Some(state) = self.lines().get_mut(&socket) {
            state.cut = true;
            state.line.cut();
        }
    }

    /// The socket is gone.
    pub fn forget(&self, socket: Sid) {
        self.lines().remove(&socket);
    }

    /// Forgets the lines of what never became a socket.
    pub fn sweep(&self, is_socket: impl Fn(Sid) -> bool) {
        self.lines().retain(|socket, state| state.since.elapsed() < OPENING || is_socket(*socket));
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Sid, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
