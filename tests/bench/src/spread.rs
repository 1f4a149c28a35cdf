//! The spread of many measurements of one thing.

use serde::Serialize;

/// Nanoseconds of one call, by rank.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    /// How many calls.
    pub(crate) rounds: usize,
    /// Half were at most this.
    pub(crate) p50: u64,
    /// 99 of 100 were at most this.
    pub(crate) p99: u64,
}

impl Spread {
    /// Of these times, in any order.
    pub(crate) fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let rounds = nanoseconds.len();
        let at = |share: usize| nanoseconds.get(rounds * share / 100).copied().unwrap_or_default();
        Self { rounds, p50: at(50), p99: at(99) }
    }
}

/// A figure of several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rounds {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Rounds {
    /// Of the figures of all rounds, of which there is at least one.
    pub(crate) fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        Self { lowest: at(0), median: at(sorted.len() / 2), highest: at(sorted.len().saturating_sub(1)) }
    }
}

/// As milliseconds.
pub(crate) fn millis(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// As microseconds.
pub(crate) fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

/// A time in nanoseconds.
pub(crate) fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "p50 {:>7.2} µs   p99 {:>7.2} µs   ({} calls)",
            micros(self.p50),
            micros(self.p99),
            self.rounds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_is_the_figure() {
        assert_eq!(Rounds::of(&[3.0, 1.0, 2.0]), Rounds { lowest: 1.0, median: 2.0, highest: 3.0 });
        assert_eq!(Rounds::of(&[7.0]), Rounds { lowest: 7.0, median: 7.0, highest: 7.0 });
    }

    #[test]
    fn half_are_at_most_the_median() {
        let spread = Spread::of((1..=200).rev().collect());
        assert_eq!((spread.rounds, spread.p50, spread.p99), (200, 101, 199));
    }
}
