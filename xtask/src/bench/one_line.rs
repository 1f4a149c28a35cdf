//! What a change of one line costs who makes it: in the host until the first test starts, in a component until its tests
//! have passed. Everything else is built before the clock starts.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::test::STOP;
use crate::workspace::{Workspace, cargo};

/// A leaf of the host: few others use it.
const OF_HOST: &str = "host/trigger/src/backoff.rs";
const OF_COMPONENT: &str = "components/auth/src/lib.rs";
/// The line.
const LINE: &[u8] = b"\n// measured\n";
/// Between two looks at what runs.
const LOOK: Duration = Duration::from_millis(20);

/// One case.
struct Case {
    what: &'static str,
    file: &'static str,
    /// What cargo is called with.
    arguments: &'static [&'static str],
    /// In seconds.
    goal: u64,
}

/// The component first: its tests build a host that is older than its sources, and the others touch those.
const CASES: [Case; 3] = [
    Case {
        what: "a component, until its tests have passed",
        file: OF_COMPONENT,
        arguments: &["test", "-p", "auth"],
        goal: 15,
    },
    Case {
        what: "the host, quick, until the first test",
        file: OF_HOST,
        arguments: &["xtask", "test", "e2e", "product", "--quick"],
        goal: 30,
    },
    Case {
        what: "the host, until the first test",
        file: OF_HOST,
        arguments: &["xtask", "test", "e2e", "product"],
        goal: 120,
    },
];

/// Measures all cases, once each.
pub(super) fn measure(workspace: &Workspace, json: bool) -> Result<ExitCode> {
    // Whoever interrupts this gets the files back as well.
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, asked.clone()).context("signals can't be waited for")?;
    }
    let mut figures = Vec::new();
    for case in CASES {
        eprintln!("building everything before: {}", case.what);
        run(workspace, &case, &asked)?;
        let changed = Changed::append(workspace.root.join(case.file))?;
        eprintln!("one line of {} is changed", case.file);
        let took = run(workspace, &case, &asked)?;
        drop(changed);
        figures.push((case, took));
    }
    if json {
        let one = |(case, took): &(Case, Duration)| {
            let seconds = took.as_secs_f64();
            serde_json::json!({ "case": case.what, "seconds": seconds, "goal": case.goal })
        };
        println!("{}", serde_json::Value::from_iter(figures.iter().map(one)));
    } else {
        println!("{:<44} {:>9} {:>6}", "one line changed in", "seconds", "goal");
        for (case, took) in &figures {
            println!("{:<44} {:>9.1} {:>6}", case.what, took.as_secs_f64(), case.goal);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How long the case takes as things are.
fn run(workspace: &Workspace, case: &Case, asked: &AtomicBool) -> Result<Duration> {
    let mut command = cargo(&workspace.root);
    // Stdout has the figures alone.
    command.args(case.arguments).env(STOP, "1").stdout(std::io::stderr());
    let started = Instant::now();
    let good = finish(&mut command, asked)?;
    ensure!(good, "`cargo {}` failed; what it said is above", case.arguments.join(" "));
    Ok(started.elapsed())
}

/// Runs it to its end, or to ours.
fn finish(command: &mut Command, asked: &AtomicBool) -> Result<bool> {
    let mut child = command.spawn().context("cargo can't be run")?;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(!asked.load(Ordering::Relaxed), "interrupted");
            return Ok(status.success());
        }
        if asked.load(Ordering::Relaxed) {
            // From a terminal it has come to the child as well.
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                _ = kill_process(pid, Signal::TERM);
            }
            child.wait()?;
            bail!("interrupted");
        }
        thread::sleep(LOOK);
    }
}

/// A file with one line more, which has its own bytes again when this goes.
struct Changed {
    file: PathBuf,
    before: Vec<u8>,
}

impl Changed {
    fn append(file: PathBuf) -> Result<Self> {
        let before = fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let changed = Self { file, before };
        fs::write(&changed.file, [changed.before.as_slice(), LINE].concat())
            .with_context(|| format!("{} can't be written", changed.file.display()))?;
        Ok(changed)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.file, &self.before) {
            eprintln!("{} has a line too many, `// measured` at its end: {error}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_put_back() {
        let file = std::env::temp_dir().join(format!("xtask-one-line-{}", std::process::id()));
        fs::write(&file, "as it was\n").unwrap();
        let changed = Changed::append(file.clone()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"as it was\n\n// measured\n");
        drop(changed);
        assert_eq!(fs::read(&file).unwrap(), b"as it was\n");
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn what_is_changed_is_there() {
        let root = crate::workspace::root().unwrap();
        for case in CASES {
            assert!(root.join(case.file).is_file(), "{} is gone", case.file);
        }
    }
}
