//! `cargo xtask`: the chores of the workspace. Arguments only; each chore has a module.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

mod attacks;
mod bench;
mod build;
mod child;
mod documented;
mod fuzzing;
mod run;
mod sbom;
mod servers;
mod test;
mod tree;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, runs and tests DevConnect.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build everything and serve it until Ctrl-C; a component that changes is built and deployed meanwhile.
    Run {
        /// The port to listen on [default: the variable PORT, or 3000].
        #[arg(long, value_name = "N")]
        port: Option<u16>,
        /// The port of the operator's side [default: the variable ADMIN_PORT, or 3001].
        #[arg(long, value_name = "N")]
        admin_port: Option<u16>,
        /// Where everything that lasts is kept [default: data].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Run this host instead of building one.
        #[arg(long, value_name = "FILE")]
        host: Option<PathBuf>,
        /// Serve what is deployed, and deploy nothing.
        #[arg(long)]
        no_watch: bool,
        /// Compile the host's own crates soon instead of well: for those who change it.
        #[arg(long, conflicts_with = "host")]
        quick: bool,
        /// Have 200 people sign up who know each other and talk, and print three log-ins. Once: later runs print them
        /// again.
        #[arg(long)]
        demo: bool,
    },
    /// Run every test, or the named suites, and say how many passed.
    Test {
        /// Suites; `--list` names them. None means all of them. After a single one: parts of the names of its tests.
        #[arg(value_name = "SUITE|FILTER")]
        words: Vec<String>,
        /// The long form: more rounds, and the tests that are ignored otherwise.
        #[arg(long)]
        full: bool,
        /// Print what passing tests print, too.
        #[arg(long, short)]
        verbose: bool,
        /// Compile the host's own crates soon instead of well. What is shipped is not tested this way.
        #[arg(long)]
        quick: bool,
        /// Name the suites and end.
        #[arg(long)]
        list: bool,
    },
    /// Feed each parser what nobody would write, until the time is over. `test` does the same with a few hundred cases.
    Fuzz {
        /// Parts of the names of targets; `--list` names them. None means all of them.
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// For how long, without building.
        #[arg(long, value_name = "N", default_value_t = 10)]
        minutes: u64,
        /// Name the targets and end.
        #[arg(long)]
        list: bool,
    },
    /// Format, lints and licences: what `test` checks before it runs anything.
    Lint,
    /// Build components and the host (`target/components/`, `target/release/devconnect`).
    Build,
    /// Build components only. The wasm target is installed when it is missing.
    BuildComponents {
        /// Names as in component.toml. None means all of the application.
        names: Vec<String>,
        /// Those that only tests load as well.
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
    /// The real servers for tests and development, on loopback.
    Stack {
        #[command(subcommand)]
        task: servers::Task,
    },
    /// Show which crate depends on which, and look for circles.
    Tree,
    /// Write docs/attacks.md from the tests that try them.
    Attacks,
    /// Write what is shipped and what it is made of (`target/sbom.json`, CycloneDX 1.5).
    Sbom,
    /// Load of every kind on a host for an hour, with deploys, canaries and rollbacks among it: what the host holds of memory, files,
    /// connections and tasks must stay flat. The chart is `target/soak/embedded.svg` or `real.svg`.
    Soak {
        /// How long.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=170))]
        minutes: u64,
        /// On Redis, MongoDB and Kafka.
        #[arg(long)]
        real: bool,
    },
    /// Measure something; every figure of docs/figures.md comes from here, and `all` writes docs/benchmarks.md.
    Bench {
        /// What to measure. None lists what there is.
        name: Option<String>,
        /// Print figures for programs, one JSON object a line.
        #[arg(long)]
        json: bool,
        /// On Redis, MongoDB and Kafka.
        #[arg(long)]
        real: bool,
        /// Another server with the same contract that `http` and `chat` measure beside ours, as http://HOST:PORT; may be given
        /// several times.
        #[arg(long, value_name = "URL")]
        against: Vec<String>,
        /// How many members the network of `feed` has; may be given several times.
        #[arg(long, value_name = "N")]
        members: Vec<u64>,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The soak is a test of `faults`, which the long form of `test` runs, too.
fn soak(minutes: u64, real: bool) -> Result<ExitCode> {
    let mut test = std::process::Command::new(std::env::current_exe()?);
    test.args(["test", "faults", if real { "soak::real" } else { "soak::embedded" }, "--full", "--verbose"]);
    let status = test.env("DEVCONNECT_SOAK_MINUTES", minutes.to_string()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn perform(chore: Chore) -> Result<ExitCode> {
    let root = workspace::root()?;
    match chore {
        Chore::Run { port, admin_port, data, host, no_watch, quick, demo } => {
            let options = run::Options { port, admin_port, data, host, watch: !no_watch, quick, demo };
            run::run(&Workspace::read(root)?, options)
        }
        Chore::Test { list: true, .. } => Ok(test::list()),
        Chore::Test { words, full, verbose, quick, list: false } => {
            test::run(&Workspace::read(root)?, &words, test::Options { full, verbose, quick })
        }
        Chore::Fuzz { targets, minutes, list } => fuzzing::run(&Workspace::read(root)?, &targets, minutes, list),
        Chore::Lint => {
            let suites = ["format", "deny", "lint"].map(str::to_owned);
            test::run(&Workspace::read(root)?, &suites, test::Options::default())
        }
        Chore::Build => build::everything(&Workspace::read(root)?),
        Chore::BuildComponents { names, all } => build::components(&root, &names, all),
        Chore::Stack { task } => servers::perform(&root, task),
        Chore::Attacks => attacks::write(&root).map(|()| ExitCode::SUCCESS),
        Chore::Tree => tree::show(&Workspace::read(root)?),
        Chore::Sbom => sbom::write(&Workspace::read(root)?),
        Chore::Soak { minutes, real } => soak(minutes, real),
        Chore::Bench { name, json, real, against, members } => {
            let options = bench::Options { json, real, against, members };
            bench::bench(&Workspace::read(root)?, name.as_deref(), &options)
        }
    }
}
