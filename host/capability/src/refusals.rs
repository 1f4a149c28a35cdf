//! Refusals: how often the host refused what a client wanted, by the limit that was reached.

use std::sync::atomic::{AtomicU64, Ordering};

/// A limit that refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{} refused: {}", self.labels().0, self.labels().1)]
pub enum Refusal {
    /// A new connection was closed: all others were in use.
    ConnectionFull,
    /// A new connection was closed: its address had too many in use.
    ConnectionAddress,
    /// A connection without a request made room for a new one.
    ConnectionIdle,
    /// A connection had no request in time.
    ConnectionSilent,
    /// A client took nothing of a response.
    ConnectionStalled,
    /// A client has too many Socket.IO sessions that it has not connected.
    HandshakeCaller,
    /// The host has too many Socket.IO sessions that are not connected.
    HandshakeFull,
    /// A caller has too many calls that are not answered.
    CallCaller,
    /// The host has too many calls that are not answered.
    CallFull,
    /// A call's turn did not come in time.
    CallWait,
    /// The client went away before its call's turn came.
    CallUnwanted,
    /// The bodies that a caller sends take too much memory.
    BodyCaller,
    /// The bodies of all callers take too much memory.
    BodyFull,
}

impl Refusal {
    /// All of them, in the order of [`Refusals`].
    pub const ALL: [Refusal; 13] = [
        Refusal::ConnectionFull,
        Refusal::ConnectionAddress,
        Refusal::ConnectionIdle,
        Refusal::ConnectionSilent,
        Refusal::ConnectionStalled,
        Refusal::HandshakeCaller,
        Refusal::HandshakeFull,
        Refusal::CallCaller,
        Refusal::CallFull,
        Refusal::CallWait,
        Refusal::CallUnwanted,
        Refusal::BodyCaller,
        Refusal::BodyFull,
    ];

    /// What was refused, and why: the labels of the metric.
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Refusal::ConnectionFull => ("connection", "full"),
            Refusal::ConnectionAddress => ("connection", "address"),
            Refusal::ConnectionIdle => ("connection", "idle"),
            Refusal::ConnectionSilent => ("connection", "silent"),
            Refusal::ConnectionStalled => ("connection", "stalled"),
            Refusal::HandshakeCaller => ("handshake", "caller"),
            Refusal::HandshakeFull => ("handshake", "full"),
            Refusal::CallCaller => ("call", "caller"),
            Refusal::CallFull => ("call", "full"),
            Refusal::CallWait => ("call", "wait"),
            Refusal::CallUnwanted => ("call", "unwanted"),
            Refusal::BodyCaller => ("body", "caller"),
            Refusal::BodyFull => ("body", "full"),
        }
    }
}

/// How often each limit refused something since the host started.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; Refusal::ALL.len()]);

impl Refusals {
    /// Counts one.
    pub fn count(&self, refusal: Refusal) {
        if let Some(count) = self.0.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_count_and_labels_of_its_own() {
        let refusals = Refusals::default();
        for (times, refusal) in (1..).zip(Refusal::ALL) {
            (0..times).for_each(|_| refusals.count(refusal));
        }
        for (times, refusal) in (1..).zip(Refusal::ALL) {
            assert_eq!(refusals.of(refusal), times, "{refusal:?}");
        }
        let labels = std::collections::BTreeSet::from(Refusal::ALL.map(Refusal::labels));
        assert_eq!(labels.len(), Refusal::ALL.len());
    }
}
