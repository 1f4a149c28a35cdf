//! `cargo xtask run --demo` starts this beside a host. Arguments and what is printed; the rest is in the library.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use demo::{Options, Outcome, PEOPLE, Portraits, Progress};

/// Fills a running host with people who know each other, through its public interface.
#[derive(Parser)]
struct Arguments {
    /// The host, on this machine.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// Where people open it [default: --url].
    #[arg(long, value_name = "URL", env = "PUBLIC_URL")]
    public_url: Option<String>,
    /// How many people (10 to 200).
    #[arg(long, value_name = "N", default_value_t = *PEOPLE.end())]
    people: usize,
    /// The program `devconnect`, which deploys their pictures. Without it they have none.
    #[arg(long, value_name = "FILE")]
    devconnect: Option<PathBuf>,
    /// Where the host's operator's side is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3001")]
    admin_url: String,
    /// The host's data folder.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Where pictures are put together.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match perform(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the demo's people are not complete: {error:#}");
            eprintln!("The next run goes on where this one ended.");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { url, public_url, people, devconnect, admin_url, data, folder } = arguments;
    if !PEOPLE.contains(&people) {
        bail!("--people takes {} to {}", PEOPLE.start(), PEOPLE.end());
    }
    let public_url = public_url.filter(|url| !url.trim().is_empty()).unwrap_or_else(|| url.clone());
    let portraits = devconnect.map(|devconnect| Portraits { devconnect, admin_url, data: data.clone(), folder });
    let options = Options { url, public_url, people, portraits };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = demo::run(&options, Progress::of_stdout()) => outcome,
            _ = tokio::signal::ctrl_c() => bail!("it was stopped"),
        }
    })?;
    print(&outcome, &options.public_url, &data.display().to_string());
    Ok(())
}

fn print(outcome: &Outcome, public_url: &str, data: &str) {
    println!();
    if outcome.was_there {
        println!("The demo's people are there already.");
    } else {
        println!("{} people are there after {:.0} s.", outcome.people, outcome.took.as_secs_f64());
    }
    if let Some(why) = &outcome.without_pictures {
        println!("They have no pictures: {why}");
    }
    println!("\n  {public_url}\n");
    for log_in in &outcome.log_ins {
        let password = if log_in.works { log_in.password } else { "(changed)" };
        println!("  {:<32} {password}   {}", log_in.email, log_in.shows);
    }
    println!("\nEverybody else has the same password. Ctrl-C ends the host; what is there stays in {data}.");
}
