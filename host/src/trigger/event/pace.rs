//! Pace: how long to wait before something is tried again.

use std::time::Duration;

use rand::RngExt as _;

/// Waits that grow: each is twice the one before, up to a longest one, give or take a half, so that what failed together
/// is not tried together.
#[derive(Debug, Clone)]
pub(in crate::trigger) struct Pace {
    first: Duration,
    longest: Duration,
    waits: u32,
}

impl Pace {
    /// For a component that failed.
    pub(in crate::trigger) fn component() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(30), waits: 0 }
    }

    /// For a store that is away.
    pub(in crate::trigger) fn store() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2), waits: 0 }
    }

    /// Whether nothing was waited for yet.
    pub(in crate::trigger) fn is_first(&self) -> bool {
        self.waits == 0
    }

    /// The next wait.
    pub(in crate::trigger) fn next(&mut self) -> Duration {
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
        let mut pace = Pace::component();
        assert!(pace.is_first());
        for expected in [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let wait = pace.next().as_millis();
            assert!((expected / 2..=expected * 3 / 2).contains(&wait), "{wait} for {expected}");
        }
        pace.waits = u32::MAX;
        assert!(pace.next() <= Duration::from_secs(45));
    }
}
