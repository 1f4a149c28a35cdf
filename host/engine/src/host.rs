//! Host: the WIT glue, a file per interface of the package.
//!
//! Each checks the grant, converts the arguments to the capability's types, calls the capability, and converts the result
//! back; nothing else. Every function calls [`State::enter`] first, and keeps its result to the end.
//!
//! [`State::enter`]: crate::State::enter

mod cache;
mod clocks;
mod config;
mod documents;
mod events;
mod fetch;
mod log;
mod mail;
mod passwords;
mod random;
mod sessions;
mod signing;
mod sockets;

pub(super) use cache::lend_values;
