//! Conformance: the cases of each capability on every engine of it, and what an engine does when its server is away.
//! A module is a capability or a server that misbehaves; within it, a test's path says on which engine it runs.
//! They are one executable: each further one would compile the host's generic code and link the host once more.

#![forbid(unsafe_code)]

mod cache;
mod changes_property;
mod compose_file;
mod documents;
mod documents_property;
mod event_retention;
mod events;
mod invalidations;
mod kafka_away;
mod kafka_topics;
mod mongodb_away;
mod mongodb_cut;
mod mongodb_groups;
mod mongodb_prepare;
mod outbox;
mod presence;
mod read_through;
mod redis_away;
mod relay;
mod sessions;
mod slow_fills;
