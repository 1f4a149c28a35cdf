//! HTTP for components: what came in ([`Request`]), what goes out ([`Response`]), what went wrong ([`Error`]),
//! and the table that says which function answers which route ([`http_component!`](crate::http_component!)).
//! The host has already checked the session, the size and the media type when a handler is entered.

mod error;
mod request;
mod response;
mod routes;

pub use error::Error;
pub use request::{Identity, Request};
pub use response::Response;
pub use routes::{Handler, Route, dispatch};
