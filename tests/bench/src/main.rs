//! `cargo xtask bench NAME`: measurements on this machine, each beside its reference in the same run.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

mod chat;
mod counting;
mod density;
mod deploys;
mod events;
mod files;
#[cfg(test)]
mod guard;
mod http;
mod in_process;
mod invoke;
mod load;
mod login;
mod machine;
#[path = "../../fixtures/measured/src/render.rs"]
mod measured;
mod members;
mod memory;
mod opcounters;
mod own_host;
mod page;
mod queries;
mod report;
mod sessions;
mod socket_io;
mod sockets;
mod spread;
mod twins;
mod writes;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use e2e::Stack;

use crate::report::Report;

/// Measures DevConnect on this machine.
#[derive(Parser)]
#[command(name = "cargo xtask bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Print figures for programs: one JSON object a line.
    #[arg(long, global = true)]
    json: bool,
}

// What hosts run on. A comment for clap would be that of each bench.
#[derive(Args, Clone, Copy)]
struct On {
    /// On Redis, MongoDB and Kafka instead of the embedded stores.
    #[arg(long)]
    real: bool,
}

// What ours stands beside.
#[derive(Args)]
struct Beside {
    /// Another server with the same contract, as http://HOST:PORT; may be given several times. It should be empty: members are
    /// signed up there.
    #[arg(long, value_name = "URL")]
    against: Vec<String>,
}

#[derive(Subcommand)]
enum Bench {
    /// All of them, written to docs/benchmarks.md; half an hour, and with --real an hour.
    All {
        /// On Redis, MongoDB and Kafka as well.
        #[arg(long)]
        real: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Requests a second of a file of 20 KB that a component carries, beside nginx.
    Assets,
    /// Messages a second, each after the echo of the one before, and many at once; beside any other server.
    Chat {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        beside: Beside,
    },
    /// A thousand components on one host beside ten: start, memory, a request.
    Density {
        /// How many components.
        #[arg(long, default_value_t = 1_000)]
        components: usize,
    },
    /// Deploying and going back, and requests meanwhile beside requests without.
    Deploy,
    /// Consuming events: nothing done, one effect each beside the store's own rate, and the time from publishing to effect.
    Events,
    /// Serves for `http`, with native twins of the routes.
    #[command(name = own_host::COMMAND, hide = true)]
    Host {
        /// The data folder.
        #[arg(long)]
        data: PathBuf,
    },
    /// Requests a second of the routes that are asked most, beside their native twins and any other server.
    Http {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        beside: Beside,
    },
    /// One invocation of a fresh instance, beside the same handler called natively.
    Invoke,
    /// Logging in with an e-mail that nobody has, beside a known one with a wrong password and with the right one.
    Login,
    /// A host's memory: idle, and after log-ins, messages and requests, twice.
    Memory(On),
    /// Database queries that the caches save on a mix of requests, and reads that are stale.
    Queries(On),
    /// A session, a user, presence and recent messages: cached beside asked of the database.
    Sessions(On),
    /// Ten thousand sockets of members on one host: what one weighs, how fast they connect, how soon a message arrives.
    Sockets {
        /// How many sockets.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
        /// How many messages a second, over all of them.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
    },
    /// Chat messages stored with their events, beside the store's own rate for the same transaction.
    Writes(On),
}

fn main() -> anyhow::Result<()> {
    let Cli { bench, json } = Cli::parse();
    match bench {
        Bench::All { real, beside } => page::write(real, &beside.against, json),
        Bench::Assets => print(&files::measure()?, json),
        Bench::Chat { on, beside } => print(&chat::measure(on.real, &beside.against)?, json),
        Bench::Density { components } => show(&density::measure(components)?, json),
        Bench::Deploy => show(&deploys::measure()?, json),
        Bench::Events => show(&events::measure()?, json),
        Bench::Host { data } => own_host::serve(&data),
        Bench::Http { on, beside } => print(&http::measure(on.real, &beside.against)?, json),
        Bench::Invoke => show(&invoke::measure()?, json),
        Bench::Login => show(&login::measure()?, json),
        Bench::Memory(on) => print(&memory::measure(on.real)?, json),
        Bench::Queries(on) => print(&queries::measure(on.real)?, json),
        Bench::Sessions(on) => print(&sessions::measure(on.real)?, json),
        Bench::Sockets { sockets, rate } => show(&sockets::measure(sockets, rate)?, json),
        Bench::Writes(on) => print(&writes::measure(on.real)?, json),
    }
}

/// The stores of a bench: embedded, or the real servers. Blocks while these start.
fn stack(real: bool) -> anyhow::Result<Stack> {
    if real {
        Stack::real().context("the real servers can't be had; the reason is above")
    } else {
        Ok(Stack::embedded())
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        report.json_lines().iter().for_each(|line| println!("{line}"));
    } else {
        println!("{report}");
    }
    Ok(())
}

fn show(figures: &(impl std::fmt::Display + serde::Serialize), json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(figures)?)
    } else {
        println!("{}\n{figures}", machine::name())
    }
    Ok(())
}
