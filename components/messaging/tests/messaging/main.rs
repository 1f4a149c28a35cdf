//! Chat and presence, by the built component in the real engine: payload in; documents, events, emits and
//! acknowledgements out.

mod chat;
mod history;
mod members;
mod presence;
