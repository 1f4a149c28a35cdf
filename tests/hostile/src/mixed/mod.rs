//! Mixed attacks: kinds of hostile requests and frames that take turns, and what may come of each.
//!
//! What is sent is made of a seed and a number, so that a wrong outcome can be made again.

mod aim;
mod campaign;
mod frames;
mod lane;
mod requests;
mod socket;
mod sockets;

use std::fmt;

pub use aim::Target;
pub use campaign::Campaign;
pub use lane::HANG;
pub use socket::Socket;

use aim::Aim;

/// A kind of hostile thing.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// How often it comes, beside the others.
    pub weight: u32,
    /// It shows a session that holds.
    pub session: bool,
    make: fn(&mut Aim<'_>) -> Shot,
    /// What may come of it. Anything else is a fault of the host.
    pub may: &'static [Came],
}

/// All kinds.
pub fn kinds() -> Vec<Kind> {
    [requests::KINDS, frames::KINDS, sockets::KINDS].concat()
}

/// A kind that shows no session.
const fn stranger(name: &'static str, weight: u32, make: fn(&mut Aim<'_>) -> Shot, may: &'static [Came]) -> Kind {
    Kind { name, weight, session: false, make, may }
}

/// A kind that shows one.
const fn member(name: &'static str, weight: u32, make: fn(&mut Aim<'_>) -> Shot, may: &'static [Came]) -> Kind {
    Kind { name, weight, session: true, make, may }
}

/// One hostile thing.
struct Shot {
    way: Way,
    bytes: Vec<u8>,
}

/// How it is sent, and for what it is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// HTTP/1 requests on a connection that is kept: one whole request, one answer.
    Kept,
    /// On a connection of its own; the first answer counts.
    Once,
    /// The same, and then nothing more comes: the client closes its direction.
    Ended,
    /// On a connection of its own, which is left at once.
    Left,
    /// On a connection of its own, on which nothing more comes, until the host gives up. Beside the others.
    Slow,
    /// Frames of HTTP/2 on a connection of its own.
    Http2(Until),
    /// Frames on a WebSocket of its own, whose handshake shows a session or not.
    Frames { session: bool, until: Until },
    /// The same with a Socket.IO session that is connected.
    Packets,
    /// The auth of a Socket.IO session, and nothing more.
    Auth,
    /// A Socket.IO event that wants an acknowledgement, on a socket that is kept; the bytes are a JSON list.
    Event,
    /// The body of a polling client's request, whose requests show a session or not.
    Polling { session: bool },
}

/// When it is known what came of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// A ping behind them is answered.
    Pong,
    /// The answer of stream 1 comes.
    Answer,
    /// The host closes: the client closes its direction.
    End,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// An answer with this status.
    Status(u16),
    /// More than one answer to one request.
    TooMany,
    /// The connection was closed or reset without an answer, or with a frame that says so.
    Closed,
    /// The HTTP/2 stream was reset.
    Reset,
    /// The host said that it ends the HTTP/2 connection.
    GoAway,
    /// The connection goes on.
    Alive,
    /// The acknowledgement of an event that was done.
    Done,
    /// The acknowledgement of one that was refused.
    Refused,
    /// The client left first.
    Left,
    /// Nothing, for longer than anything may take.
    Nothing,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Came::Status(status) => write!(f, "{status}"),
            Came::TooMany => f.write_str("too many answers"),
            Came::Closed => f.write_str("closed"),
            Came::Reset => f.write_str("reset"),
            Came::GoAway => f.write_str("go away"),
            Came::Alive => f.write_str("alive"),
            Came::Done => f.write_str("done"),
            Came::Refused => f.write_str("refused"),
            Came::Left => f.write_str("left"),
            Came::Nothing => f.write_str("nothing"),
        }
    }
}
