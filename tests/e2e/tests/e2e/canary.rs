//! Canaries: a version on a share of users, each of whom stays with what they have, and a rule that ends it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use e2e::network::{self, Account};
use e2e::{Expected, Server, Site, Stack, Stamps, Value, on_both_stacks, stamp, stamp_of, stamped, until};

on_both_stacks!(
    what_is_tried_out_is_promoted_or_gone_back_from,
    a_socket_meets_what_its_user_meets_and_an_event_what_its_key_does,
);

/// From this stamp on the fixture fails where it is checked.
const FAILING: u64 = 9_000_000_000;

/// What other hosts or a rule do takes at most so long.
const SOON: Duration = Duration::from_secs(20);

/// The users who meet the stamp; each asks ten times and always has to meet the same one. Every answer counts.
async fn who_meets(server: &Server, users: &Arc<Vec<Account>>, wanted: u64) -> BTreeSet<usize> {
    const CLIENTS: usize = 16;
    let asking: Vec<_> = (0..CLIENTS)
        .map(|first| {
            let (url, users) = (format!("{}/stamp/mine", server.url), users.clone());
            tokio::spawn(async move {
                let (client, mut met) = (reqwest::Client::new(), BTreeSet::new());
                for number in (first..users.len()).step_by(CLIENTS) {
                    let mut answers = BTreeSet::new();
                    for _ in 0..10 {
                        let answer = client.get(&url).bearer_auth(&users[number].token).send().await.unwrap();
                        assert_eq!(answer.status(), 200);
                        answers.insert(answer.text().await.unwrap());
                    }
                    assert_eq!(answers.len(), 1, "user {number} met {answers:?}");
                    if answers.contains(&stamp_of(wanted)) {
                        met.insert(number);
                    }
                }
                met
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for client in asking {
        all.extend(client.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_a_thousand_users_meets_it_and_more_of_them_when_it_is_raised() {
    let site = Site::new(Stack::embedded());
    let users = Arc::new(network::members(&site.stack, "host", 1_000).await);
    let server = site.start("host").await;
    assert_eq!(who_meets(&server, &users, 0).await.len(), 1_000, "everybody meets the one that serves");
    let mut before = BTreeSet::new();
    for (weight, bounds) in [(10, 70..=130), (30, 255..=345), (100, 1_000..=1_000)] {
        let said = site.deploy(&server, 1, &["--weight", &weight.to_string()]);
        assert!(said.contains(&format!("is tried out on {weight} %")), "{said}");
        let met = who_meets(&server, &users, 1).await;
        println!("{weight} %: {} of 1,000 users met the canary in 10,000 requests, each of them each time", met.len());
        assert!(bounds.contains(&met.len()), "{} at {weight} %", met.len());
        assert!(met.is_superset(&before), "nobody goes back");
        before = met;
    }
    // It is gone back from, and comes back to the same ones.
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(who_meets(&server, &users, 0).await.len(), 1_000);
    site.deploy(&server, 1, &["--weight", "10"]);
    let tenth = who_meets(&server, &users, 1).await;
    // Also after a restart.
    assert!(tokio::task::block_in_place(|| server.interrupt()));
    let server = site.start("host").await;
    assert_eq!(who_meets(&server, &users, 1).await, tenth);
    site.well(&server, &["promote", "stamped"]);
    assert_eq!(who_meets(&server, &users, 1).await.len(), 1_000);
}

async fn what_is_tried_out_is_promoted_or_gone_back_from(stack: Stack) {
    let site = Site::new(stack);
    let server = site.start("host").await;
    let said = site.deploy(&server, 1, &["--weight", "100"]);
    assert!(said.contains("is tried out on 100 %, 0 of 0 calls failed"), "{said}");
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    let component = site.component(&server, "stamped");
    assert_eq!((component["canary"]["weight"].as_u64(), component["canary"]["calls"].as_u64()), (Some(100), Some(1)));
    // Another one takes its place, and a lower weight is fewer.
    site.deploy(&server, 2, &["--weight", "100"]);
    assert_eq!(stamp(&server.url).await, stamp_of(2));
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(0));
    let (said, well) = site.operate(&server, &["promote", "stamped"]);
    assert!(!well && said.contains("stamped has no canary to promote"), "{said}");
    site.deploy(&server, 2, &["--weight", "100"]);
    assert!(site.well(&server, &["promote", "stamped"]).contains("serves, 1.0.0"));
    assert_eq!(site.component(&server, "stamped")["canary"], Value::Null);
    // A whole deploy ends a trial.
    site.deploy(&server, 3, &["--weight", "100"]);
    site.deploy(&server, 4, &[]);
    assert_eq!(stamp(&server.url).await, stamp_of(4));
    assert_eq!(site.component(&server, "stamped")["canary"], Value::Null);

    let log = site.well(&server, &["deploys"]);
    let done: Vec<&str> = log.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(done, ["deploy", "canary", "promote", "canary", "rollback", "canary", "canary"], "{log}");

    for (how, why) in [
        (["--weight", "0"], "weight takes 1 to 100"),
        (["--weight", "101"], "weight takes 1 to 100"),
        (["--max-errors", "1"], "--weight"),
    ] {
        let file = site.file("stamped.wasm", &stamped(5));
        let (said, well) = site.operate(&server, &[&["deploy", file.to_str().unwrap()], &how[..]].concat());
        assert!(!well && said.contains(why), "{how:?}: {said}");
    }
    assert_eq!(stamp(&server.url).await, stamp_of(4));
}

async fn a_socket_meets_what_its_user_meets_and_an_event_what_its_key_does(stack: Stack) {
    const MEMBERS: usize = 40;
    const KEYS: usize = 16;
    let site = Site::new(stack);
    let users = Arc::new(network::members(&site.stack, "host", MEMBERS).await);
    let server = site.start("host").await;
    let client = reqwest::Client::new();
    let mut before = BTreeSet::new();
    for (round, weight) in [25, 75].into_iter().enumerate() {
        site.deploy(&server, 1, &["--weight", &weight.to_string()]);
        let by_user = who_meets(&server, &users, 1).await;
        assert!((1..MEMBERS).contains(&by_user.len()), "{by_user:?} at {weight} %");
        let asked = tokio::task::block_in_place(|| Stamps::begin(&server.url, &users).end());
        assert_eq!((asked.failed, asked.dropped, asked.older), (0, 0, 0), "{asked:?}");
        let by_socket: BTreeSet<usize> = (0..MEMBERS).filter(|user| asked.last[*user] == stamp_of(1)).collect();
        assert_eq!(by_socket, by_user, "a user is the same one on a socket");

        // The fixture takes the rest of an event's number as its key.
        let events = (round * 4 * KEYS..).take(4 * KEYS);
        for number in events.clone() {
            let url = format!("{}/stamp/events/{number}", server.url);
            assert_eq!(client.post(url).send().await.unwrap().status(), 200);
        }
        let mut by_key = vec![BTreeSet::new(); KEYS];
        for number in events {
            let url = format!("{}/stamp/effects/{number}", server.url);
            let effect = async || client.get(&url).send().await.unwrap().text().await.unwrap();
            until("it had its effect", SOON, async || effect().await != "none").await;
            by_key[number % KEYS].insert(effect().await);
        }
        assert!(by_key.iter().all(|met| met.len() == 1), "each key has one version: {by_key:?}");
        let on_canary: BTreeSet<usize> = (0..KEYS).filter(|key| by_key[*key].contains(&stamp_of(1))).collect();
        println!("{weight} %: {} of {MEMBERS} users, {} of {KEYS} keys", by_user.len(), on_canary.len());
        assert!((1..KEYS).contains(&on_canary.len()), "{on_canary:?} at {weight} %");
        assert!(on_canary.is_superset(&before), "no key goes back");
        before = on_canary;
    }
}

/// Traffic for the version that is tried out, on all hosts, until it is over.
async fn traffic(hosts: &[&Server], mut over: impl AsyncFnMut() -> bool) {
    let client = reqwest::Client::new();
    until("the trial is over", SOON, async || {
        for host in hosts {
            for _ in 0..10 {
                client.get(format!("{}/stamp/checked", host.url)).send().await.unwrap();
            }
        }
        over().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_decides_once_for_three_hosts() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    let site = Site::new(stack);
    let (one, two, three) = tokio::join!(site.start("host"), site.start("two"), site.start("three"));
    let hosts = [&one, &two, &three];
    for host in hosts {
        // What is tried out fails where it is checked, until the host that comes first says what follows from that.
        host.expect(Expected::Outcome("stamped", "unable"));
        host.expect(Expected::Warning("a canary's rule has decided"));
    }
    let over = async || site.component(&one, "stamped")["canary"].is_null();

    site.deploy(&one, FAILING, &["--weight", "100", "--max-errors", "5", "--min-calls", "100"]);
    traffic(&hosts, over).await;
    for host in hosts {
        until("every host is back", SOON, async || stamp(&host.url).await == stamp_of(0)).await;
    }
    let log = site.well(&one, &["deploys"]);
    let back: Vec<&str> = log.lines().filter(|line| line.contains("rollback")).collect();
    assert!(back.len() == 1 && back[0].contains("calls failed in") && back[0].contains("at most 5 % may"), "{log}");

    site.deploy(&one, 1, &["--weight", "100", "--min-calls", "50", "--promote-after", "2"]);
    traffic(&hosts, over).await;
    for host in hosts {
        until("every host has it", SOON, async || stamp(&host.url).await == stamp_of(1)).await;
    }
    let log = site.well(&one, &["deploys"]);
    assert_eq!(log.lines().filter(|line| line.contains("promote")).count(), 1, "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("rollback")).count(), 1, "{log}");
}
