//! Bad components among good requests: everyone good is answered, soon, every end is counted, and nothing of what they write
//! reaches who should not get it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Expected, Member, Server, ServerOptions, memory, seed, until, with_fixture};
use hostile::good::{Beside, Latency, during};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Calls of each kind, over all rounds.
const CALLS: usize = 1_000;
/// Quiet and storm take turns: other tenants of a machine come and go, and would be taken for one or the other.
const ROUNDS: usize = 5;
/// How long each quiet takes.
const QUIET: Duration = Duration::from_secs(2);
/// Bad calls at once.
const IN_FLIGHT: usize = 50;

/// So many bad calls, of each kind the same number; their statuses are counted.
async fn storm_of(member: &Member, calls: usize, statuses: &mut BTreeMap<(&'static str, u16), usize>) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut under_way = Vec::new();
    for n in 0..calls {
        let way = ["loop", "bomb", "trap"][n % 3];
        let (place, member) = (places.clone().acquire_owned().await.unwrap(), member.clone());
        under_way.push(tokio::spawn(async move {
            let status = member.get(&format!("/misbehaving/{way}")).send().await.unwrap().status();
            drop(place);
            (way, status.as_u16())
        }));
    }
    for call in under_way {
        *statuses.entry(call.await.unwrap()).or_default() += 1;
    }
}

/// Attack (49, 57): loops, memory bombs and traps of a component, 50 at once of one member. Outcome: each ends by its own limit and is counted;
/// the others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_components_harm_nobody_else() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("misbehaving"));
    // Three thousand incidents in the log would bury the test's own words.
    let environment = vec![("DEVCONNECT_LOG", "off".to_owned())];
    // Where the machine is busy a loop may end by the clock's time, and a bomb by time before it has the memory.
    let expects =
        ["cpu", "out-of-time", "memory", "trap"].map(|outcome| Expected::Outcome("misbehaving", outcome)).into();
    let components = Some(components.path().to_owned());
    let options = ServerOptions { components, environment, expects, ..ServerOptions::default() };
    let folder = data.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        seed::sow(&folder);
        Server::start_with(&folder, options)
    });
    let server = starting.await.unwrap();
    let ada = Member::sign_up(&server.url, "Ada").await;
    let mallory = Member::sign_up(&server.url, "Mallory").await;

    let mut statuses: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    let (mut quiet, mut storm) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet.push(Latency::of(during(&ada, tokio::time::sleep(QUIET)).await));
        storm.push(Latency::of(during(&ada, storm_of(&mallory, 3 * CALLS / ROUNDS, &mut statuses)).await));
    }
    let resident = memory::peak(server.id());
    println!("good requests by round: quiet {quiet:.1?}, in the storm {storm:.1?}; {resident} KiB resident");
    let Beside { quiet, attacked: storm } = Beside::of_rounds(&quiet, &storm);
    let times = storm.p99.as_secs_f64() / quiet.p99.as_secs_f64();
    println!("good requests: {quiet} quiet; {storm} in the storm; {times:.1} times the p99");
    let ended_by_time = statuses.remove(&("bomb", 504)).unwrap_or_default();
    *statuses.entry(("bomb", 500)).or_default() += ended_by_time;
    let expected = BTreeMap::from([(("bomb", 500), CALLS), (("loop", 504), CALLS), (("trap", 500), CALLS)]);
    assert_eq!(statuses, expected);
    assert!(ended_by_time <= CALLS / 100, "{ended_by_time} bombs ended by time: it is memory that ends them");
    assert!(resident < 1 << 20, "{resident} KiB: the bombs' memory is bounded");
    if std::env::var_os("DEVCONNECT_MEASURE").is_some() {
        assert!(storm.p99 <= 3 * quiet.p99, "{storm} in the storm against {quiet}");
    }
}

/// A host with the fixture, whose warnings are about it alone.
async fn host(data: &TempDir, components: &TempDir) -> Server {
    // What is no response of HTTP is the component's failure, as a trap is.
    let outcomes = ["trap", "unable"].map(|outcome| Expected::Outcome("misbehaving", outcome));
    let expects = [Expected::Warning("component=\"misbehaving\"")].into_iter().chain(outcomes).collect();
    let options = ServerOptions { components: Some(components.path().to_owned()), expects, ..ServerOptions::default() };
    let folder = data.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        seed::sow(&folder);
        Server::start_with(&folder, options)
    });
    starting.await.unwrap()
}

/// Attack (58): 1,500 long lines of the log from one component, with forged lines in them. Outcome: each is cut and stays one line,
/// those over the component's budget are dropped and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_lines_is_dropped_and_counted() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("misbehaving"));
    let (begun, server) = (Instant::now(), host(&data, &components).await);
    let ada = Member::sign_up(&server.url, "Ada").await;
    // Twenty megabytes of lines, were they whole.
    for _ in 0..15 {
        assert_eq!(ada.get("/misbehaving/flood").send().await.unwrap().status().as_u16(), 200);
    }
    let reported = |server: &Server| server.warnings().iter().any(|line| line.contains("are dropped"));
    until("the log says how many lines were dropped", Duration::from_secs(20), async || reported(&server)).await;
    assert_eq!(ada.get("/profile/view").send().await.unwrap().status().as_u16(), 200);
    let lines = server.warnings();
    let floods: Vec<usize> = lines.iter().filter(|line| line.contains("a flood")).map(String::len).collect();
    let most = (256 << 10) + (64 << 10) * (begun.elapsed().as_secs() as usize + 1);
    assert!(!floods.is_empty() && floods.iter().sum::<usize>() < 2 * most, "{} lines", floods.len());
    assert!(floods.iter().all(|length| *length < 8 << 10));
    assert!(lines.iter().all(|line| !line.starts_with("2026-01-01T00:00:00.000000Z")), "a component forges a line");
}

/// Attack (58, 59): a component's headers that are too many, too long or no headers, a cookie in the session's place, a page with a
/// script. Outcome: such a response is a short incident, the cookie is left out, the page is sandboxed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_ends_the_host_fills_its_log_or_takes_a_session() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("misbehaving"));
    let server = host(&data, &components).await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    for what in ["many", "long", "long-name", "odd-name", "odd-value", "cookies"] {
        let answer = ada.get(&format!("/misbehaving/headers/{what}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 500, "{what}");
    }
    assert!(server.warnings().iter().all(|line| line.len() < 8 << 10 && !line.contains("panicked")));
    let answer = ada.get("/misbehaving/cookies").send().await.unwrap();
    let cookies: Vec<_> =
        answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies, ["theme=dark"]);
    let page = ada.get("/misbehaving/page/html").send().await.unwrap();
    assert_eq!(page.headers().get("content-security-policy").unwrap(), "sandbox");
    assert_eq!(ada.get("/profile/view").send().await.unwrap().status().as_u16(), 200);
}
