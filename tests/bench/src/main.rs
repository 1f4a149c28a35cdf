//! `cargo xtask bench NAME`: measurements on this machine, each beside its reference in the same run.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

mod invoke;
mod login;
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
    /// One invocation of a fresh instance, beside the same handler called natively.
    Invoke,
    /// Logging in with an e-mail that nobody has, beside a known one with a wrong password and with the right one.
    Login,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.bench {
        Bench::Invoke => show(&invoke::measure()?, cli.json),
        Bench::Login => show(&login::measure()?, cli.json),
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
