//! What goes out to connected clients, and who of them is there. Sockets belong to the host and outlive a component;
//! who has none at this moment gets nothing, so what must not be missed is committed to documents first.

use serde::Serialize;

use crate::bindings::imports::sockets as wit;
use crate::bson::ObjectId;

pub use wit::{Error, Target};

/// The most targets of one [`emit`].
pub const MOST_TARGETS: usize = 1_000;

/// All sockets of a user.
pub fn user(id: ObjectId) -> Target {
    Target::User(id.to_hex())
}

/// Sends `payload` as JSON under the name `event` to all of `targets` (at most [`MOST_TARGETS`]).
pub fn emit<T: Serialize + ?Sized>(targets: &[Target], event: &str, payload: &T) -> Result<(), Error> {
    wit::emit(targets, event, &json(event, payload)?)
}

/// Sends to one socket and waits for its acknowledgement, at most `timeout_ms` (1 to 10,000); none when none came.
pub fn emit_with_ack<T: Serialize + ?Sized>(
    socket: &str,
    event: &str,
    payload: &T,
    timeout_ms: u32,
) -> Result<Option<Vec<u8>>, Error> {
    wit::emit_with_ack(socket, event, &json(event, payload)?, timeout_ms)
}

/// Puts the calling socket into a room.
pub fn join(room: &str) -> Result<(), Error> {
    wit::join(room)
}

/// Takes the calling socket out of a room.
pub fn leave(room: &str) -> Result<(), Error> {
    wit::leave(room)
}

/// From here on the calling socket counts for its user's presence.
pub fn appear() -> Result<(), Error> {
    wit::appear()
}

/// Whether a socket of this user counts for presence, on any host.
pub fn online(user: ObjectId) -> Result<bool, Error> {
    wit::online(&user.to_hex())
}

fn json<T: Serialize + ?Sized>(event: &str, payload: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(payload)
        .map_err(|error| Error::Invalid(format!("the payload of `{event}` is not JSON: {error}")))
}
