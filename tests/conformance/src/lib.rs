//! Conformance: what a capability promises, as cases that every engine of it has to pass. The list of cases is the
//! contract; an engine is done when it passes them all, unchanged.
//!
//! Real servers are those of `REDIS_URL` and its like, or else the ones that `cargo xtask stack` brings up. A case that
//! does not hold panics: this is test code.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case that does not hold should fail where it stands"
)]

pub mod cache;
pub mod documents;
pub mod events;
pub mod outbox;
pub mod presence;
pub mod racing;
pub mod redis_server;
pub mod servers;
