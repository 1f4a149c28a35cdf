//! The command line: reads the arguments and starts what they say. Touches no store.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::{COMPILE, compile_as_child};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::command::{Connection, bundle, check, deploy, events, show};
use crate::log::Lines;
use crate::serve;

/// A host for WebAssembly components.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the components of a folder until Ctrl-C.
    Serve(serve::Serve),
    /// Print what a component asks to see and do, and warn of the grants that it can't use.
    Check {
        /// The component.
        file: PathBuf,
    },
    /// Put a manifest into a component: the one file that deploys.
    Bundle {
        /// The component.
        file: PathBuf,
        /// The manifest; component.toml beside the component, unless it is named.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Where to write it; NAME.wasm beside the component, unless it is named.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// What the host has done in a process of its own: a component on standard input to machine code on standard output.
    #[command(name = COMPILE, hide = true)]
    Compile {
        /// For a host without a pool of instances.
        #[arg(long)]
        no_pool: bool,
        /// Beside requests that want all cores.
        #[arg(long)]
        busy: bool,
    },
    /// Drive a host for tests: JSON lines on standard input and output; see docs/harness.md.
    Harness,
    /// Look into a running host's events: topics, how far consumers are, dead letters.
    Events {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        task: events::Task,
    },
    /// Deploy a component on a running host and on all that share its documents, without a restart.
    Deploy {
        #[command(flatten)]
        connection: Connection,
        /// The component, with its manifest inside.
        file: PathBuf,
        #[command(flatten)]
        options: deploy::DeployArgs,
    },
    /// Have the canary of a component serve all.
    Promote {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
    },
    /// Go back from the canary of a component or, without one, to an earlier version.
    Rollback {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
        /// The version whose hash begins like this, as `components` has it; the one before, unless it is named.
        #[arg(long, value_name = "HASH")]
        to: Option<String>,
    },
    /// Take a component out of service. Its versions stay, for `rollback`.
    Remove {
        #[command(flatten)]
        connection: Connection,
        /// The component.
        name: String,
    },
    /// Say what is deployed.
    Components {
        #[command(flatten)]
        connection: Connection,
        /// Print it for programs.
        #[arg(long)]
        json: bool,
    },
    /// Say what was deployed, promoted, gone back from and removed, the newest first.
    Deploys {
        #[command(flatten)]
        connection: Connection,
        /// How many lines at most (1 to 1,000).
        #[arg(long, value_name = "LINES", default_value_t = 20)]
        max: u32,
    },
    /// Print what a component of a running host has for operators: the answer of a route with `session = "operator"`.
    Show {
        #[command(flatten)]
        connection: Connection,
        /// The route with its query, as in /analytics/network?by=hour&windows=24
        route: String,
    },
}

/// Does what the arguments say.
pub fn main() -> ExitCode {
    native::allocator::bound();
    let cli = Cli::parse();
    start_log();
    let serves = matches!(cli.command, Command::Serve(_));
    let result = match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check { file } => check::perform(&file),
        Command::Bundle { file, manifest, out } => bundle::perform(&file, manifest, out).map(drop),
        Command::Compile { no_pool, busy } => return compile(no_pool, busy),
        Command::Harness => crate::harness::run(),
        Command::Events { connection, task } => block_on(events::perform(&connection, task)),
        Command::Deploy { connection, file, options } => block_on(deploy::deploy(&connection, &file, &options)),
        Command::Promote { connection, name } => block_on(deploy::promote(&connection, &name)),
        Command::Rollback { connection, name, to } => block_on(deploy::roll_back(&connection, &name, to.as_deref())),
        Command::Remove { connection, name } => block_on(deploy::remove(&connection, &name)),
        Command::Components { connection, json } => block_on(deploy::list(&connection, json)),
        Command::Deploys { connection, max } => block_on(deploy::log(&connection, max)),
        Command::Show { connection, route } => block_on(show::perform(&connection, &route)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A service logs its error; a command prints it.
            if serves {
                tracing::error!("{error:#}");
            } else {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Compiles in this child process; the parent host reads the error from standard error.
fn compile(no_pool: bool, busy: bool) -> ExitCode {
    match compile_as_child(no_pool, busy) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command that sends requests to a running host.
fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// What is logged less, unless `DEVCONNECT_LOG` names it: h2 warns of what any stranger can do, a line each time.
const QUIET: &str = "h2=error";

fn start_log() {
    let given = std::env::var("DEVCONNECT_LOG").ok();
    // An empty directive would be read as one for errors alone.
    let directives =
        given.map(|given| given.split(',').map(str::trim).filter(|one| !one.is_empty()).collect::<Vec<_>>().join(","));
    let directives = directives.filter(|directives| !directives.is_empty());
    let parsed = directives.as_deref().map(|given| format!("{QUIET},{given}").parse::<Targets>());
    let filter = match &parsed {
        Some(Ok(filter)) => filter.clone(),
        _ => Targets::new().with_default(tracing::Level::INFO).with_target("h2", tracing::Level::ERROR),
    };
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines).with_target(!terminal).with_ansi(colours);
    tracing_subscriber::registry().with(lines).with(filter).init();
    if let Some(Err(why)) = parsed {
        tracing::warn!(%why, "DEVCONNECT_LOG takes off, error, warn, info, debug, trace or lines of target=level; info is used");
    }
}
