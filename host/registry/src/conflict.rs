//! Conflicts: two components that want the same. Pure.

/// Two components that want the same route, socket event or file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{second} can't have {wanted}: {first} has {other} already; change one of the two manifests")]
pub struct RouteConflict {
    /// The component that has it.
    pub first: String,
    /// The component that asks for it too.
    pub second: String,
    /// The route, socket event or file that is refused.
    pub wanted: String,
    /// What it collides with.
    pub other: String,
}
