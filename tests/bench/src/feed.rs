//! The plain and the ranked feed of networks of different sizes: the first page of a member who has not asked yet, and pages that
//! were asked before; one client, one request after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::oid::ObjectId;
use capability::documents::{Commit, Write};
use devconnect::Host;
use e2e::network::Account;
use e2e::{Stack, Value, network};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Client;

use crate::http::engine;
use crate::load::{self, Get};
use crate::members::{insert, user};
use crate::own_host::OwnHost;
use crate::report::{Report, Row};
use crate::spread::{Spread, millis};
use crate::stack;

/// The sizes of networks when none are named.
pub(crate) const SIZES: [usize; 3] = [100, 10_000, 100_000];
/// Members who ask; in a small network all of them.
const ASKING: usize = 200;
/// Warm requests of each feed.
const WARM: usize = 2_000;
/// Writes of a commit, and commits at once, while a network is put into the stores.
const AT_ONCE: usize = 90;
const COMMITS: usize = 8;
/// How many members the ranked feed scores without an index.
const WITHOUT_INDEX: u64 = 1_000;
/// How long the index may take, and how often it is looked whether it is there.
const PATIENCE: Duration = Duration::from_secs(2_400);
const OFTEN: Duration = Duration::from_secs(1);
/// The skills that members have, the usual ones first. One in four has another one besides, which few have.
const SKILLS: [&str; 40] = [
    "JavaScript",
    "Python",
    "React",
    "SQL",
    "TypeScript",
    "Node.js",
    "Docker",
    "Java",
    "AWS",
    "Git",
    "HTML",
    "CSS",
    "C#",
    "PostgreSQL",
    "Linux",
    "MongoDB",
    "Kubernetes",
    "Go",
    "C++",
    "Redis",
    "Vue",
    "Django",
    "Angular",
    "PHP",
    "Terraform",
    "Flutter",
    "Machine Learning",
    "Kotlin",
    "Swift",
    "Rust",
    "Figma",
    "GraphQL",
    "Pandas",
    "PyTorch",
    "Kafka",
    "Scala",
    "Jest",
    "Blender",
    "Elixir",
    "WebAssembly",
];
/// How many of those there are that few have.
const RARE: usize = 500;

/// Measures networks of these sizes; a hundred thousand take some minutes.
pub(crate) fn measure(real: bool, sizes: &[usize]) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for size in sizes {
        eprintln!("{size} members…");
        rows.extend(runtime.block_on(of_size(&stack(real)?, *size))?);
    }
    let about = vec![
        format!(
            "One client asks one request after the other: the first page of each of up to {ASKING} members (cold), and then \
             {WARM} pages of these members in turn (warm). `index` is the time from the host's start until the index is used."
        ),
        "Up to 1,000 members the ranked feed scores all of them for each page; beyond, it scores up to 2,000 whom the index \
         finds, and keeps the ranking of a member for five minutes."
            .to_owned(),
    ];
    Ok(Report { bench: "feed", engine: engine(real), about, rows })
}

async fn of_size(stack: &Stack, size: usize) -> anyhow::Result<Vec<Row>> {
    let host = network::opened(stack, "bench").await;
    let accounts = put_into(&host, size).await;
    host.close().await;
    let accounts = accounts?;
    let begun = Instant::now();
    let own = OwnHost::start(stack, "bench").await?;
    let (probe, asking) = accounts.split_last().context("a network has members")?;
    let indexed = if size as u64 > WITHOUT_INDEX { Some(until_indexed(&own.url, probe, begun).await?) } else { None };
    let address = load::address(&own.url)?;
    let mut rows = Vec::new();
    for (name, path) in [("plain", "/feed"), ("ranked", "/feed?ml=true")] {
        let requests: Vec<Get> = asking
            .iter()
            .map(|member| load::get(&address, path, Some(member.token.as_str())))
            .collect::<Result<_, _>>()?;
        let requests: Arc<[Get]> = requests.into();
        let cold = Spread::of(load::in_turn(&address, &requests, requests.len()).await?.times);
        let warm = Spread::of(load::in_turn(&address, &requests, WARM).await?.times);
        rows.push(
            Row::default()
                .with("members", size)
                .with("feed", name)
                .with("cold p50 ms", millis(cold.p50))
                .with("cold p99 ms", millis(cold.p99))
                .with("warm p50 ms", millis(warm.p50))
                .with("warm p99 ms", millis(warm.p99))
                .with_some("index s", indexed.filter(|_| name == "ranked").map(|took| took.as_secs_f64())),
        );
    }
    Ok(rows)
}

/// Puts members into the stores as the product writes them, and answers the sessions of those who ask: spread over all, and one more.
async fn put_into(host: &Host, size: usize) -> anyhow::Result<Vec<Account>> {
    let sessions = &host.registry.engine().shared().capabilities.sessions;
    let mut random = SmallRng::seed_from_u64(size as u64);
    let asking = ASKING.min(size.saturating_sub(1)) + 1;
    let every = (size / asking).max(1);
    let (mut accounts, mut commits, mut writes) = (Vec::with_capacity(asking), Vec::new(), Vec::new());
    for number in 0..size {
        let id = ObjectId::new();
        let email = format!("{id}@example.com");
        let mut member = user(id, number, &email);
        member.insert("skills", skills(&mut random));
        writes.push(insert("users", &member)?);
        if number % every == 0 && accounts.len() < asking {
            let (token, session) = sessions.open(&id.to_hex(), &[("emailId".to_owned(), email)])?;
            writes.push(session);
            accounts.push(Account { id: id.to_hex(), token: token.reveal().to_owned() });
        }
        if writes.len() >= AT_ONCE || number + 1 == size {
            commits.push(std::mem::take(&mut writes));
        }
    }
    let store = |writes: Vec<Write>| host.documents.commit(Commit { writes, events: Vec::new() });
    let stored = futures_util::stream::iter(commits.into_iter().map(store)).buffer_unordered(COMMITS);
    stored.try_collect::<Vec<_>>().await?;
    Ok(accounts)
}

fn skills(random: &mut SmallRng) -> Vec<String> {
    let mut skills: Vec<String> = Vec::new();
    for _ in 0..random.random_range(3..=9) {
        // The least of two makes the first ones usual.
        let at = random.random_range(0..SKILLS.len()).min(random.random_range(0..SKILLS.len()));
        skills.extend(SKILLS.get(at).map(|skill| (*skill).to_owned()).filter(|skill| !skills.contains(skill)));
    }
    if random.random_range(0..4) == 0 {
        skills.push(format!("Craft {}", random.random_range(0..RARE)));
    }
    skills
}

/// How long it takes until a member is ranked by the index.
async fn until_indexed(url: &str, member: &Account, begun: Instant) -> anyhow::Result<Duration> {
    let client = Client::new();
    eprintln!("waiting for the index…");
    loop {
        let request = client.get(format!("{url}/feed?ml=true")).header("cookie", format!("token={}", member.token));
        let page: Value = request.send().await?.error_for_status()?.json().await?;
        let scored = page.pointer("/recommendations/mlProcessed").and_then(Value::as_u64);
        if scored.is_some_and(|scored| scored > WITHOUT_INDEX) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} there is no index: {page}");
        tokio::time::sleep(OFTEN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_each_skill_once() {
        let mut random = SmallRng::seed_from_u64(1);
        for _ in 0..200 {
            let skills = skills(&mut random);
            let mut once = skills.clone();
            once.sort();
            once.dedup();
            assert!((1..=10).contains(&skills.len()) && once.len() == skills.len(), "{skills:?}");
        }
    }
}
