//! Triggers: what calls a component. They know the wire and the registry, never a store.

pub mod event;
pub mod http;
pub mod schedule;
pub mod socket;
