//! Which job starts next.

use std::cmp::Reverse;
use std::thread::available_parallelism;

/// How many jobs a core may have at once, however little they take.
const JOBS: usize = 3;

/// How much of the machine a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// So many halves of a core.
    Halves(usize),
    /// Nothing else may run meanwhile.
    Alone,
}

/// What the schedule knows of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) cost: Cost,
    /// About how long it takes.
    pub(super) seconds: u64,
    /// It is a call of cargo: a second one would only wait for the first one's lock.
    pub(super) cargo: bool,
}

impl Claim {
    pub(super) fn is_alone(&self) -> bool {
        self.cost == Cost::Alone
    }

    fn halves(&self) -> usize {
        match self.cost {
            Cost::Halves(halves) => halves,
            Cost::Alone => 0,
        }
    }
}

/// What there is to share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Halves of cores.
    halves: usize,
    /// How many jobs may run at once.
    jobs: usize,
}

impl Machine {
    /// This one.
    pub(super) fn here() -> Self {
        Self { halves: 2 * cores(), jobs: JOBS * cores() }
    }
}

/// How many cores this machine gives us.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Which of those that wait starts now: the longest that fits in beside those that run. Those that must be alone come when
/// nothing else is left. None: one that runs has to end first.
pub(super) fn next(waiting: &[Claim], running: &[Claim], machine: Machine) -> Option<usize> {
    if running.len() >= machine.jobs || running.iter().any(Claim::is_alone) {
        return None;
    }
    let taken: usize = running.iter().map(Claim::halves).sum();
    let cargo_runs = running.iter().any(|claim| claim.cargo);
    let fits = |claim: &Claim| {
        // What is more than the whole machine has it when nothing else does.
        let room = running.is_empty() || taken + claim.halves() <= machine.halves;
        !claim.is_alone() && room && !(claim.cargo && cargo_runs)
    };
    let only_alone = running.is_empty() && waiting.iter().all(Claim::is_alone);
    let may_start = waiting.iter().enumerate().filter(|(_, claim)| only_alone || fits(claim));
    may_start.max_by_key(|(at, claim)| (claim.seconds, Reverse(*at))).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_CORES: Machine = Machine { halves: 4, jobs: 6 };

    fn claim(cost: usize, seconds: u64) -> Claim {
        Claim { cost: Cost::Halves(cost), seconds, cargo: false }
    }

    fn alone(seconds: u64) -> Claim {
        Claim { cost: Cost::Alone, ..claim(0, seconds) }
    }

    #[test]
    fn the_longest_that_fits_is_next() {
        let waiting = [claim(2, 30), claim(1, 240), claim(0, 40), claim(2, 30)];
        assert_eq!(next(&waiting, &[], TWO_CORES), Some(1));
        assert_eq!(next(&waiting, &[claim(1, 1), claim(2, 1)], TWO_CORES), Some(1));
        assert_eq!(next(&waiting, &[claim(2, 1), claim(2, 1)], TWO_CORES), Some(2));
        let equal = [claim(2, 30), claim(2, 30)];
        assert_eq!(next(&equal, &[claim(2, 1)], TWO_CORES), Some(0), "the first of those that are as long");
        assert_eq!(next(&equal, &[claim(1, 1), claim(2, 1)], TWO_CORES), None);
        assert_eq!(next(&[], &[], TWO_CORES), None);
    }

    #[test]
    fn there_are_never_too_many_and_never_two_of_cargo() {
        assert_eq!(next(&[claim(0, 1)], &[claim(0, 1); 5], TWO_CORES), Some(0));
        assert_eq!(next(&[claim(0, 1)], &[claim(0, 1); 6], TWO_CORES), None);
        let lint = Claim { cargo: true, ..claim(2, 250) };
        assert_eq!(next(&[lint, claim(2, 30)], &[lint], TWO_CORES), Some(1));
        assert_eq!(next(&[lint], &[claim(2, 30)], TWO_CORES), Some(0));
    }

    #[test]
    fn who_must_be_alone_comes_last_and_is() {
        let waiting = [alone(280), claim(2, 1), alone(300)];
        assert_eq!(next(&waiting, &[], TWO_CORES), Some(1));
        let left = [alone(280), alone(300)];
        assert_eq!(next(&left, &[claim(0, 1)], TWO_CORES), None);
        assert_eq!(next(&left, &[], TWO_CORES), Some(1));
        assert_eq!(next(&[alone(280), claim(0, 1)], &[alone(300)], TWO_CORES), None);
    }

    #[test]
    fn all_are_run_however_small_the_machine_is() {
        let small = Machine { halves: 2, jobs: 3 };
        let mut waiting = vec![claim(4, 10), alone(20), claim(2, 30), claim(0, 5), claim(1, 1)];
        let mut running: Vec<Claim> = Vec::new();
        let mut order = Vec::new();
        while !waiting.is_empty() || !running.is_empty() {
            match next(&waiting, &running, small) {
                Some(at) => {
                    let started = waiting.remove(at);
                    order.push(started.seconds);
                    running.push(started);
                }
                // The one that was started first ends.
                None => _ = running.remove(0),
            }
        }
        assert_eq!(order, [30, 5, 1, 10, 20]);
    }
}
