//! Outcomes: how a call ended, told apart and counted apart.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Exceeded;

/// Why a call has no answer of the component's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The guest trapped: a panic, an unreachable, a bad memory access.
    #[error("the component trapped: {0}")]
    Trap(String),
    /// It went past one of its limits.
    #[error("the component was stopped: {0}")]
    Exceeded(Exceeded),
    /// It did not answer in its `limits.wall-ms`.
    #[error("the component did not answer in its limits.wall-ms")]
    OutOfTime,
    /// All places for instances were taken for as long as the call may take.
    #[error("the host has no place for another instance")]
    Busy,
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

/// How a call ended, without the details: what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the variants of Failure and Exceeded")]
pub enum Outcome {
    Answered,
    Trap,
    Cpu,
    Memory,
    HostCalls,
    OutOfTime,
    Busy,
    Host,
}

impl Outcome {
    /// All of them, in the order of [`Counts`].
    pub const ALL: [Outcome; 8] = [
        Outcome::Answered,
        Outcome::Trap,
        Outcome::Cpu,
        Outcome::Memory,
        Outcome::HostCalls,
        Outcome::OutOfTime,
        Outcome::Busy,
        Outcome::Host,
    ];

    /// As a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Trap => "trap",
            Outcome::Cpu => "cpu",
            Outcome::Memory => "memory",
            Outcome::HostCalls => "host-calls",
            Outcome::OutOfTime => "out-of-time",
            Outcome::Busy => "busy",
            Outcome::Host => "host",
        }
    }
}

impl Failure {
    /// Its kind.
    pub fn outcome(&self) -> Outcome {
        match self {
            Failure::Trap(_) => Outcome::Trap,
            Failure::Exceeded(Exceeded::Cpu) => Outcome::Cpu,
            Failure::Exceeded(Exceeded::Memory) => Outcome::Memory,
            Failure::Exceeded(Exceeded::HostCalls) => Outcome::HostCalls,
            Failure::OutOfTime => Outcome::OutOfTime,
            Failure::Busy => Outcome::Busy,
            Failure::Host(_) => Outcome::Host,
        }
    }
}

/// A component's calls by outcome, since it was loaded.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Outcome::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, outcome: Outcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
