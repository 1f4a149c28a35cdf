//! The budget of a request: how long it may work, so that none of them stops the one writer or a reader for the others.
//!
//! Counted in CPU time of the request's thread: a slow disk or a busy machine uses up nothing. It is checked between documents,
//! inside the functions on documents, and by SQLite itself while a `SELECT` is stepped. It touches its thread's clock only.

use std::cell::Cell;
use std::thread::LocalKey;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use capability::budget::Budget;
use capability::documents::Error;

/// After how many instructions of SQLite the budget is checked; a fraction of a millisecond.
pub(super) const INSTRUCTIONS: i32 = 2_000;
/// After how much work between two checks, in bytes of documents. A check takes a microsecond.
const STEP: usize = 64 << 10;
/// What a document counts besides its bytes.
const DOCUMENT: usize = 512;

thread_local! {
    /// The CPU time of this thread at which the budget is over, and the budget; none: there is no budget.
    static BUDGET: Cell<Option<(Duration, Budget)>> = const { Cell::new(None) };
    /// The work since the last check.
    static DONE: Cell<usize> = const { Cell::new(0) };
    /// The statement that runs is a `SELECT`. SQLite rolls back the whole transaction when it interrupts another one.
    static SELECTS: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, which ends when this thread has worked for as long as `budget` says, or when its answer is not waited for any more.
///
/// # Errors
/// Those of `work`, and [`Error::Overdue`] when the budget is over.
pub(super) fn within<T>(budget: Budget, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let _restored = replace(&BUDGET, Some((cpu_time() + budget.work, budget)));
    match work() {
        // SQLite calls what was interrupted a failure.
        Err(Error::Unavailable(_)) if is_over() => Err(over()),
        done => done,
    }
}

/// Before a `SELECT` is stepped: SQLite may interrupt it until the guard is dropped.
pub(super) fn selects() -> Restore<bool> {
    replace(&SELECTS, true)
}

/// Whether SQLite has to interrupt the statement that runs.
pub(super) fn interrupts() -> bool {
    SELECTS.get() && is_over()
}

/// Counts a document of so many bytes.
///
/// # Errors
/// [`Error::Overdue`] when the budget is over.
pub(super) fn spend(bytes: usize) -> Result<(), Error> {
    let done = DONE.get() + bytes + DOCUMENT;
    if done < STEP {
        DONE.set(done);
        return Ok(());
    }
    DONE.set(0);
    check()
}

/// # Errors
/// [`Error::Overdue`] when the budget is over.
pub(super) fn check() -> Result<(), Error> {
    if is_over() { Err(over()) } else { Ok(()) }
}

fn over() -> Error {
    Error::Overdue("it works longer than the store allows; ask for fewer or smaller documents".to_owned())
}

fn is_over() -> bool {
    BUDGET.get().is_some_and(|(end, budget)| cpu_time() >= end || budget.is_over())
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn replace<T: Copy + 'static>(cell: &'static LocalKey<Cell<T>>, value: T) -> Restore<T> {
    Restore(cell, cell.replace(value))
}

/// Puts back what was there, also after a panic.
#[must_use = "it lasts until this is dropped"]
pub(super) struct Restore<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn budget(work: Duration) -> Budget {
        Budget { work, end: None }
    }

    #[test]
    fn what_works_too_long_ends_with_an_error() {
        let mut documents = 0_u64;
        let done: Result<(), Error> = within(budget(SHORT), || {
            loop {
                documents += 1;
                spend(1_000)?;
            }
        });
        assert!(matches!(done, Err(Error::Overdue(_))), "{done:?}");
        assert!(documents > 1);
        // The next request has its own.
        assert_eq!(within(budget(SHORT), || spend(STEP)), Ok(()));
    }

    #[test]
    fn without_a_budget_nothing_ends() {
        let start = cpu_time();
        while cpu_time() < start + SHORT {
            assert_eq!(check(), Ok(()));
        }
        assert!(!interrupts());
    }

    #[test]
    fn waiting_is_not_working() {
        let done = within(budget(SHORT), || {
            std::thread::sleep(2 * SHORT);
            check()
        });
        assert_eq!(done, Ok(()));
    }

    #[test]
    fn work_ends_when_nobody_waits_any_more() {
        let end = Some(std::time::Instant::now() + SHORT);
        let done: Result<(), Error> = within(Budget { end, ..budget(Duration::from_secs(60)) }, || {
            loop {
                spend(1_000)?;
            }
        });
        assert!(matches!(done, Err(Error::Overdue(_))), "{done:?}");
    }

    #[test]
    fn only_a_select_is_interrupted() {
        let done: Result<(), Error> = within(budget(Duration::ZERO), || {
            assert!(!interrupts());
            let selecting = selects();
            assert!(interrupts());
            drop(selecting);
            assert!(!interrupts());
            Err(Error::Unavailable("interrupted".to_owned()))
        });
        assert!(matches!(done, Err(Error::Overdue(_))));
        // A failure within the budget stays one.
        let failed: Result<(), Error> =
            within(budget(SHORT), || Err(Error::Unavailable("the disk is full".to_owned())));
        assert!(matches!(failed, Err(Error::Unavailable(_))));
    }

    #[test]
    fn a_panic_leaves_no_budget_behind() {
        let panicked = std::panic::catch_unwind(|| {
            within(budget(Duration::ZERO), || -> Result<(), Error> { panic!("on purpose") })
        });
        assert!(panicked.is_err());
        assert_eq!(check(), Ok(()));
    }
}
