//! What runs side by side. A job is one process: a test executable, or one top module of it where its modules want different
//! things of the machine, or a call of cargo.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::binaries::Binary;
use super::report::Watched;
use super::schedule::{Claim, cores};
use super::suites::Suite;
use super::{FULL_FACTOR, Options, costs, lint};
use crate::child::{self, Output};
use crate::workspace::{Kind, Workspace, cargo};

/// Packages whose tests are a job a module.
const BY_MODULE: [&str; 5] = ["e2e", "conformance", "faults", "hostile", "harness"];
/// How many threads a test executable has at least.
const THREADS: usize = 2;

const EXAMPLES: &[&str] = &["test", "--release", "--workspace", "--doc", "--no-fail-fast"];

/// One process that is waiting for its turn.
#[derive(Debug)]
pub(super) struct Job {
    /// For people, and for the table of costs.
    pub(super) name: String,
    pub(super) suite: &'static str,
    pub(super) claim: Claim,
    pub(super) cap: Duration,
    command: Command,
    /// It says how its tests ended; otherwise it is a single check.
    counts: bool,
}

/// A job that is done.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) suite: &'static str,
    pub(super) watched: Watched,
    pub(super) took: Duration,
}

impl Job {
    /// Clippy.
    pub(super) fn lint(suite: &'static Suite, workspace: &Workspace, options: Options) -> Self {
        let mut command = cargo(&workspace.root);
        lint::everything(&mut command, workspace);
        Self::of_cargo(suite, command, false, options)
    }

    /// Doc tests: cargo compiles and runs them itself.
    pub(super) fn examples(suite: &'static Suite, workspace: &Workspace, options: Options) -> Self {
        let mut command = cargo(&workspace.root);
        command.args(EXAMPLES);
        if options.quick {
            command.args(workspace.quick());
        }
        Self::of_cargo(suite, command, true, options)
    }

    fn of_cargo(suite: &'static Suite, command: Command, counts: bool, options: Options) -> Self {
        let name = suite.name.to_owned();
        Self { claim: costs::of(&name, true), name, suite: suite.name, cap: cap(suite, options), command, counts }
    }

    fn of_tests(suite: &'static Suite, name: String, command: Command, options: Options) -> Self {
        let claim = costs::of(&name, false);
        Self { name, suite: suite.name, claim, cap: cap(suite, options), command, counts: true }
    }

    /// Runs it to its end. It is ended at `deadline`.
    pub(super) fn run(mut self, deadline: Instant) -> Ended {
        let started = Instant::now();
        let mut watched = Watched::default();
        let end = child::run(&mut self.command, deadline, Output::Both, |line| watched.line(line));
        match end {
            Ok(end) if self.counts => watched.finish(end, self.cap),
            Ok(end) => watched.conclude(end, self.cap),
            Err(error) => watched.lost(&error),
        }
        Ended { name: self.name, suite: self.suite, watched, took: started.elapsed() }
    }
}

/// How long one job of the suite may take.
fn cap(suite: &Suite, options: Options) -> Duration {
    suite.cap * if options.full { FULL_FACTOR } else { 1 }
}

/// The jobs of a suite with tests. Where `filters` are given, only of the tests that have one of them in their name.
pub(super) fn of_tests<'a>(
    suite: &'static Suite,
    binaries: impl Iterator<Item = &'a Binary>,
    filters: &[String],
    options: Options,
) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for binary in binaries {
        let command = || {
            let mut command = binary.command();
            if options.full {
                command.env("DEVCONNECT_FULL", "1").arg("--include-ignored");
            }
            if options.verbose {
                command.arg("--show-output");
            }
            command
        };
        let split = binary.kind == Kind::Test && BY_MODULE.contains(&binary.package.as_str());
        if !split && filters.is_empty() {
            jobs.push(Job::of_tests(suite, binary.shown(), command(), options));
            continue;
        }
        for (name, tests) in parts(binary, split, binary.tests()?, filters) {
            let mut command = command();
            // Whole names: a part of one may be a part of another module's, too.
            command.arg("--exact").args(tests);
            jobs.push(Job::of_tests(suite, name, command, options));
        }
    }
    Ok(jobs)
}

