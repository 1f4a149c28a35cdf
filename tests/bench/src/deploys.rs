//! Deploying: from the upload to serving, going back, and what requests feel of it. The host is the built binary in a process of
//! its own, on its embedded stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{Server, ServerOptions, stamp_of, stamped, token, with_fixture};
use serde::Serialize;

use crate::spread::Spread;

/// Distinct binaries.
const DEPLOYS: u64 = 100;
/// Clients that ask all the time.
const CLIENTS: usize = 4;
/// How long they ask without deploys.
const QUIET: Duration = Duration::from_secs(10);

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// From the upload to the answer that it serves, with nothing else to do.
    deploy: Spread,
    /// Going back to the version before, which is not in memory any more.
    roll_back: Spread,
    /// A request while nothing is deployed, and while one deploy follows the other.
    without: Spread,
    during: Spread,
    /// Those that did not get the stamp of a version that served.
    failed: u64,
}

/// Runs all of it; about a minute.
pub(crate) fn measure() -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (components, data) = (with_fixture("stamped"), tempfile::TempDir::new()?);
    let options = ServerOptions {
        components: Some(components.path().to_owned()),
        environment: vec![("DEVCONNECT_LOG", "warn".to_owned())],
        ..ServerOptions::default()
    };
    let server = Server::start_with(data.path(), options);
    runtime.block_on(all(&server, &token(data.path())))
}

async fn all(server: &Server, token: &str) -> anyhow::Result<Figures> {
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Vec<u8>| -> anyhow::Result<u64> {
        let begun = Instant::now();
        let asked = client.post(format!("{}/v1/components{path}", server.admin)).bearer_auth(token).body(body);
        asked.send().await?.error_for_status()?.bytes().await?;
        Ok(begun.elapsed().as_nanos() as u64)
    };
    eprintln!("{DEPLOYS} deploys alone…");
    let (mut alone, mut back) = (Vec::new(), Vec::new());
    for number in 1..=DEPLOYS {
        alone.push(post("", stamped(number)).await?);
    }
    for _ in 0..DEPLOYS {
        back.push(post("/stamped/rollback", Vec::new()).await?);
        // To the newest again, so that there is always one to go back to.
        post("", stamped(DEPLOYS)).await?;
    }
    eprintln!("{DEPLOYS} deploys under load…");
    let ended = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(ask(format!("{}/stamp", server.url), ended.clone()))).collect();
    tokio::time::sleep(QUIET).await;
    let begun = Instant::now();
    for number in DEPLOYS + 1..=2 * DEPLOYS {
        post("", stamped(number)).await?;
    }
    ended.store(true, Ordering::Relaxed);
    let (mut without, mut during, mut failed) = (Vec::new(), Vec::new(), 0);
    for client in clients {
        let (times, its) = client.await??;
        failed += its;
        for (at, time) in times {
            if at < begun { without.push(time) } else { during.push(time) }
        }
    }
    let (deploy, roll_back) = (Spread::of(alone), Spread::of(back));
    Ok(Figures { deploy, roll_back, without: Spread::of(without), during: Spread::of(during), failed })
}

/// The times of requests, and how many were not answered by a version.
async fn ask(url: String, ended: Arc<AtomicBool>) -> anyhow::Result<(Vec<(Instant, u64)>, u64)> {
    let (client, mut times, mut failed) = (reqwest::Client::new(), Vec::new(), 0);
    while !ended.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answer = client.get(&url).send().await?;
        let well = answer.status() == 200;
        let text = answer.text().await?;
        times.push((begun, begun.elapsed().as_nanos() as u64));
        failed += u64::from(!well || text.len() != stamp_of(0).len());
    }
    Ok((times, failed))
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "a deploy, upload to serving   {}", self.deploy)?;
        writeln!(f, "going back                    {}", self.roll_back)?;
        writeln!(f, "a request without deploys     {}", self.without)?;
        writeln!(f, "a request during deploys      {}", self.during)?;
        let times = self.during.p99 as f64 / self.without.p99 as f64;
        write!(f, "p99 during deploys is {times:.2} times that without; {} requests failed", self.failed)
    }
}
