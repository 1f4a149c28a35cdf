//! Two hundred deploys in a row under load on every kind of trigger: no request fails, no socket drops, no event is lost,
//! and what the versions had taken is given back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it saw"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::memory::resident;
use e2e::{ServerOptions, Site, Stack, Stamps, Value, json, network, on_both_stacks, stamp_of, stamped, until};
use tokio::task::JoinHandle;

on_both_stacks!(nothing_is_lost_in_two_hundred_deploys,);

/// Distinct binaries, one after the other.
const DEPLOYS: u64 = 200;
/// Deploys before memory is looked at for the first time: they bring in the code and the buffers of deploying itself, and the
/// allocator's arenas come to the shape that deploys under load give them. What grows after that would go on growing.
const FIRST: u64 = 50;
/// Clients with a kept connection each.
const CLIENTS: usize = 8;
/// Between two requests of one: a host that has no moment to itself would show queues, and not deploys.
const THINKING: Duration = Duration::from_millis(10);
/// So many of the pool's slots stay warm once they were used, and a new component takes cold ones first: with few, the
/// first deploys have used them all, and what grows after that is something else.
const POOL: &str = "[engine]\nwarm = 32\n";
/// How long the same load runs without deploys.
const QUIET: Duration = Duration::from_secs(10);

/// The number that a stamp has.
fn number(stamp: &str) -> u64 {
    let number = stamp.strip_prefix("STAMP-").and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{stamp:?} is no stamp"))
}

/// When a client asked, how long it took each time, and which versions it met.
type Met = (Vec<(Instant, Duration)>, BTreeSet<u64>);

/// Requests over kept connections, each followed by the next. What is not a 200 with a stamp ends the test.
struct Requests {
    ended: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Met>>,
}

impl Requests {
    fn begin(url: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (url, ended) = (format!("{url}/stamp"), ended.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let (mut times, mut met, mut last) = (Vec::new(), BTreeSet::new(), 0);
                while !ended.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let answer = client.get(&url).send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    let number = number(&answer.text().await.unwrap());
                    times.push((begun, begun.elapsed()));
                    assert!(number >= last, "{number} after {last}");
                    last = number;
                    met.insert(number);
                    tokio::time::sleep(THINKING).await;
                }
                (times, met)
            })
        };
        Self { clients: (0..CLIENTS).map(client).collect(), ended }
    }

    async fn end(self) -> Met {
        self.ended.store(true, Ordering::Relaxed);
        let (mut times, mut met) = (Vec::new(), BTreeSet::new());
        for client in self.clients {
            let (its, own) = client.await.unwrap();
            times.extend(its);
            met.extend(own);
        }
        (times, met)
    }
}

/// Events of sixteen keys, each published once.
struct Events {
    ended: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    publishing: JoinHandle<()>,
}

impl Events {
    fn begin(url: &str) -> Self {
        let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let publishing = tokio::spawn({
            let (url, ended, count) = (url.to_owned(), ended.clone(), count.clone());
            async move {
                let client = reqwest::Client::new();
                while !ended.load(Ordering::Relaxed) {
                    let url = format!("{url}/stamp/events/{}", count.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(client.post(url).send().await.unwrap().status(), 200);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        Self { ended, count, publishing }
    }

    /// Waits for their effects; answers how many there were.
    async fn end(self, url: &str) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.publishing.await.unwrap();
        let all = self.count.load(Ordering::Relaxed);
        let effects =
            async || reqwest::get(format!("{url}/stamp/effects")).await.unwrap().json::<Value>().await.unwrap();
        until("every event had its effect", Duration::from_secs(30), async || {
            effects().await["all"].as_u64() >= Some(all)
        })
        .await;
        assert_eq!(effects().await, json!({ "all": all, "once": all }));
        all
    }
}

/// The value below which this share of them is, in milliseconds.
fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times[at].as_secs_f64() * 1_000.0
}

async fn nothing_is_lost_in_two_hundred_deploys(stack: Stack) {
    const MEMBERS: usize = 20;
    let site = Site::new(stack);
    let members = network::members(&site.stack, "host", MEMBERS).await;
    let options = ServerOptions { config: Some(POOL), ..ServerOptions::default() };
    let server = site.start_with("host", options).await;
    let sockets = tokio::task::block_in_place(|| Stamps::begin(&server.url, &members));
    let (requests, events) = (Requests::begin(&server.url), Events::begin(&server.url));
    let client = reqwest::Client::new();
    let deploy = async |number: u64| {
        let wasm = stamped(number);
        let begun = Instant::now();
        let asked = client.post(format!("{}/v1/components", server.admin)).bearer_auth(site.token()).body(wasm);
        let answer = asked.send().await.unwrap();
        let taken = begun.elapsed();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{said}");
        assert_eq!(e2e::stamp(&server.url).await, stamp_of(number));
        taken
    };
    for number in 1..=FIRST {
        deploy(number).await;
    }
    let first = Instant::now();
    tokio::time::sleep(QUIET).await;
    let (quiet, before) = (Instant::now(), resident(server.id()));

    let mut deploys = Vec::new();
    for number in FIRST + 1..=FIRST + DEPLOYS {
        deploys.push(deploy(number).await);
        if number % 50 == 0 {
            println!("{number} deploys, resident {} KiB", resident(server.id()));
        }
    }
    let after = Instant::now();
    let drained = async || site.component(&server, "stamped")["draining"].as_array().unwrap().is_empty();
    until("all versions before have drained", Duration::from_secs(30), drained).await;
    tokio::time::sleep(QUIET / 2).await;
    let left = resident(server.id());

    let (times, met) = requests.end().await;
    let asked = tokio::task::block_in_place(|| sockets.end());
    let events = events.end(&server.url).await;
    assert!(met.iter().all(|number| *number <= FIRST + DEPLOYS), "{met:?}");
    assert_eq!((asked.failed, asked.dropped, asked.older, asked.open), (0, 0, 0, MEMBERS), "{asked:?}");

    let of = |wanted: &dyn Fn(Instant) -> bool| -> Vec<Duration> {
        times.iter().filter(|(at, _)| wanted(*at)).map(|(_, time)| *time).collect()
    };
    let (mut without, mut during) =
        (of(&|at| (first..quiet).contains(&at) || at > after), of(&|at| at >= quiet && at <= after));
    println!(
        "{} requests, {} answers to sockets, {events} events, {} versions met; none failed, dropped or lost",
        times.len(),
        asked.answers,
        met.len()
    );
    println!(
        "a deploy: p50 {:.0} ms, p99 {:.0} ms; a request without deploys: p50 {:.2}, p99 {:.2} ms; during: p50 {:.2}, p99 {:.2} ms",
        quantile(&mut deploys, 0.5),
        quantile(&mut deploys, 0.99),
        quantile(&mut without, 0.5),
        quantile(&mut without, 0.99),
        quantile(&mut during, 0.5),
        quantile(&mut during, 0.99),
    );
    println!("resident: {before} KiB before, {left} KiB once drained");
    assert!(left * 10 <= before * 11, "{before} KiB before, {left} KiB once drained");
}
