//! The names of a dead letter's headers; they are added to those of its event.

/// The component that could not process the event.
pub const COMPONENT: &str = "dead-component";
/// Its version: the one for people and the first digits of its file's hash.
pub const VERSION: &str = "dead-version";
/// The reason.
pub const REASON: &str = "dead-reason";
/// The number of attempts.
pub const ATTEMPTS: &str = "dead-attempts";
/// The position of the event: `topic/partition/offset`.
pub const POSITION: &str = "dead-position";
/// The event's own id.
pub const EVENT: &str = "dead-event";
/// Only when the value was too large for the dead letter: its size in bytes at its position.
pub const LEFT_OUT: &str = "dead-value-bytes";

/// All of them.
pub const ALL: [&str; 7] = [COMPONENT, VERSION, REASON, ATTEMPTS, POSITION, EVENT, LEFT_OUT];
