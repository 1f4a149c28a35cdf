//! `fuzz`: the tests of all modules `fuzz`, again and again with more cases and other seeds, until the time is over.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::child::{self, End, Output};
use crate::test::binaries::{self, Binary};
use crate::workspace::{Kind, Package, Workspace};

/// The crate that fuzz tests take their configuration from: who depends on it has some.
const CRATE: &str = "fuzzing";
/// A part of the path of each of them.
const MODULE: &str = "fuzz::";
/// The cases of a test in the first round; each further round has twice as many.
const FIRST: u32 = 256;
/// After this round the cases stay as many: a round ends, and the next one has another seed.
const LAST_RISE: u32 = 10;
/// How long building may take.
const BUILDING: Duration = Duration::from_secs(50 * 60);
/// The pause between two lines of progress, on a terminal and elsewhere.
const PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];

/// A test executable, and its fuzz tests that are wanted and have not failed.
struct Target {
    binary: Binary,
    tests: BTreeSet<String>,
}

/// What is known so far.
#[derive(Debug, Default)]
struct Progress {
    round: u32,
    cases: u32,
    running: String,
    failed: usize,
}

/// A test that failed, and what it printed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    test: String,
    said: String,
}

/// Fuzzes the targets that have one of `words` in their names, or all of them, for so many minutes.
pub(crate) fn run(workspace: &Workspace, words: &[String], minutes: u64, list: bool) -> Result<ExitCode> {
    let mut targets = targets(workspace, words)?;
    if list {
        for target in &targets {
            target.tests.iter().for_each(|test| println!("{}::{test}", target.binary.package));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count: usize = targets.iter().map(|target| target.tests.len()).sum();
    println!("{count} targets for {minutes} min; Ctrl-C ends it, and what was found is printed at once");
    let end = Instant::now() + Duration::from_secs(minutes.saturating_mul(60).min(u64::from(u32::MAX)));
    let progress = Mutex::new(Progress::default());
    let (stop, stopped) = channel::<()>();
    let fuzzed = thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || tell(progress, &stopped, end));
        let fuzzed = rounds(&mut targets, progress, end);
        drop(stop);
        fuzzed
    });
    fuzzed?;
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} rounds, up to {} cases each; {} of {count} targets failed",
        progress.round, progress.cases, progress.failed
    );
    Ok(if progress.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the test executables, and finds the fuzz tests that are wanted.
fn targets(workspace: &Workspace, words: &[String]) -> Result<Vec<Target>> {
    let has_some = |package: &&Package| {
        package.name == CRATE || package.dependencies.iter().any(|dependency| dependency.name == CRATE)
    };
    let packages: Vec<&Package> = workspace.packages.iter().filter(has_some).collect();
    let (end, binaries) = binaries::build(workspace, &packages, true, Instant::now() + BUILDING)?;
    ensure!(end.good(), "the tests do not compile; what cargo said is above");
    let known = |binary: &Binary| {
        // Tests beside others in `tests/` talk to hosts; theirs is the suite `e2e`.
        binary.kind != Kind::Test && packages.iter().any(|package| package.name == binary.package)
    };
    let mut targets = Vec::new();
    for binary in binaries.into_iter().filter(known) {
        let tests: BTreeSet<String> =
            binary.tests()?.into_iter().filter(|test| is_wanted(&binary.package, test, words)).collect();
        if !tests.is_empty() {
            targets.push(Target { binary, tests });
        }
    }
    ensure!(!targets.is_empty(), "no target has `{}` in its name; `--list` names them", words.join("` or `"));
    Ok(targets)
}

fn is_wanted(package: &str, test: &str, words: &[String]) -> bool {
    let whole = format!("{package}::{test}");
    whole.contains(MODULE) && (words.is_empty() || words.iter().any(|word| whole.contains(word.as_str())))
}

/// The cases of a round, from 0.
fn cases(round: u32) -> u32 {
    FIRST << round.min(LAST_RISE)
}

fn rounds(targets: &mut [Target], progress: &Mutex<Progress>, end: Instant) -> Result<()> {
    let seeds = RandomState::new();
    for round in 0.. {
        let (cases, seed) = (cases(round), seeds.hash_one(round));
        for target in targets.iter_mut().filter(|target| !target.tests.is_empty()) {
            if Instant::now() >= end {
                return Ok(());
            }
            let name = target.binary.shown();
            change(progress, |progress| (progress.round, progress.cases, progress.running) = (round + 1, cases, name));
            for failure in fuzz(target, cases, seed, end)? {
                println!("\n{}", report(&target.binary.package, &failure, cases, seed));
                target.tests.remove(&failure.test);
                change(progress, |progress| progress.failed += 1);
            }
        }
        if targets.iter().all(|target| target.tests.is_empty()) {
            return Ok(());
        }
    }
    Ok(())
}

/// One executable, one seed. What is cut off at `end` has not failed.
fn fuzz(target: &Target, cases: u32, seed: u64, end: Instant) -> Result<Vec<Failure>> {
    let mut command = target.binary.command();
    command.arg("--exact").args(&target.tests);
    command.env("PROPTEST_CASES", cases.to_string()).env("PROPTEST_RNG_SEED", seed.to_string());
    let mut lines = Vec::new();
    let ended = child::run(&mut command, end, Output::Both, |line| lines.push(line))?;
    if ended.good() || ended == End::TimedOut {
        return Ok(Vec::new());
    }
    let found = failures(&lines);
    // It died with all of its tests: an abort, or a stack that was too small.
    let died = || format!("{} ended with {ended:?}:\n{}", target.binary.shown(), lines.join("\n"));
    ensure!(!found.is_empty(), "{}", died());
    Ok(found)
}

/// The tests that failed, by what an executable printed.
fn failures(lines: &[String]) -> Vec<Failure> {
    let name = |line: &String| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned);
    let said = |test: &str| {
        let head = format!("---- {test} stdout ----");
        let output = lines.iter().skip_while(|line| **line != head).skip(1);
        let output = output.take_while(|line| !line.starts_with("---- ") && line.as_str() != "failures:");
        output.map(String::as_str).collect::<Vec<_>>().join("\n").trim().to_owned()
    };
    lines.iter().filter_map(name).map(|test| Failure { said: said(&test), test }).collect()
}

