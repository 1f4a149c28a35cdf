//! What operators see of a host: how each store is, as a probe and as a metric.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use e2e::{ServerOptions, Stack, Value};

/// A port that nobody listens on: it was free a moment ago.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("redis://{}", listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_seen_though_nobody_calls() {
    let environment = vec![("REDIS_URL", nobody())];
    let stack = Stack::embedded();
    let server = stack.start_with("host", ServerOptions { environment, ..ServerOptions::default() }).await;
    let line = |capability: &str, engine: &str, state: &str| {
        format!("devconnect_store_state{{capability=\"{capability}\",engine=\"{engine}\",state=\"{state}\"}} 1\n")
    };
    let gone = line("cache", "Redis", "down");
    let metrics = loop {
        let answer = reqwest::get(format!("{}/metrics", server.admin)).await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let text = answer.text().await.unwrap();
        if text.contains(&gone) {
            break text;
        }
        tokio::task::yield_now().await;
    };
    assert!(metrics.contains(&line("documents", "embedded (SQLite)", "up")), "{metrics}");
    let ready: Value = reqwest::get(format!("{}/readyz", server.url)).await.unwrap().json().await.unwrap();
    assert_eq!((&ready["status"], &ready["stores"]["cache"]["state"]), (&"degraded".into(), &"down".into()));
    let member = reqwest::get(format!("{}/metrics", server.url)).await.unwrap();
    assert_eq!(member.status(), reqwest::StatusCode::NOT_FOUND, "it is not shown to the world");
}
