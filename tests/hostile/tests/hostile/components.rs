//! Three bad components among good requests: everyone good is answered, soon, and every end is counted.

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
use std::time::Duration;

use e2e::{Expected, Member, Server, ServerOptions, memory, seed, with_fixture};
use hostile::good::{during, median, p99};
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

/// Attack (49, 57): loops, memory bombs and traps of a component, 50 at once. Outcome: each ends by its own limit and is counted;
/// the others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_components_harm_nobody_else() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("misbehaving"));
    // Three thousand incidents in the log would bury the test's own words.
    let environment = vec![("DEVCONNECT_LOG", "off".to_owned())];
    // A loop ends by its own time or, where the machine is busy, by the clock's.
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

    let mut statuses: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    let (mut quiet, mut storm) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet.push(p99(during(&ada, tokio::time::sleep(QUIET)).await));
        storm.push(p99(during(&ada, storm_of(&ada, 3 * CALLS / ROUNDS, &mut statuses)).await));
    }
    let resident = memory::peak(server.id());
    println!("good requests' p99 by round: quiet {quiet:.1?}, in the storm {storm:.1?}");
    let (quiet, storm) = (median(quiet), median(storm));
    let times = storm.as_secs_f64() / quiet.as_secs_f64();
    println!("the median p99: {quiet:.1?} quiet, {storm:.1?} in the storm ({times:.1} times); {resident} KiB resident");
    let expected = BTreeMap::from([(("bomb", 500), CALLS), (("loop", 504), CALLS), (("trap", 500), CALLS)]);
    assert_eq!(statuses, expected);
    assert!(resident < 1 << 20, "{resident} KiB: the bombs' memory is bounded");
    if std::env::var_os("DEVCONNECT_MEASURE").is_some() {
        assert!(storm <= 3 * quiet, "{storm:?} in the storm against {quiet:?}");
    }
}
