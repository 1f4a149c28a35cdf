//! Abort: ends the process at a named step, for the tests of what a crash there leaves behind.
//!
//! The steps, in the order in which an event passes them: `commit`, `committed` (of its cause), `relay`, `relayed`,
//! `acknowledged` (where the log is another server), `handler`, `effect`, `effected`, `offset`, `remembered`;
//! of a schedule: `tick`, `ticked`; of a mail: `mailed`; of a deploy: `deploy-checked`, `deploy-stored`, `deploy-committed`,
//! `deploy-served`.
//! `DEVCONNECT_TEST_ABORT=step:n` ends the process, as a `kill -9` would, when the step is reached for the n-th time. Without
//! it a step reads one flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "DEVCONNECT_TEST_ABORT";

/// The step to abort at.
struct Target {
    step: String,
    left: AtomicU64,
}

/// Aborts here when this step was asked for and is reached for the n-th time.
pub fn here(step: &str) {
    static TARGET: OnceLock<Option<Target>> = OnceLock::new();
    let target = TARGET.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    let Some(target) = target else { return };
    if target.step == step && target.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(text: &str) -> Option<Target> {
    let (step, times) = text.split_once(':')?;
    Some(Target { step: step.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
}
