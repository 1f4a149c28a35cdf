//! Attacks: each with what it must come to, and with the others' requests beside it. A module is who attacks, or with what.

#![forbid(unsafe_code)]

mod components;
mod files;
mod injection;
mod members;
mod mixed;
mod origins;
mod owasp;
mod smuggling;
mod sockets;

mod strangers;
mod tokens;
