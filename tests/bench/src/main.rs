//! `cargo xtask bench NAME`: measurements on this machine, each beside its reference in the same run.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

mod density;
mod deploys;
mod events;
mod invoke;
mod login;
#[path = "../../fixtures/measured/src/render.rs"]
mod measured;
mod sockets;
mod spread;

use clap::{Parser, Subcommand};

/// Measures DevConnect on this machine.
#[derive(Parser)]
#[command(name = "cargo xtask bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Print figures for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Bench {
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
    /// One invocation of a fresh instance, beside the same handler called natively.
    Invoke,
    /// Logging in with an e-mail that nobody has, beside a known one with a wrong password and with the right one.
    Login,
    /// Ten thousand sockets of members on one host: what one weighs, how fast they connect, how soon a message arrives.
    Sockets {
        /// How many sockets.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
        /// How many messages a second, over all of them.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.bench {
        Bench::Density { components } => show(&density::measure(components)?, cli.json),
        Bench::Deploy => show(&deploys::measure()?, cli.json),
        Bench::Events => show(&events::measure()?, cli.json),
        Bench::Invoke => show(&invoke::measure()?, cli.json),
        Bench::Login => show(&login::measure()?, cli.json),
        Bench::Sockets { sockets, rate } => show(&sockets::measure(sockets, rate)?, cli.json),
    }
}

fn show(figures: &(impl std::fmt::Display + serde::Serialize), json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(figures)?)
    } else {
        println!("{figures}")
    }
    Ok(())
}
