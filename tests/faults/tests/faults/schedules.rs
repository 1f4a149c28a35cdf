//! Two hosts that have the same schedules die at any moment, and at each step of a tick: every part of a tick is done once in
//! both together, and of the ticks that nobody was there for one is made up for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::time::Duration;

use capability::documents::{Documents, Filter, Query};
use devconnect::{Host, HostOptions};
use e2e::until;
use faults::crash::Site;
use faults::network::Network;

/// How often a host is killed at any moment.
const KILLS: u64 = 6;
/// A tick comes within this time: also when whoever had the schedule has died with it.
const COMES: Duration = Duration::from_secs(60);
/// For how long nobody is there, in milliseconds.
const AWAY: u64 = 9_000;

/// The parts that were done, by their tick in milliseconds.
async fn parts(documents: &dyn Documents) -> BTreeMap<i64, Vec<i64>> {
    let found =
        documents.find(Query::all("useractivity", Filter::from_document(&bson::doc! {}).unwrap())).await.unwrap();
    assert!(found.len() < 1_000, "more than one look shows");
    let mut parts = BTreeMap::<i64, Vec<i64>>::new();
    for trace in found {
        let tick = trace.get_datetime("tick").unwrap().timestamp_millis();
        parts.entry(tick).or_default().push(trace.get_i64("part").unwrap());
    }
    // Their ids tell the second at most.
    parts.values_mut().for_each(|parts| parts.sort_unstable());
    parts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_part_of_a_tick_is_done_once_whoever_dies() {
    let Some(network) = Network::begin().await else { return };
    let components = e2e::with_fixture("ticking");
    let mut site = Site::of(&network, components.path());
    let options = HostOptions::new(site.config.clone(), components.path().to_owned(), Some(site.data.clone()));
    let looking = Host::open(options).unwrap();
    looking.prepare(false).await.unwrap();
    let documents = looking.documents.clone();
    let ticked = async |more: usize| {
        let before = parts(documents.as_ref()).await.len();
        until("more ticks", COMES, async || parts(documents.as_ref()).await.len() >= before + more).await;
    };
    for spot in &mut site.hosts {
        spot.start(None).await;
    }
    ticked(2).await;
    for (step, spot) in [("tick", 0), ("ticked", 1)] {
        site.hosts[spot].kill().await;
        site.hosts[spot].start(Some((step, 2))).await;
        // Only who has the schedule comes to it.
        site.hosts[1 - spot].kill().await;
        assert!(site.hosts[spot].dies(COMES).await, "it does not come to the step {step}");
        site.hosts[1 - spot].start(None).await;
        ticked(2).await;
        site.hosts[spot].start(None).await;
    }
    for kill in 0..KILLS {
        let spot = usize::try_from(kill % 2).unwrap();
        // The moment is the matter of the test: not a condition that could be waited for.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..3_000))).await;
        site.hosts[spot].kill().await;
        site.hosts[spot].start(None).await;
    }
    ticked(2).await;
    site.interrupt().await;
    let before = parts(documents.as_ref()).await;
    tokio::time::sleep(Duration::from_millis(AWAY)).await;
    site.hosts[0].start(None).await;
    ticked(2).await;
    site.interrupt().await;

    let all = parts(documents.as_ref()).await;
    let mails = site.mails(documents.as_ref()).await;
    eprintln!("{} ticks, {} mails", all.len(), mails.len());
    // The last one may have been given back before its end.
    for (tick, parts) in all.iter().take(all.len() - 1) {
        assert_eq!(parts, &[0, 1, 2], "the parts of the tick {tick}");
    }
    let last = *before.last_key_value().unwrap().0;
    let mut after = all.range(last + 1..).map(|(tick, _)| *tick);
    let (first, missed) = (after.next().unwrap(), i64::try_from(AWAY).unwrap() - 4_000);
    assert!(first - last >= missed, "of those missed only the last is made up for: {last}, then {first}");
    looking.close().await;
    assert_eq!(mails.len(), all.len(), "each tick sends one mail");
}