/// The tests of an executable that are wanted, by the name of the job that runs them.
fn parts(binary: &Binary, split: bool, tests: Vec<String>, filters: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tests {
        // With the package in front, because a component is a good name for its tests.
        let whole = format!("{}::{test}", binary.package);
        if !filters.is_empty() && !filters.iter().any(|filter| whole.contains(filter.as_str())) {
            continue;
        }
        let module = test.split_once("::").map_or(binary.target.as_str(), |(module, _)| module);
        let name = if split { format!("{}/{module}", binary.package) } else { binary.shown() };
        parts.entry(name).or_default().push(test);
    }
    parts
}

/// Has jobs that run beside others use about what the schedule counts for them.
pub(super) fn share(jobs: &mut [Job]) {
    let count = jobs.len().max(1);
    for job in jobs.iter_mut().filter(|job| !job.claim.is_alone()) {
        if job.claim.cargo && count > 1 {
            job.command.env("CARGO_BUILD_JOBS", (cores() / 2).max(1).to_string());
        }
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            job.command.env("RUST_TEST_THREADS", (cores() / count).max(THREADS).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::binaries::binary;
    use super::super::suites::SUITES;
    use super::*;

    fn tests(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn names(parts: &BTreeMap<String, Vec<String>>) -> Vec<(&str, Vec<&str>)> {
        parts.iter().map(|(name, tests)| (name.as_str(), tests.iter().map(String::as_str).collect())).collect()
    }

    #[test]
    fn a_module_is_a_job() {
        let e2e = binary("e2e", "e2e", Kind::Test);
        let all = tests(&["deploy::one", "canary::one", "deploy::rows::two", "top"]);
        let found = parts(&e2e, true, all.clone(), &[]);
        let expected = [
            ("e2e/canary", vec!["canary::one"]),
            ("e2e/deploy", vec!["deploy::one", "deploy::rows::two"]),
            ("e2e/e2e", vec!["top"]),
        ];
        assert_eq!(names(&found), expected);
        let found = parts(&e2e, true, all, &tests(&["rows", "canary::"]));
        assert_eq!(names(&found), [("e2e/canary", vec!["canary::one"]), ("e2e/deploy", vec!["deploy::rows::two"])]);
    }

    #[test]
    fn a_filter_leaves_out_whole_executables() {
        let all = tests(&["login::by_mail", "signup::once"]);
        let auth = binary("auth", "auth", Kind::Test);
        let found = parts(&auth, false, all.clone(), &tests(&["login"]));
        assert_eq!(names(&found), [("auth", vec!["login::by_mail"])]);
        assert_eq!(parts(&auth, false, all.clone(), &tests(&["auth"]))["auth"].len(), 2, "the package's name counts");
        assert!(parts(&auth, false, all, &tests(&["feed"])).is_empty());
    }

    #[test]
    fn an_executable_that_is_one_job_is_not_asked_for_its_tests() {
        let suite = SUITES.iter().find(|suite| suite.name == "units").unwrap();
        let binaries = [binary("engine", "engine", Kind::Library), binary("xtask", "xtask", Kind::Program)];
        let jobs = of_tests(suite, binaries.iter(), &[], Options::default()).unwrap();
        assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["engine", "xtask (program)"]);
        assert!(of_tests(suite, binaries.iter(), &tests(&["x"]), Options::default()).is_err(), "it is not there");
    }

    #[test]
    fn what_can_not_be_run_has_failed() {
        let suite = SUITES.iter().find(|suite| suite.name == "units").unwrap();
        let job = Job::of_tests(suite, "gone".to_owned(), Command::new("/nowhere"), Options::default());
        let ended = job.run(Instant::now() + Duration::from_secs(20));
        assert_eq!(ended.watched.count.failed, 1);
        assert!(ended.watched.note.unwrap().contains("/nowhere can't be run"));
    }
}
