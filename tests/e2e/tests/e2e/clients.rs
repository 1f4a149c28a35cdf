//! Odd clients and odd components of others: what neither browsers nor our own toolchain send.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use e2e::{Expected, Member, ServerOptions, Stack, node, with_fixture};

/// Long before the time of a call is over.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_bytes_and_versions_they_speak_clients_are_served_or_told_why() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let ended = tokio::task::spawn_blocking(move || {
        node::test("odd.test.mjs", &[&server.url], &[]);
        server.interrupt()
    });
    assert!(ended.await.unwrap());
}

/// Attack (22, 23): components of the standard that leave their body unfinished, write one without end, or call WASI without end.
/// Outcome: each is known or ended at once, by its own limit, and the others are served.
#[tokio::test(flavor = "multi_thread")]
async fn components_of_the_standard_end_by_their_limits() {
    let (stack, components) = (Stack::embedded(), with_fixture("standard"));
    let outcomes = ["trap", "memory", "host-calls"].map(|outcome| Expected::Outcome("standard", outcome));
    let expects = outcomes.into_iter().chain([Expected::Warning("component=\"standard\"")]).collect();
    let components = Some(components.path().to_owned());
    let server = stack.start_with("host", ServerOptions { components, expects, ..ServerOptions::default() }).await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    for what in ["unfinished", "dropped", "silent", "endless", "hoard", "calls"] {
        let begun = Instant::now();
        let status = ada.get(&format!("/standard/{what}")).send().await.unwrap().status();
        assert_eq!(status.as_u16(), 500, "{what}");
        assert!(begun.elapsed() < AT_ONCE, "{what}: {:?}", begun.elapsed());
    }
    let answer = ada.get("/standard/well").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Hello nobody at /standard/well");
}
