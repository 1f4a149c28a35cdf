//! `stack`: the servers on the command line.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use xtask::stack::{self, Addresses, Running, Server, State, Status};

/// What to do with the servers.
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Bring servers up, and wait until they answer.
    Up {
        /// Which. None means all of them.
        servers: Vec<Server>,
    },
    /// Stop servers; their data stays.
    Down {
        /// Which. None means all of them.
        servers: Vec<Server>,
    },
    /// Show each server: up or not, address, pid, version.
    Status,
    /// Print what a shell needs for the host to find them: `eval "$(cargo xtask stack env)"`.
    Env,
}

/// Does it and says how it went.
pub(crate) fn perform(root: &Path, task: Task) -> Result<ExitCode> {
    match task {
        Task::Up { servers } => stack::up(root, &servers)?.running.iter().for_each(|running| {
            let state =
                running.took.map_or("ran already".to_owned(), |took| format!("up after {:.1} s", took.as_secs_f64()));
            println!("{:<8} {state:<14} {}", running.server.name(), running.address);
        }),
        Task::Down { servers } => match stack::down(root, &servers)?.as_slice() {
            [] => println!("none of them ran"),
            ended => ended.iter().for_each(|server| println!("{:<8} stopped", server.name())),
        },
        Task::Status => stack::status(root)?.iter().for_each(|status| println!("{}", row(status))),
        Task::Env => print!("{}", addresses(stack::status(root)?)?.exports()),
    }
    Ok(ExitCode::SUCCESS)
}

fn row(status: &Status) -> String {
    let state = match status.state {
        State::Up => "up",
        State::Silent => "no answer",
        State::Down => "down",
    };
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let pid = status.pid.map_or("-".to_owned(), |pid| pid.to_string());
    let (version, address) = (or_none(status.version.as_deref()), or_none(status.address.as_deref()));
    format!("{:<8} {state:<9} {pid:>8}  {version:<8} {address}", status.server.name())
}

/// Of those that are up. What is not is said, because its variable will be missing.
fn addresses(found: Vec<Status>) -> Result<Addresses> {
    let mut running = Vec::new();
    for Status { server, state, address, .. } in found {
        match (state, address) {
            (State::Up, Some(address)) => running.push(Running { server, address, took: None }),
            _ => eprintln!("{0} is not up; `cargo xtask stack up {0}` brings it up", server.name()),
        }
    }
    if running.is_empty() {
        bail!("no server is up");
    }
    Ok(Addresses { running })
}
