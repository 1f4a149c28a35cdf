//! `test`: first what is done one after the other, which ends with everything built; then all tests, side by side in jobs.
//! Each suite and each job has a cap. At the end there are a table and the count.

pub(crate) mod binaries;
mod checks;
mod costs;
mod fetch;
mod jobs;
mod lint;
mod report;
mod schedule;
mod shared_servers;
mod side_by_side;
mod suites;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::binaries::Binary;
use self::jobs::{Ended, Job};
use self::report::{Count, Outcome, Style};
use self::shared_servers::SharedServers;
use self::suites::{Asked, SUITES, Suite, Work};
use crate::workspace::{Package, Workspace, cargo};

/// How much longer a suite may take in its long form.
const FULL_FACTOR: u32 = 6;

/// Where this variable is set, `test` ends when the first job would start: for measuring how soon that is.
pub(crate) const STOP: &str = "DEVCONNECT_STOP_BEFORE_TESTS";

/// How tests are run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The long form.
    pub(crate) full: bool,
    /// Show what passing tests print.
    pub(crate) verbose: bool,
    /// The host's own crates are compiled soon instead of well.
    pub(crate) quick: bool,
}

/// Names the suites.
pub(crate) fn list() -> ExitCode {
    for suite in SUITES {
        println!("{:<12} {}", suite.name, suite.about);
    }
    ExitCode::SUCCESS
}

/// Runs what the words of the command line name, suites or a suite and parts of test names, and what they need before. No
/// words: everything.
pub(crate) fn run(workspace: &Workspace, words: &[String], options: Options) -> Result<ExitCode> {
    let started = Instant::now();
    let asked = suites::ask(words)?;
    let servers = SharedServers::begin(&workspace.root)?;
    let fetching = asked.everything.then(|| fetch::begin(&workspace.root));
    let style = Style::detect();
    let mut session = Session { workspace, asked, options, style, binaries: Vec::new(), broken: None };
    let mut outcomes = session.stages()?;
    fetching.into_iter().for_each(fetch::finish);
    let jobs = session.jobs()?;
    if std::env::var_os(STOP).is_some() {
        println!("stopped before {} jobs, after {:.1} s", jobs.len(), started.elapsed().as_secs_f64());
        return Ok(code(session.broken.is_none()));
    }
    let ended = session.side_by_side(jobs);
    outcomes.extend(session.outcomes(&ended));
    let failures = ended.iter().flat_map(|job| job.watched.failures().into_iter().map(|one| (job.name.as_str(), one)));
    let good = report::print(&outcomes, failures, started.elapsed(), style);
    servers.end(&workspace.root);
    Ok(code(good))
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A run of suites.
struct Session<'a> {
    workspace: &'a Workspace,
    asked: Asked,
    options: Options,
    style: Style,
    /// The test executables, once `build` has made them.
    binaries: Vec<Binary>,
    /// The suite without which tests can't run, when it failed.
    broken: Option<&'static str>,
}

