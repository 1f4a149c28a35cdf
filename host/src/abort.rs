//! Abort: a host that is told to die at a named step, for the tests that show what a crash there leaves behind.
//!
//! The steps, in the order in which an event passes them: `commit`, `committed` (the one that causes it), `relay`, `relayed`,
//! `acknowledged` (where the log is another server), `handler`, `effect`, `effected`, `offset`, `remembered`;
//! of a schedule: `tick`, `ticked`; of a mail: `mailed`; of a deploy: `deploy-checked`, `deploy-stored`, `deploy-committed`,
//! `deploy-served`.
//! `DEVCONNECT_TEST_ABORT=step:n` ends the process, as a `kill -9` would, when the step is reached for the n-th time. Without
//! it a step costs a look at a flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "DEVCONNECT_TEST_ABORT";

/// Where to die.
struct Wanted {
    step: String,
    left: AtomicU64,
}

/// A step between two others that must not be torn apart.
pub(crate) fn here(step: &str) {
    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let Some(wanted) = wanted else { return };
    if wanted.step == step && wanted.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(text: &str) -> Option<Wanted> {
    let (step, times) = text.split_once(':')?;
    Some(Wanted { step: step.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
}
