//! Triggers: HTTP, sockets, events and schedules call components. A module each.
//!
//! A trigger may touch the network, the registry, the engine and the capabilities that it needs (sessions, documents, the log
//! of events). It knows no store's product, and of the application only `application.toml`.

#![forbid(unsafe_code)]

mod backoff;
pub mod event;
pub mod http;
mod json;
pub mod listener;
pub mod proxies;
pub mod schedule;
mod session_token;
pub mod socket;

use capability::documents::Collection;

/// The host's own collections that the triggers write.
pub fn collections() -> [(String, Collection); 2] {
    [
        (schedule::COLLECTION.to_owned(), Collection::default()),
        (event::consumed::COLLECTION.to_owned(), event::consumed::collection()),
    ]
}
