//! Many components on one host beside few: how long it takes to start, how much memory one takes, and what a request costs
//! when each goes to another one. The host is the built binary in a process of its own.

use std::path::Path;
use std::time::Instant;

use e2e::memory::resident;
use e2e::{Server, ServerOptions, numbered};
use serde::Serialize;

use crate::spread::Spread;

/// The few that the many stand beside.
const FEW: usize = 10;
/// Requests that are timed.
const REQUESTS: usize = 20_000;

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    few: Host,
    many: Host,
    /// What one more component takes, in KiB.
    kib_per_component: f64,
    /// The median request to many beside the one to few.
    times_slower: f64,
}

/// A host with so many components.
#[derive(Debug, Serialize)]
struct Host {
    components: usize,
    /// From its start until it serves, with everything to compile, in milliseconds.
    first_start: u64,
    /// The same when it has run before.
    start: u64,
    /// Its memory once each component has been called, in KiB.
    resident: u64,
    /// Requests over one kept connection, each to the next component.
    requests: Spread,
}

/// Runs all of it; some minutes.
pub(crate) fn measure(components: usize) -> anyhow::Result<Figures> {
    anyhow::ensure!(components > FEW, "more than {FEW} components, to stand beside {FEW}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let few = runtime.block_on(host(FEW))?;
    let many = runtime.block_on(host(components))?;
    let kib_per_component = many.resident.saturating_sub(few.resident) as f64 / (components - FEW) as f64;
    let times_slower = many.requests.p50 as f64 / few.requests.p50 as f64;
    Ok(Figures { few, many, kib_per_component, times_slower })
}

async fn host(count: usize) -> anyhow::Result<Host> {
    let (folder, data) = (tempfile::TempDir::new()?, tempfile::TempDir::new()?);
    std::fs::copy(e2e::root().join("target/components/application.toml"), folder.path().join("application.toml"))?;
    for number in 0..count {
        std::fs::write(folder.path().join(format!("{number}.wasm")), numbered(number as u64))?;
    }
    eprintln!("compiling {count} components…");
    let (server, first_start) = start(folder.path(), data.path());
    anyhow::ensure!(server.interrupt(), "the host did not end well");
    let (server, start) = start(folder.path(), data.path());
    eprintln!("asking {count} components…");
    let client = reqwest::Client::new();
    let ask = async |number: usize| -> anyhow::Result<u64> {
        let path = format!("/numbered/{:07}", number % count);
        let begun = Instant::now();
        let answer = client.get(format!("{}{path}", server.url)).send().await?.error_for_status()?.text().await?;
        let time = begun.elapsed().as_nanos() as u64;
        anyhow::ensure!(answer == path, "{path} was answered by {answer}");
        Ok(time)
    };
    for number in 0..2 * count {
        ask(number).await?;
    }
    let mut times = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        times.push(ask(number).await?);
    }
    let resident = resident(server.id());
    Ok(Host { components: count, first_start, start, resident, requests: Spread::of(times) })
}

fn start(components: &Path, data: &Path) -> (Server, u64) {
    let options = ServerOptions {
        components: Some(components.to_owned()),
        environment: vec![("DEVCONNECT_LOG", "warn".to_owned())],
        ..ServerOptions::default()
    };
    let begun = Instant::now();
    let server = Server::start_with(data, options);
    (server, begun.elapsed().as_millis() as u64)
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for host in [&self.few, &self.many] {
            writeln!(
                f,
                "{:>5} components   start {} ms, the first one {} ms",
                host.components, host.start, host.first_start
            )?;
            writeln!(f, "      resident       {:.1} MiB", host.resident as f64 / 1_024.0)?;
            writeln!(f, "      a request      {}", host.requests)?;
        }
        write!(
            f,
            "one component: {:.0} KiB; a request that meets each in turn: {:.2} times that of {FEW}",
            self.kib_per_component, self.times_slower
        )
    }
}
