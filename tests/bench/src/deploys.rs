//! Deploying a component of 260 KiB: from the upload to serving, quiet and beside requests that take all cores; going back; and
//! what the requests feel of it. The host is the built binary in a process of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::{DateTime, doc, oid::ObjectId};
use capability::documents::Commit;
use e2e::{Server, Stack, Value, network, token};
use tokio::runtime::Handle;

use crate::http::engine;
use crate::load::{self, Get, Until};
use crate::members::insert;
use crate::report::{Report, Row};
use crate::spread::{Rounds, Spread, millis, nanoseconds};
use crate::stack;
use crate::variants::variant;

/// The component that is deployed, and what the host is called.
const COMPONENT: &str = "preferences";
const HOST: &str = "host";
/// Deploys of a kind with nothing else to do, and times that a rollback is done.
const DEPLOYS: usize = 30;
const ROLLBACKS: usize = 200;
/// Rounds under load; in each, requests without deploys and with deploys one after the other, for so long.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(3);
/// What the requests ask: another component's route.
const ROUTE: &str = "/profile/view";

/// What is deployed: how many of the functions are others than in any version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Tenth,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::New, Kind::Tenth];

    fn name(self) -> &'static str {
        match self {
            Kind::New => "every function is new",
            Kind::Tenth => "a tenth is changed",
        }
    }

    fn every(self) -> usize {
        match self {
            Kind::New => 1,
            Kind::Tenth => 10,
        }
    }

    /// What it is to take with nothing else to do, in milliseconds.
    fn goal(self) -> f64 {
        match self {
            Kind::New => 150.0,
            Kind::Tenth => 80.0,
        }
    }
}

/// Under load, in milliseconds; a rollback, in milliseconds; p99 of others, as often as without.
const GOAL_UNDER_LOAD: f64 = 500.0;
const GOAL_ROLLBACK: f64 = 2.0;
const GOAL_OTHERS: f64 = 1.3;

/// Runs all of it; about two minutes.
pub(crate) fn measure(real: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Who deploys does not wait behind the bench's own clients.
    let operators = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stack = stack(real)?;
    let size = component()?.len() >> 10;
    let rows = runtime.block_on(all(&stack, operators.handle()))?;
    let about = vec![
        format!(
            "`{COMPONENT}`, {size} KiB, in versions whose functions are changed: every one, or each tenth. From the upload to the \
             answer that it serves. Under load: {} kept connections ask {ROUTE} without a pause, {ROUNDS} rounds of {TIME:?} without \
             deploys and with one after the other, in turns.",
            load::CONNECTIONS
        ),
        "A rollback is to a version that served just before, and has one commit. `the store's own commit` is one of three small \
         documents, by the bench, straight to the document store. `of others` is the p99 of the requests with deploys by that \
         without, each of its round; the median of the rounds."
            .to_owned(),
    ];
    Ok(Report { bench: "deploy", engine: engine(real), about, rows })
}

fn component() -> anyhow::Result<Vec<u8>> {
    let file = e2e::root().join("target/components").join(COMPONENT).with_extension("wasm");
    std::fs::read(&file).with_context(|| format!("{} can't be read", file.display()))
}

async fn all(stack: &Stack, operators: &Handle) -> anyhow::Result<Vec<Row>> {
    let host = network::opened(stack, HOST).await;
    let readers: Vec<_> = network::pairs(&host, load::CONNECTIONS / 2).await.into_iter().flatten().collect();
    eprintln!("{ROLLBACKS} commits of the store alone…");
    let mut commits = Vec::with_capacity(ROLLBACKS);
    for _ in 0..ROLLBACKS {
        let own = || insert("host-deploys", &doc! { "_id": ObjectId::new(), "at": DateTime::now(), "what": "bench" });
        let commit = Commit { writes: vec![own()?, own()?, own()?], events: Vec::new() };
        let begun = Instant::now();
        host.documents.commit(commit).await?;
        commits.push(nanoseconds(begun.elapsed()));
    }
    host.close().await;
    // The folder is the next host's.
    drop(host);
    let server = stack.start(HOST).await;
    let (operator, mut rows) = (Operator::of(&server, stack, operators)?, Vec::new());
    let address = load::address(&server.url)?;
    let requests: Vec<Get> =
        readers.iter().map(|reader| load::get(&address, ROUTE, Some(&reader.token))).collect::<anyhow::Result<_>>()?;
    let mut versions = Versions { component: component()?, number: 0 };
    for kind in Kind::ALL {
        eprintln!("{DEPLOYS} deploys, {}…", kind.name());
        // The first one finds nothing compiled of what it does not change.
        operator.deploy(&versions.next(kind)?).await?;
        let mut times = Vec::with_capacity(DEPLOYS);
        for _ in 0..DEPLOYS {
            times.push(operator.deploy(&versions.next(kind)?).await?);
        }
        rows.push(row(kind.name(), "quiet", &Spread::of(times), kind.goal()));
    }
    eprintln!("{ROLLBACKS} rollbacks…");
    rows.push(row("a rollback", "quiet", &operator.roll_back(ROLLBACKS).await?, GOAL_ROLLBACK));
    let commit = Spread::of(commits);
    rows.push(spread("the store's own commit", "quiet", &commit));
    for kind in Kind::ALL {
        eprintln!("{ROUNDS} rounds under load, {}…", kind.name());
        rows.push(under_load(kind, &operator, &mut versions, &address, requests.clone().into()).await?);
    }
    Ok(rows)
}

