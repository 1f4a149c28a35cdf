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

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |nanoseconds: u64| nanoseconds as f64 / 1_000.0;
        write!(
            formatter,
            "p50 {:>7.2} µs   p99 {:>7.2} µs   ({} calls)",
            micros(self.p50),
            micros(self.p99),
            self.rounds
        )
    }
}
