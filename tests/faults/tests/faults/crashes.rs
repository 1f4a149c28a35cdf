//! Hosts that are killed at any moment, or die at a step of an event's way: nothing acknowledged is lost, every document has
//! its event, and every event its effect, once and in order.
//!
//! `DEVCONNECT_SEED` repeats a run's choices; each run prints its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "a test fails where it stands")]

use std::ops::Range;
use std::time::{Duration, Instant};

use faults::audit::{Audit, audit};
use faults::crash::{STEPS, Site};
use faults::network::{Fault, Network};
use faults::servers::Engine;
use faults::traffic::Traffic;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How often a host is killed.
const KILLS: usize = 20;
/// A host has reached the step at which it is to die within this time.
const REACHED: Duration = Duration::from_secs(60);

fn seeded() -> StdRng {
    let seed = std::env::var("DEVCONNECT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("DEVCONNECT_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Kills a host at a moment within `lives` after it started, again and again.
async fn kill(site: &mut Site, chance: &mut StdRng, lives: Range<u64>, mut between: impl AsyncFnMut(usize)) {
    for number in 0..KILLS {
        between(number).await;
        let spot = chance.random_range(0..site.hosts.len());
        // The moment is the matter of the test: not a condition that could be waited for.
        tokio::time::sleep(Duration::from_millis(chance.random_range(lives.clone()))).await;
        site.hosts[spot].kill().await;
        site.hosts[spot].start(None).await;
    }
}

/// Has a host die at each of these steps, after some events have passed it.
async fn abort(site: &mut Site, chance: &mut StdRng, steps: &[&str]) {
    for step in steps {
        let spot = chance.random_range(0..site.hosts.len());
        let times = chance.random_range(1..15);
        site.hosts[spot].kill().await;
        site.hosts[spot].start(Some((step, times))).await;
        assert!(site.hosts[spot].dies(REACHED).await, "it does not come to the step {step} {times} times");
        site.hosts[spot].start(None).await;
    }
}

async fn begin(site: &mut Site) -> Traffic {
    for spot in &mut site.hosts {
        spot.start(None).await;
    }
    Traffic::begin(&site.urls()).await
}

async fn end(mut site: Site, traffic: Traffic) -> Audit {
    let acknowledged = traffic.end().await;
    site.interrupt().await;
    let begun = Instant::now();
    let audit = audit(&site, &acknowledged).await;
    eprintln!("{}(settled and looked at in {:.1?})", audit.counts, begun.elapsed());
    audit
}

/// Those without another server for the log.
fn embedded_steps() -> Vec<&'static str> {
    STEPS.into_iter().filter(|step| !["relay", "relayed", "acknowledged"].contains(step)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_everything_embedded_dies_and_every_effect_is_there_once() {
    let (mut site, mut chance) = (Site::embedded(&[]), seeded());
    let traffic = begin(&mut site).await;
    kill(&mut site, &mut chance, 200..1_500, async |_| {}).await;
    abort(&mut site, &mut chance, &embedded_steps()).await;
    let audit = end(site, traffic).await;
    assert!(audit.wrong.is_empty(), "\n{}", audit.wrong.join("\n"));
}

/// Two hosts share the partitions; Kafka dies twice, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_on_real_servers_die_and_every_effect_is_there_once() {
    let Some(network) = Network::begin().await else { return };
    let (mut site, mut chance) = (Site::real(&network), seeded());
    let traffic = begin(&mut site).await;
    kill(&mut site, &mut chance, 500..7_000, async |number| {
        if number == KILLS / 3 || number == KILLS * 2 / 3 {
            network.treat(Engine::Kafka, Fault::Stopped).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            network.undo(Engine::Kafka, Fault::Stopped).await;
        }
    })
    .await;
    abort(&mut site, &mut chance, &STEPS).await;
    let audit = end(site, traffic).await;
    assert!(audit.wrong.is_empty(), "\n{}", audit.wrong.join("\n"));
}

/// What the audit is worth: without the marks that make effects happen once, it finds those that happened twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_marks_an_effect_is_there_twice() {
    let mut site = Site::embedded(&[("DEVCONNECT_TEST_NO_MARKS", "1")]);
    let mut chance = seeded();
    let traffic = begin(&mut site).await;
    abort(&mut site, &mut chance, &["effected", "offset", "effected"]).await;
    let audit = end(site, traffic).await;
    let twice = |what: &str| audit.wrong.iter().any(|why| why.contains(what));
    assert!(twice("of hours, and not") || twice("notifications"), "nothing is there twice: {:?}", audit.wrong);
}