/// The deploys of a kind beside requests.
async fn under_load(
    kind: Kind,
    operator: &Operator,
    versions: &mut Versions,
    address: &str,
    requests: std::sync::Arc<[Get]>,
) -> anyhow::Result<Row> {
    let (mut times, mut ratios, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    operator.deploy(&versions.next(kind)?).await?;
    load::drive(address, &requests, Until::Time(TIME / 3)).await?;
    for round in 0..ROUNDS {
        let (mut without, mut during) = (None, None);
        for deploys in [!round.is_multiple_of(2), round.is_multiple_of(2)] {
            if !deploys {
                without = Some(load::drive(address, &requests, Until::Time(TIME)).await?);
                continue;
            }
            let (address, requests) = (address.to_owned(), requests.clone());
            let load = tokio::spawn(async move { load::drive(&address, &requests, Until::Time(TIME)).await });
            let begun = Instant::now();
            while begun.elapsed() < TIME {
                times.push(operator.deploy(&versions.next(kind)?).await?);
            }
            during = Some(load.await??);
        }
        let (Some(without), Some(during)) = (without, during) else { continue };
        rates.push(during.rate() / without.rate());
        let [without, during] = [without, during].map(|seen| Spread::of(seen.times).p99 as f64);
        ratios.push(during / without.max(1.0));
    }
    let others = Rounds::of(&ratios);
    Ok(row(kind.name(), "under load", &Spread::of(times), GOAL_UNDER_LOAD)
        .with("p99 of others", others.median)
        .with("highest", others.highest)
        .with("goal of others", GOAL_OTHERS)
        .with("requests/s of others", Rounds::of(&rates).median))
}

fn spread(what: &str, when: &str, times: &Spread) -> Row {
    let row = Row::default().with("what", what).with("when", when).with("times", times.rounds);
    row.with("p50 ms", millis(times.p50)).with("p99 ms", millis(times.p99))
}

fn row(what: &str, when: &str, times: &Spread, goal: f64) -> Row {
    spread(what, when, times).with("goal ms", goal)
}

/// Versions of the component, each of which was never there.
struct Versions {
    component: Vec<u8>,
    number: u32,
}

impl Versions {
    fn next(&mut self, kind: Kind) -> anyhow::Result<Vec<u8>> {
        // Two numbers have one constant.
        self.number += 2;
        variant(&self.component, kind.every(), self.number)
    }
}

/// Who deploys.
struct Operator {
    client: reqwest::Client,
    components: String,
    token: String,
    runtime: Handle,
}

impl Operator {
    fn of(server: &Server, stack: &Stack, runtime: &Handle) -> anyhow::Result<Self> {
        let components = format!("{}/v1/components", server.admin);
        let (client, token) = (reqwest::Client::builder().build()?, token(&stack.data(HOST)));
        Ok(Self { client, components, token, runtime: runtime.clone() })
    }

    /// How long it took until it served, in nanoseconds.
    async fn deploy(&self, wasm: &[u8]) -> anyhow::Result<u64> {
        self.post("", wasm.to_vec()).await.map(|(time, _)| time)
    }

    /// Goes back and forth between the last two versions.
    async fn roll_back(&self, times: usize) -> anyhow::Result<Spread> {
        let shown = self.client.get(format!("{}/{COMPONENT}", self.components)).bearer_auth(&self.token).send().await?;
        let shown: Value = shown.error_for_status()?.json().await?;
        let versions = shown.get("versions").and_then(Value::as_array).context("no versions are shown")?;
        let hashes: Vec<&str> = versions.iter().filter_map(|version| version.get("sha256")?.as_str()).take(2).collect();
        ensure!(hashes.len() == 2, "there are two versions to go back to");
        let mut spread = Vec::with_capacity(times);
        for to in hashes.iter().rev().cycle().take(times) {
            spread.push(self.post(&format!("/{COMPONENT}/rollback?to={to}"), Vec::new()).await?.0);
        }
        Ok(Spread::of(spread))
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> anyhow::Result<(u64, Value)> {
        let asked = self.client.post(format!("{}{path}", self.components)).bearer_auth(&self.token).body(body);
        let answered = self.runtime.spawn(async move {
            let begun = Instant::now();
            let answer = asked.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            Ok::<_, reqwest::Error>((nanoseconds(begun.elapsed()), status, text))
        });
        let (time, status, text) = answered.await??;
        ensure!(status.is_success(), "the host answered {status}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        ensure!(answer.get("changed") == Some(&Value::Bool(true)), "nothing changed: {text}");
        Ok((time, answer))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn no_two_versions_are_the_same() {
        let mut versions = Versions {
            component: b"\0asm\x0d\0\x01\0\x01\x0e\0asm\x01\0\0\0\x0a\x04\x01\x02\0\x0b".to_vec(),
            number: 0,
        };
        let made: std::collections::BTreeSet<Vec<u8>> = (0..300).map(|_| versions.next(Kind::Tenth).unwrap()).collect();
        assert_eq!(made.len(), 300);
    }
}
