//! Backoff: how long to wait before a retry.

use std::time::Duration;

use rand::RngExt as _;

/// Exponential backoff with jitter: each wait is twice the one before, up to a longest one, plus or minus a half, so that
/// calls that failed together are not retried together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    waits: u32,
}

impl Backoff {
    /// For a component that failed.
    pub(crate) fn component() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(30), waits: 0 }
    }

    /// For a store that is not available.
    pub(crate) fn store() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2), waits: 0 }
    }

    /// Whether there was no wait yet.
    pub(crate) fn is_first(&self) -> bool {
        self.waits == 0
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.first.saturating_mul(1 << self.waits.min(20)).min(self.longest);
        self.waits = self.waits.saturating_add(1);
        wait.mul_f64(rand::rng().random_range(0.5..1.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let mut backoff = Backoff::component();
        assert!(backoff.is_first());
        for expected in [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = backoff.next().as_millis();
            assert!((expected / 2..=expected * 3 / 2).contains(&wait), "{wait} for {expected}");
        }
        backoff.waits = u32::MAX;
        assert!(backoff.next() <= Duration::from_secs(45));
    }
}
