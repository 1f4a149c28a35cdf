//! `test`: suites one after the other, each under a cap, then a table and the count.

mod binaries;
mod report;
mod suites;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::binaries::Binary;
use self::report::{Count, Outcome, Style};
use self::suites::{SUITES, Suite, Work};
use crate::child::{self, End, Output};
use crate::workspace::{Workspace, cargo};
use xtask::stack::{self, Server, State};

/// How much longer a suite may take in its long form.
const FULL_FACTOR: u32 = 6;

/// How tests are run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The long form.
    pub(crate) full: bool,
    /// Show what passing tests print.
    pub(crate) verbose: bool,
}

/// Names the suites.
pub(crate) fn list() -> ExitCode {
    for suite in SUITES {
        println!("{:<12} {}", suite.name, suite.about);
    }
    ExitCode::SUCCESS
}

/// Runs the named suites, or all of them, and what they need before.
pub(crate) fn run(workspace: &Workspace, names: &[String], options: Options) -> Result<ExitCode> {
    let started = Instant::now();
    let running = servers_up(&workspace.root);
    let mut session = Session { workspace, options, style: Style::detect(), binaries: Vec::new(), broken: None };
    let mut outcomes = Vec::new();
    for suite in suites::select(names)? {
        if let Some(outcome) = session.perform(suite)? {
            outcomes.push(outcome);
        }
    }
    let good = report::print(&outcomes, started.elapsed(), session.style);
    end_servers(&workspace.root, &running);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The real servers that run.
fn servers_up(root: &Path) -> Vec<Server> {
    let status = stack::status(root).unwrap_or_default();
    status.iter().filter(|status| status.state != State::Down).map(|status| status.server).collect()
}

/// Ends the real servers that tests brought up, and leaves those alone that ran `before`.
fn end_servers(root: &Path, before: &[Server]) {
    let new: Vec<Server> = servers_up(root).into_iter().filter(|server| !before.contains(server)).collect();
    // None named would be all of them.
    if !new.is_empty()
        && let Err(error) = stack::down(root, &new)
    {
        eprintln!("the servers that tests brought up go on: {error:#}");
    }
}

/// A run of suites.
struct Session<'a> {
    workspace: &'a Workspace,
    options: Options,
    style: Style,
    /// All test executables, once `build` has made them.
    binaries: Vec<Binary>,
    /// The suite without which tests can't run, when it failed.
    broken: Option<&'static str>,
}

impl Session<'_> {
    /// None: there is nothing to run.
    fn perform(&mut self, suite: &'static Suite) -> Result<Option<Outcome>> {
        if suites::packages(suite, &self.workspace.packages).is_some_and(|packages| packages.is_empty()) {
            return Ok(None);
        }
        self.style.header(suite.name, suite.about);
        let started = Instant::now();
        let cap = suite.cap * if self.options.full { FULL_FACTOR } else { 1 };
        let (count, note) = self.work(suite, started + cap, cap)?;
        if suite.needed && count.failed > 0 {
            self.broken = Some(suite.name);
        }
        let outcome = Outcome { suite: suite.name, count, note, took: started.elapsed() };
        self.style.footer(&outcome);
        Ok(Some(outcome))
    }

    fn work(&mut self, suite: &Suite, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
        if let (Some(broken), false) = (self.broken, matches!(suite.work, Work::Cargo(_) | Work::Deny)) {
            return Ok((Count::default(), Some(format!("not run, because {broken} failed"))));
        }
        let root = &self.workspace.root;
        match &suite.work {
            Work::Cargo(arguments) => shown(cargo(root).args(*arguments), deadline, cap),
            Work::Deny => deny(root, deadline, cap),
            Work::Components => {
                let me = std::env::current_exe().context("where xtask itself is")?;
                shown(Command::new(me).current_dir(root).args(["build-components", "--all"]), deadline, cap)
            }
            Work::Build => {
                let (end, binaries) = binaries::build(self.workspace, deadline)?;
                self.binaries = binaries;
                Ok(verdict(end, cap))
            }
            Work::Examples => self.examples(deadline, cap),
            Work::Packages(_) | Work::Rest => self.packages(suite, deadline, cap),
        }
    }

    /// Doc tests: cargo compiles and runs them itself.
    fn examples(&self, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
        let mut command = cargo(&self.workspace.root);
        command.args(["test", "--release", "--workspace", "--doc", "--no-fail-fast"]);
        let mut watched = report::Watched::default();
        let end = child::run(&mut command, deadline, Output::Stdout, |line| watched.line(line))?;
        watched.finish(end, cap);
        watched.print(self.options.verbose);
        Ok((watched.count, watched.note))
    }

    /// The test executables of the suite's packages, one after the other.
    fn packages(&self, suite: &Suite, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
        let packages = suites::packages(suite, &self.workspace.packages).unwrap_or_default();
        let (mut count, mut note) = (Count::default(), None);
        for binary in self.binaries.iter().filter(|binary| packages.contains(&binary.package.as_str())) {
            let started = Instant::now();
            let mut watched = report::Watched::default();
            let mut command = binary.command(self.options.full);
            let end = child::run(&mut command, deadline, Output::Both, |line| watched.line(line))?;
            watched.finish(end, cap);
            if watched.count != Count::default() {
                self.style.part(&binary.shown(), watched.count, started.elapsed());
            }
            watched.print(self.options.verbose);
            count += watched.count;
            note = note.or(watched.note);
        }
        if count == Count::default() {
            note.get_or_insert_with(|| "no tests".to_owned());
        }
        Ok((count, note))
    }
}

/// A command that is one check: it passes or fails.
fn shown(command: &mut Command, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
    Ok(verdict(child::run(command, deadline, Output::Shown, drop)?, cap))
}

fn verdict(end: End, cap: Duration) -> (Count, Option<String>) {
    let count =
        if end.good() { Count { passed: 1, ..Count::default() } } else { Count { failed: 1, ..Count::default() } };
    let note = (end == End::TimedOut).then(|| report::timed_out(cap));
    (count, note)
}

/// Licences, bans and sources. Advisories need a database from the network: `cargo deny check advisories`.
fn deny(root: &Path, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
    let installed = cargo(root).args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        let note = "not checked: run `cargo install --locked cargo-deny` to check licences and sources";
        return Ok((Count::default(), Some(note.to_owned())));
    }
    let (count, note) = shown(
        cargo(root).args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]),
        deadline,
        cap,
    )?;
    Ok((
        count,
        note.or_else(|| {
            Some("advisories: run `cargo deny check advisories` where its database can be fetched".to_owned())
        }),
    ))
}

/// Refuses a name that is none, with those that are.
fn unknown(name: &str) -> Result<()> {
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    ensure!(names.contains(&name), "there is no suite `{name}`; there are {}", names.join(", "));
    Ok(())
}
