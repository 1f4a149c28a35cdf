//! Log budgets: how many lines, and bytes of them, each component may write into the host's log.
//!
//! A disk that is full of one component's lines has none of the others. What is over the budget is dropped and counted. Pure:
//! the caller has the clock and writes the lines.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is there at first and at most, and what comes back in a second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    most: f64,
    each_second: f64,
}

/// Lines.
const LINES: Rate = Rate { most: 1_000.0, each_second: 100.0 };
/// Their bytes.
const BYTES: Rate = Rate { most: 262_144.0, each_second: 65_536.0 };
/// What the host adds to a line, about, in bytes.
const HEAD: usize = 100;

/// The budgets of all components, by name.
#[derive(Debug, Default)]
pub(crate) struct LogBudgets(Mutex<HashMap<String, Budget>>);

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is written.
    Written,
    /// It is dropped.
    Dropped,
    /// It is the first that is dropped since the last report: the caller reports [`LogBudgets::take_dropped`] soon.
    FirstDropped,
}

#[derive(Debug)]
struct Budget {
    lines: f64,
    bytes: f64,
    at: Instant,
    /// Since the last report.
    dropped: u64,
}

impl LogBudgets {
    /// Whether a component may write a line of so many bytes now. All budgets begin full.
    pub(crate) fn take(&self, component: &str, bytes: usize, now: Instant) -> Line {
        let mut budgets = self.lock();
        let full = || Budget { lines: LINES.most, bytes: BYTES.most, at: now, dropped: 0 };
        budgets.entry(component.to_owned()).or_insert_with(full).take((bytes + HEAD) as f64, now)
    }

    /// How many lines of a component were dropped since this was asked last.
    pub(crate) fn take_dropped(&self, component: &str) -> u64 {
        self.lock().get_mut(component).map_or(0, |budget| std::mem::take(&mut budget.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Budget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn take(&mut self, bytes: f64, now: Instant) -> Line {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.lines = (self.lines + seconds * LINES.each_second).min(LINES.most);
        self.bytes = (self.bytes + seconds * BYTES.each_second).min(BYTES.most);
        if self.lines >= 1.0 && self.bytes >= bytes {
            self.lines -= 1.0;
            self.bytes -= bytes;
            return Line::Written;
        }
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped == 1 { Line::FirstDropped } else { Line::Dropped }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many of so many lines are written at `now`.
    fn written(budgets: &LogBudgets, component: &str, lines: usize, bytes: usize, now: Instant) -> usize {
        (0..lines).filter(|_| budgets.take(component, bytes, now) == Line::Written).count()
    }

    /// Attack (58): a flood of log lines. Outcome: a budget for each component; what is dropped is counted.
    #[test]
    fn a_flood_of_lines_is_cut_and_comes_back_slowly() {
        let (budgets, start) = (LogBudgets::default(), Instant::now());
        assert_eq!(written(&budgets, "a", 5_000, 10, start), 1_000);
        assert_eq!(written(&budgets, "a", 5_000, 10, start + Duration::from_secs(1)), 100);
        assert_eq!(written(&budgets, "a", 5_000, 10, start + Duration::from_secs(3)), 200);
        // Never more than at first, however long it was quiet.
        assert_eq!(written(&budgets, "a", 5_000, 10, start + Duration::from_secs(100_000)), 1_000);
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let (budgets, start) = (LogBudgets::default(), Instant::now());
        assert_eq!(written(&budgets, "a", 1_000, 4_000, start), 262_144 / 4_100);
        assert!(written(&budgets, "a", 1_000, 4_000, start + Duration::from_secs(1)) <= 65_536 / 4_100 + 1);
    }

    #[test]
    fn another_component_has_its_own() {
        let (budgets, now) = (LogBudgets::default(), Instant::now());
        written(&budgets, "a", 5_000, 10, now);
        assert_eq!(written(&budgets, "b", 10, 10, now), 10);
    }

    #[test]
    fn what_is_dropped_is_reported_once_and_then_again() {
        let (budgets, now) = (LogBudgets::default(), Instant::now());
        assert_eq!(budgets.take_dropped("a"), 0);
        written(&budgets, "a", 1_000, 10, now);
        assert_eq!(budgets.take("a", 10, now), Line::FirstDropped);
        assert_eq!(budgets.take("a", 10, now), Line::Dropped);
        assert_eq!((budgets.take_dropped("a"), budgets.take_dropped("a")), (2, 0));
        assert_eq!(budgets.take("a", 10, now), Line::FirstDropped);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let (budgets, now) = (LogBudgets::default(), Instant::now() + Duration::from_secs(10));
        written(&budgets, "a", 5_000, 10, now);
        assert_eq!(written(&budgets, "a", 10, 10, now - Duration::from_secs(5)), 0);
        assert_eq!(written(&budgets, "a", 1_000, 10, now + Duration::from_secs(1)), 100);
    }
}
