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
    /// Its version was replaced, and it had not ended when that one's time was over.
    #[error("the version of the component was replaced, and its time to end was over")]
    Cut,
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

/// How a call ended, without the details: what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the variants of Failure and Exceeded")]
pub enum Outcome {
    Answered,
    /// It answered that it can't: an HTTP status of 500 and more, an event that it fails at.
    Unable,
    Trap,
    Cpu,
    Memory,
    HostCalls,
    OutOfTime,
    Busy,
    Cut,
    Host,
}

impl Outcome {
    /// All of them, in the order of [`Counts`].
    pub const ALL: [Outcome; 10] = [
        Outcome::Answered,
        Outcome::Unable,
        Outcome::Trap,
        Outcome::Cpu,
        Outcome::Memory,
        Outcome::HostCalls,
        Outcome::OutOfTime,
        Outcome::Busy,
        Outcome::Cut,
        Outcome::Host,
    ];

    /// As a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Unable => "unable",
            Outcome::Trap => "trap",
            Outcome::Cpu => "cpu",
            Outcome::Memory => "memory",
            Outcome::HostCalls => "host-calls",
            Outcome::OutOfTime => "out-of-time",
            Outcome::Busy => "busy",
            Outcome::Cut => "cut",
            Outcome::Host => "host",
        }
    }

    /// Whether the component is to blame for it, and not the host, its stores or the operator.
    pub fn is_failure(self) -> bool {
        use Outcome::{Answered, Busy, Cpu, Cut, Host, HostCalls, Memory, OutOfTime, Trap, Unable};
        match self {
            Unable | Trap | Cpu | Memory | HostCalls | OutOfTime => true,
            Answered | Busy | Cut | Host => false,
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
            Failure::Cut => Outcome::Cut,
            Failure::Host(_) => Outcome::Host,
        }
    }
}

/// Calls: those that run, and those that ended, by outcome.
#[derive(Debug, Default)]
pub struct Counts {
    ended: [AtomicU64; Outcome::ALL.len()],
    running: AtomicU64,
}

/// A call that has begun and, until this is dropped, not ended.
pub(super) struct Running<'a>(&'a Counts);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// How many have begun and not ended.
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, outcome: Outcome) {
        if let Some(count) = self.ended.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.ended.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// All calls for whose end the component answers, and those of them that failed.
    pub fn judged(&self) -> (u64, u64) {
        let failed =
            Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure()).map(|outcome| self.of(outcome)).sum();
        (self.of(Outcome::Answered) + failed, failed)
    }
}
