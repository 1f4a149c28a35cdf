//! Chat and presence, by the built component in the real engine: payload in; documents, events, emits and
//! acknowledgements out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod chat;
mod history;
mod members;
mod old;
mod payloads;
mod presence;