impl Session<'_> {
    /// What is done one after the other.
    fn stages(&mut self) -> Result<Vec<Outcome>> {
        let stages: Vec<&Suite> = self.asked.suites.iter().copied().filter(|suite| suite.work.is_stage()).collect();
        let mut outcomes = Vec::new();
        for suite in stages {
            self.style.header(suite.name, suite.about);
            let started = Instant::now();
            let cap = self.cap(suite);
            let (count, note) = self.stage(suite, started + cap, cap)?;
            if suite.needed && count.failed > 0 {
                self.broken = Some(suite.name);
            }
            let outcome = Outcome { suite: suite.name, count, note, took: started.elapsed() };
            self.style.footer(&outcome);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn stage(&mut self, suite: &Suite, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
        let root = &self.workspace.root;
        match &suite.work {
            Work::Cargo(arguments) => checks::shown(cargo(root).args(*arguments), deadline, cap),
            Work::Deny => checks::deny(root, deadline, cap),
            Work::Layers => checks::layers(self.workspace),
            Work::Components => checks::components(root, deadline, cap),
            Work::Build => match self.broken {
                Some(broken) => Ok((Count::default(), Some(not_run(broken)))),
                None => self.build(deadline, cap),
            },
            Work::Lint | Work::Examples | Work::Host(_) | Work::Packages(_) | Work::Rest => {
                Ok((Count::default(), None))
            }
        }
    }

    fn build(&mut self, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
        let packages: Vec<&Package> =
            self.asked.suites.iter().flat_map(|suite| suites::packages(suite, self.workspace)).collect();
        let all: Vec<&Package> = self.workspace.packages.iter().collect();
        let wanted = if self.asked.builds_all { &all } else { &packages };
        let (end, binaries) = binaries::build(self.workspace, wanted, self.options.quick, deadline)?;
        self.binaries = binaries;
        Ok(report::verdict(end, cap))
    }

    /// How long the suite, or one of its jobs, may take.
    fn cap(&self, suite: &Suite) -> Duration {
        suite.cap * if self.options.full { FULL_FACTOR } else { 1 }
    }

    /// The suites whose jobs run side by side.
    fn others(&self) -> impl Iterator<Item = &'static Suite> {
        self.asked.suites.iter().copied().filter(|suite| !suite.work.is_stage())
    }

    /// The jobs of all suites that are no stages.
    fn jobs(&self) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for suite in self.others() {
            match suite.work {
                Work::Lint => jobs.push(Job::lint(suite, self.workspace, self.options)),
                _ if self.broken.is_some() => {}
                Work::Examples => jobs.push(Job::examples(suite, self.workspace, self.options)),
                _ => {
                    let packages = suites::packages(suite, self.workspace);
                    let of_suite = |binary: &&Binary| packages.iter().any(|package| package.name == binary.package);
                    let binaries = self.binaries.iter().filter(of_suite);
                    jobs.extend(jobs::of_tests(suite, binaries, &self.asked.filters, self.options)?);
                }
            }
        }
        let filters = &self.asked.filters;
        ensure!(
            filters.is_empty() || self.broken.is_some() || !jobs.is_empty(),
            "no test there has `{}` in its name",
            filters.join("` or `")
        );
        jobs::share(&mut jobs);
        Ok(jobs)
    }

    fn side_by_side(&self, jobs: Vec<Job>) -> Vec<Ended> {
        if jobs.is_empty() {
            return Vec::new();
        }
        let count = if jobs.len() == 1 { "a single one".to_owned() } else { format!("{} of them", jobs.len()) };
        self.style.header("jobs", &count);
        // As if the suites were run one after the other, which they never need.
        let bound = Instant::now() + self.others().map(|suite| self.cap(suite)).sum::<Duration>();
        side_by_side::run(jobs, bound, self.options.verbose, self.style)
    }

    /// A line for each suite that is no stage, from its jobs.
    fn outcomes(&self, ended: &[Ended]) -> Vec<Outcome> {
        let there = |suite: &&Suite| !suite.work.is_tests() || !suites::packages(suite, self.workspace).is_empty();
        self.others().filter(there).map(|suite| self.outcome(suite, ended)).collect()
    }

    fn outcome(&self, suite: &Suite, ended: &[Ended]) -> Outcome {
        let (mut count, mut note, mut took) = (Count::default(), None, Duration::ZERO);
        if let (Some(broken), false) = (self.broken, matches!(suite.work, Work::Lint)) {
            return Outcome { suite: suite.name, count, note: Some(not_run(broken)), took };
        }
        for job in ended.iter().filter(|job| job.suite == suite.name) {
            count += job.watched.count;
            note = note.or_else(|| job.watched.note.as_ref().map(|note| format!("{}: {note}", job.name)));
            took += job.took;
        }
        if count == Count::default() {
            note.get_or_insert_with(|| "no tests".to_owned());
        }
        Outcome { suite: suite.name, count, note, took }
    }
}

fn not_run(broken: &str) -> String {
    format!("not run, because {broken} failed")
}