/// What failed, and what to do about it.
fn report(package: &str, failure: &Failure, cases: u32, seed: u64) -> String {
    let Failure { test, said } = failure;
    format!(
        "found by {package}::{test}\n{said}\n\nAgain: PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} cargo xtask test units {package}::{test}\n\
         To keep it: mend it, and write a test in the module `tests` of the parser with the minimal input above, named after what \
         was wrong.\n"
    )
}

/// A line now and then, until the other end of the channel is gone.
fn tell(progress: &Mutex<Progress>, stopped: &Receiver<()>, end: Instant) {
    let [on_terminal, elsewhere] = PAUSES;
    let pause = if std::io::stderr().is_terminal() { on_terminal } else { elsewhere };
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        change(progress, |progress| eprintln!("{}", line(progress, left)));
    }
}

fn line(progress: &Progress, left: u64) -> String {
    let Progress { round, cases, running, failed } = progress;
    format!("  round {round}, {cases} cases: {running}; {failed} failed; {left} s are left")
}

fn change(progress: &Mutex<Progress>, change: impl FnOnce(&mut Progress)) {
    change(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_parts_of_their_names() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(is_wanted("manifest", "fuzz::a_damaged_manifest", &[]));
        assert!(is_wanted("capability", "sessions::fuzz::a_token", &words(&["cookie", "capability::sessions"])));
        assert!(!is_wanted("capability", "sessions::fuzz::a_token", &words(&["cookie"])));
        assert!(!is_wanted("capability", "sessions::token::tests::forged", &[]));
    }

    #[test]
    fn cases_rise_and_stay_within_bounds() {
        assert_eq!([cases(0), cases(1), cases(LAST_RISE)], [256, 512, 256 << LAST_RISE]);
        assert_eq!(cases(u32::MAX), cases(LAST_RISE));
    }

    #[test]
    fn what_was_found_is_told_with_its_input_and_how_to_keep_it() {
        let lines = [
            "running 2 tests",
            "test fuzz::one ... ok",
            "test fuzz::two ... FAILED",
            "",
            "failures:",
            "",
            "---- fuzz::two stdout ----",
            "thread 'fuzz::two' panicked at src/fuzz.rs:1:2:",
            "minimal failing input: text = \"\\0\"",
            "",
            "failures:",
            "    fuzz::two",
        ];
        let found = failures(&lines.map(str::to_owned));
        let said = "thread 'fuzz::two' panicked at src/fuzz.rs:1:2:\nminimal failing input: text = \"\\0\"";
        assert_eq!(found, [Failure { test: "fuzz::two".into(), said: said.into() }]);
        let report = report("manifest", &found[0], 512, 7);
        for part in [
            "found by manifest::fuzz::two",
            said,
            "PROPTEST_RNG_SEED=7 PROPTEST_CASES=512 cargo xtask test units manifest::fuzz::two",
        ] {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn progress_is_one_line() {
        let progress = Progress { round: 3, cases: 1_024, running: "trigger".into(), failed: 1 };
        assert_eq!(line(&progress, 42), "  round 3, 1024 cases: trigger; 1 failed; 42 s are left");
    }
}
