//! What a component written in Rust uses to talk to its host: typed requests and answers, documents, cache,
//! events and the rest of `devconnect:platform`, small enough to be entered fresh for every request.
//! Start with [`http_component!`], [`http::Request`], [`documents::collection`] and [`documents::Commit`].
//!
//! # A whole component
//!
//! `components/greeting/Cargo.toml`; the build script sets the stack and the heap that a fresh instance wants:
//! ```toml
//! [package]
//! name = "greeting"
//! build = "../sdk/link.rs"
//! version.workspace = true
//! edition.workspace = true
//! [lib]
//! crate-type = ["cdylib"]
//! [dependencies]
//! devconnect-sdk.workspace = true
//! serde.workspace = true
//! ```
//! `components/greeting/component.toml` holds the triggers, what may be reached, and the limits; it becomes part of
//! the built file. `components/greeting/src/lib.rs`:
//! ```
//! use devconnect_sdk::prelude::*;
//!
//! devconnect_sdk::http_component! {
//!     GET "/greeting/{id}" => show,
//!     POST "/greeting" => create,
//! }
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Greeting { text: String }
//!
//! fn show(request: &Request) -> Result<Response, Error> {
//!     let greeting: Greeting = collection("greetings").by_id(request.id_param("id")?)?.ok_or_else(|| Error::not_found("No such greeting"))?;
//!     Ok(Response::json(&greeting))
//! }
//!
//! fn create(request: &Request) -> Result<Response, Error> {
//!     let (id, new) = (ObjectId::new(), request.json::<Greeting>()?);
//!     let author = request.user_id()?;
//!     Commit::new()
//!         .insert("greetings", &doc! { "_id": id, "text": new.text.as_str(), "author": author, "createdAt": clock::now() })
//!         .envelope("user-events", &author.to_hex(), &Envelope::new("USER_GREETED", author, &new))
//!         .run()?;
//!     Ok(Response::json(&doc! { "_id": id, "text": new.text }))
//! }
//! ```
//! What a route takes and answers can be described for `GET /openapi.json`: see [`openapi`].
//! `cargo xtask build-components greeting` makes `target/components/greeting.wasm` of it.

#[cfg(any(target_arch = "wasm32", test))]
mod alloc;
pub mod bindings;
pub mod bson;
pub mod cache;
pub mod clock;
pub mod config;
pub mod documents;
pub mod event;
pub mod events;
pub mod fetch;
pub mod http;
pub mod json;
pub mod log;
pub mod mail;
pub mod openapi;
pub mod passwords;
pub mod presence;
pub mod random;
pub mod schedule;
pub mod sessions;
pub mod signing;
pub mod socket;
pub mod sockets;

/// What nearly every component uses, in one `use`.
pub mod prelude {
    pub use crate::bson::{Bson, DateTime, Document, ObjectId};
    pub use crate::documents::{Commit, collection};
    pub use crate::events::Envelope;
    pub use crate::http::{Error, Request, Response};
    pub use crate::socket::{Ack, Message};
    pub use crate::{cache, clock, doc, documents, log, sockets};
}
