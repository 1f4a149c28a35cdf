//! What the headers of a dead letter are called; they stand beside those of its event.

/// The component that could not be told.
pub(crate) const COMPONENT: &str = "dead-component";
/// Its version: the one for people and the beginning of its file's hash.
pub(crate) const VERSION: &str = "dead-version";
/// Why.
pub(crate) const REASON: &str = "dead-reason";
/// After how many tries.
pub(crate) const ATTEMPTS: &str = "dead-attempts";
/// Where the event is: `topic/partition/offset`.
pub(crate) const POSITION: &str = "dead-position";
/// The event's own id.
pub(crate) const EVENT: &str = "dead-event";
/// There when the value was too large to be kept: how many bytes it has at its place.
pub(crate) const LEFT_OUT: &str = "dead-value-bytes";

/// All of them.
pub(crate) const ALL: [&str; 7] = [COMPONENT, VERSION, REASON, ATTEMPTS, POSITION, EVENT, LEFT_OUT];
