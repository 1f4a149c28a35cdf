//! Outcomes: how a call ended, and the counts of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// It failed, or did without, because a store or the host itself did not serve it.
    Store,
}

impl Outcome {
    /// All of them, in the order of [`Counts`].
    pub const ALL: [Outcome; 11] = [
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
        Outcome::Store,
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
            Outcome::Store => "store",
        }
    }

    /// Whether it is a failure of the component, and not of the host, its stores or the operator.
    pub fn is_failure(self) -> bool {
        use Outcome::{Answered, Busy, Cpu, Cut, Host, HostCalls, Memory, OutOfTime, Store, Trap, Unable};
        match self {
            Unable | Trap | Cpu | Memory | HostCalls | OutOfTime => true,
            Answered | Busy | Cut | Host | Store => false,
        }
    }
}

/// What a component said with its answer, by the answer alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It did what it was asked.
    Done,
    /// It refused the caller.
    Refused,
    /// It failed.
    Failed,
}

impl Said {
    /// How the call counts; `unserved`: a store or the host did not serve it.
    pub(crate) fn outcome(self, unserved: bool) -> Outcome {
        match self {
            // It did without.
            Said::Done => Outcome::Answered,
            Said::Refused | Said::Failed if unserved => Outcome::Store,
            Said::Refused => Outcome::Answered,
            Said::Failed => Outcome::Unable,
        }
    }
}

/// The end of an answered call, which is counted when this is dropped. By then the trigger knows whether it could use the answer,
/// so that the outcome is decided once.
#[derive(Debug)]
pub struct End {
    /// Those of the version, and of all versions of the component.
    counts: [Arc<Counts>; 2],
    outcome: Outcome,
}

impl End {
    pub(crate) fn new(version: &Arc<Counts>, total: &Arc<Counts>, outcome: Outcome) -> Self {
        Self { counts: [version.clone(), total.clone()], outcome }
    }

    /// The host can't use the answer, or refuses what it asks for: the component failed.
    pub fn refuse(mut self) {
        if self.outcome == Outcome::Answered {
            self.outcome = Outcome::Unable;
        }
    }

    /// What the answer asks for was not done, because a store did not answer.
    pub fn store_unavailable(mut self) {
        self.outcome = Outcome::Store;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.counts.iter().for_each(|counts| counts.add(self.outcome));
    }
}

impl Failure {
    /// The outcome that it counts as; `unserved`: a store or the host did not serve the call.
    pub(crate) fn outcome_of(&self, unserved: bool) -> Outcome {
        match self {
            Failure::Trap(_) | Failure::OutOfTime if unserved => Outcome::Store,
            _ => self.outcome(),
        }
    }

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

/// Threads count in shards, so that they don't pass a cache line to each other with each call.
const SHARDS: usize = 8;

/// The running calls, and the ended ones by outcome.
#[derive(Debug, Default)]
pub struct Counts([Shard; SHARDS]);

/// What some threads counted, on cache lines of its own: processors load two of 64 bytes at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    ended: [AtomicU64; Outcome::ALL.len()],
    running: AtomicU64,
    host_calls: AtomicU64,
}

/// Where a running call is counted: it ends where it began, so that no sum misses a call that runs while it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began(usize);

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

impl Began {
    /// On this thread.
    pub(super) fn here() -> Self {
        Self(SHARD.with(|shard| *shard))
    }
}

impl Counts {
    pub(super) fn begin(&self, began: Began) {
        if let Some(shard) = self.0.get(began.0) {
            shard.running.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self, began: Began) {
        if let Some(shard) = self.0.get(began.0) {
            shard.running.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many calls are running.
    pub fn running(&self) -> u64 {
        self.0.iter().map(|shard| shard.running.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn add_host_calls(&self, calls: u32) {
        if let Some(shard) = self.0.get(Began::here().0) {
            shard.host_calls.fetch_add(u64::from(calls), Ordering::Relaxed);
        }
    }

    /// How many calls into the host the ended calls made.
    pub fn host_calls(&self) -> u64 {
        self.0.iter().map(|shard| shard.host_calls.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn add(&self, outcome: Outcome) {
        let shard = self.0.get(Began::here().0);
        if let Some(count) = shard.and_then(|shard| shard.ended.get(outcome as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many calls ended with this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        let counts = self.0.iter().filter_map(|shard| shard.ended.get(outcome as usize));
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The answered and failed calls together, and the failed ones. What the host, its stores or the operator ended does not
    /// count.
    pub fn judged(&self) -> (u64, u64) {
        let failed =
            Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure()).map(|outcome| self.of(outcome)).sum();
        (self.of(Outcome::Answered) + failed, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_and_the_host_did_is_neither_success_nor_failure() {
        let counts = Counts::default();
        for said in [Said::Refused, Said::Failed] {
            counts.add(said.outcome(true));
        }
        for failure in [Failure::Trap("x".into()), Failure::OutOfTime] {
            counts.add(failure.outcome_of(true));
        }
        for failure in [Failure::Busy, Failure::Cut, Failure::Host("x".into())] {
            counts.add(failure.outcome_of(false));
        }
        assert_eq!(counts.judged(), (0, 0));
        counts.add(Said::Done.outcome(true));
        assert_eq!(counts.judged(), (1, 0), "it did without the store");
        for outcome in [Said::Failed.outcome(false), Failure::OutOfTime.outcome_of(false)] {
            counts.add(outcome);
        }
        // Its own limits are its own, whatever the stores do.
        counts.add(Failure::Exceeded(Exceeded::Cpu).outcome_of(true));
        assert_eq!(counts.judged(), (4, 3));
    }

    #[test]
    fn an_answer_is_counted_once_when_it_is_done_with() {
        let (version, total) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        let end = |said: Said, unserved| End::new(&version, &total, said.outcome(unserved));
        let open = end(Said::Done, false);
        assert_eq!(version.judged(), (0, 0));
        drop(open);
        end(Said::Done, false).refuse();
        end(Said::Failed, false).refuse();
        end(Said::Done, false).store_unavailable();
        end(Said::Failed, true).refuse();
        assert_eq!((version.judged(), total.judged()), ((3, 2), (3, 2)));
        assert_eq!(version.of(Outcome::Store), 2);
    }

    #[test]
    fn what_all_threads_count_is_one_sum() {
        let counts = Counts::default();
        let began: Vec<Began> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3 * SHARDS)
                .map(|_| {
                    scope.spawn(|| {
                        counts.add(Outcome::Answered);
                        let began = Began::here();
                        counts.begin(began);
                        began
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all = 3 * SHARDS as u64;
        assert_eq!((counts.of(Outcome::Answered), counts.judged(), counts.running()), (all, (all, 0), all));
        // Calls end on other threads than they began on.
        began.into_iter().for_each(|began| counts.end(began));
        assert_eq!(counts.running(), 0);
    }
}
