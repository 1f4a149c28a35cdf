//! Outcomes: how a call ended, and the counts of each.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Exceeded;

/// Why the component did not answer a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The guest trapped: a panic, an unreachable, a bad memory access.
    #[error("the component trapped: {0}")]
    Trap(String),
    /// It exceeded one of its limits.
    #[error("the component was stopped: {0}")]
    Exceeded(Exceeded),
    /// It did not answer within its `limits.wall-ms`.
    #[error("the component did not answer in its limits.wall-ms")]
    OutOfTime,
    /// The call's turn did not come in time.
    #[error("the host has no place for another call")]
    Busy,
    /// Its version was replaced and drained, and the call had not ended when the drain time was over.
    #[error("the version of the component was replaced, and its time to end was over")]
    Cut,
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

/// How a call ended, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the variants of Failure and Exceeded")]
pub enum Outcome {
    Answered,
    /// It answered with a failure: an HTTP status of 500 or more, a failed event.
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

    /// The label of the metric.
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

    /// Whether it is a failure of the component, and not of the host, its stores or the operator.
    pub fn is_failure(self) -> bool {
        use Outcome::{Answered, Busy, Cpu, Cut, Host, HostCalls, Memory, OutOfTime, Trap, Unable};
        match self {
            Unable | Trap | Cpu | Memory | HostCalls | OutOfTime => true,
            Answered | Busy | Cut | Host => false,
        }
    }
}

impl Failure {
    /// The outcome that it counts as.
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

/// The running calls, and the ended ones by outcome.
#[derive(Debug, Default)]
pub struct Counts {
    ended: [AtomicU64; Outcome::ALL.len()],
    running: AtomicU64,
}

impl Counts {
    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many calls are running.
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, outcome: Outcome) {
        if let Some(count) = self.ended.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls ended with this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.ended.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The answered and failed calls together, and the failed ones; calls that the host or the operator ended do not count.
    pub fn judged(&self) -> (u64, u64) {
        let failed =
            Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure()).map(|outcome| self.of(outcome)).sum();
        (self.of(Outcome::Answered) + failed, failed)
    }
}
