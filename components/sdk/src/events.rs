//! Telling what happened to whoever subscribed: in order per key, at least once.
//! With a write, an event belongs into the write's [`Commit`](crate::documents::Commit); [`publish`] is for the rest.
//! [`Envelope`] is the shape that the application's events have.

use serde::Serialize;

use crate::bindings::imports::events as wit;
use crate::bson::DateTime;
use crate::clock;

pub use wit::{Error, Event};

/// The value of an event: `{"eventType": …, "userId": …, "timestamp": …, "data": …}`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<D> {
    /// The type, by which subscribers choose: `USER_SIGNUP`.
    pub event_type: &'static str,
    /// Who acted, in hex.
    pub user_id: String,
    /// When; an ISO date in the JSON.
    pub timestamp: DateTime,
    /// What else is to be known.
    pub data: D,
}

impl<D: Serialize> Envelope<D> {
    /// An event of type `event_type` that `user` caused just now.
    pub fn new(event_type: &'static str, user: impl ToString, data: D) -> Self {
        Self { event_type, user_id: user.to_string(), timestamp: clock::now(), data }
    }
}

/// An event whose value is `value` as JSON, at most 256 KiB. Events of one `key` keep their order.
pub fn event<T: Serialize + ?Sized>(topic: &str, key: &str, kind: &str, value: &T) -> Result<Event, Error> {
    let value = serde_json::to_vec(value)
        .map_err(|error| Error::Invalid(format!("the value of `{kind}` is not JSON: {error}")))?;
    Ok(Event { topic: topic.into(), key: key.into(), kind: kind.into(), value })
}

/// Publishes one event without a write of its own.
pub fn publish<T: Serialize + ?Sized>(topic: &str, key: &str, kind: &str, value: &T) -> Result<(), Error> {
    wit::publish(&event(topic, key, kind, value)?)
}
