//! Budgets: what one request to a store may take, in time, work and bytes, the same on every engine.
//!
//! A call of a component says until when its answers are waited for; each request made meanwhile carries that along, and the
//! store ends it by then. It touches the clock only.

use std::time::{Duration, Instant};

/// How long a store may work for one request: CPU time where the engine can tell, or else the time limit that its server
/// keeps. All other commits of an embedded store wait for one that works, so it is short.
const WORK: Duration = Duration::from_millis(1_500);
/// The most bytes of one answer: the documents of a query, or the distinct values, together. Larger ones are refused and never
/// cut. The memory of most guests is as large.
pub const MAX_ANSWER: usize = 16 << 20;
/// The most bytes that one unit of work takes in memory, all of it together: 16 whole documents, and as much as the memory of
/// most guests, which can't ask for more at once. A host has hundreds of calls at a time.
pub const MAX_UNIT: usize = 16 << 20;
/// The most documents that one query answers.
pub const MAX_LIMIT: u32 = 1_000;

tokio::task_local! {
    static CALL_ENDS: Instant;
}

/// Runs `call`; no answer to it is waited for after `end`.
pub async fn until<T>(end: Instant, call: impl Future<Output = T>) -> T {
    CALL_ENDS.scope(end, call).await
}

/// What one request to a store may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How long the store may work for it.
    pub work: Duration,
    /// No answer is waited for after this; none: the answer is always waited for.
    pub end: Option<Instant>,
}

impl Budget {
    /// A read: it ends with the call that asks, at the latest.
    pub fn read() -> Self {
        Self { work: WORK, end: CALL_ENDS.try_with(|end| *end).ok() }
    }

    /// A commit: it ends by its own budget and not with the call, because its outcome must be known.
    pub const fn commit() -> Self {
        Self { work: WORK, end: None }
    }

    /// Whether the answer is not waited for any more.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }

    /// How long the store may still work, at least a millisecond: servers take zero for no limit.
    pub fn left(&self) -> Duration {
        let left = self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        self.work.min(left).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_ends_with_the_call_that_asks_and_a_commit_does_not() {
        assert_eq!(Budget::read().left(), WORK, "nobody calls");
        let end = Instant::now() + Duration::from_millis(300);
        let (read, commit) = until(end, async { (Budget::read(), Budget::commit()) }).await;
        assert!(read.left() <= Duration::from_millis(300) && !read.is_over());
        assert_eq!(commit.left(), WORK);
        let read = until(Instant::now(), async { Budget::read() }).await;
        assert!(read.is_over());
        assert_eq!(read.left(), Duration::from_millis(1), "zero would be no limit");
        let long = until(Instant::now() + 10 * WORK, async { Budget::read() }).await;
        assert_eq!(long.left(), WORK);
    }
}
