//! Draining: calls end on the version that began them, and what does not end is cut.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use e2e::{Expected, Server, Site, Stack, on_both_stacks, stamp, stamp_of, until};
use tokio::task::JoinHandle;

on_both_stacks!(a_call_ends_on_the_version_that_began_it,);

/// A call that works for so long, and is running when this answers: its status and its words.
async fn slow(server: &Server, millis: u64) -> JoinHandle<(u16, String)> {
    let (url, client) = (format!("{}/stamp/slow?ms={millis}", server.url), reqwest::Client::new());
    let calling = tokio::spawn(async move {
        let answer = client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    });
    // What the version before has to drain is this call, so it has to have begun.
    until("it runs", Duration::from_secs(10), async || {
        metrics(server).await.contains("devconnect_calls_running{component=\"stamped\"} 1")
    })
    .await;
    calling
}

async fn metrics(server: &Server) -> String {
    reqwest::get(format!("{}/metrics", server.admin)).await.unwrap().text().await.unwrap()
}

async fn a_call_ends_on_the_version_that_began_it(stack: Stack) {
    let site = Site::new(stack);
    let server = site.start("host").await;
    let calling = slow(&server, 12_000).await;
    site.deploy(&server, 1, &[]);
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    let component = site.component(&server, "stamped");
    assert_eq!(component["draining"][0]["running"], 1, "{component}");
    assert!(site.well(&server, &["components"]).contains("drains, 1 calls"));
    let said = site.deploy(&server, 2, &["--wait"]);
    assert!(said.contains("waiting for 1 calls of the version before"), "{said}");
    assert!(calling.is_finished());
    assert_eq!(calling.await.unwrap(), (200, stamp_of(0)));
    assert_eq!(site.component(&server, "stamped")["draining"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_and_counted() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    // The version is cut, and with it the call.
    server.expect(Expected::Warning("calls of a replaced version are cut"));
    server.expect(Expected::Warning("the version of the component was replaced, and its time to end was over"));
    server.expect(Expected::Outcome("stamped", "cut"));
    let calling = slow(&server, 55_000).await;
    site.deploy(&server, 1, &[]);
    let since = Instant::now();
    let (status, said) = calling.await.unwrap();
    let waited = since.elapsed();
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("An update ended this"), "{said}");
    assert!((29..35).contains(&waited.as_secs()), "after {waited:?}");
    let counted = metrics(&server).await;
    assert!(counted.contains("devconnect_calls_total{component=\"stamped\",outcome=\"cut\"} 1"), "{counted}");
    assert_eq!(stamp(&server.url).await, stamp_of(1));
}
