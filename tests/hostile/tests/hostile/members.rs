//! Members: one of them asks as much as there can be asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use e2e::{Member, Server, seed};
use hostile::good::beside;
use hostile::http2::Connection;
use hostile::length;
use tempfile::TempDir;

/// Requests at once on each of 40 connections.
const STREAMS: usize = 100;

/// Attack (49): one member asks for the heaviest pages on 40 connections, 100 at once on each. Outcome: it gets its share and
/// 429 beyond; the others are served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_at_full_tilt_stalls_nobody() {
    let data = TempDir::new().unwrap();
    let folder = data.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        seed::sow(&folder);
        Server::start(&folder)
    });
    let server = starting.await.unwrap();
    let ada = Member::sign_up(&server.url, "Ada").await;
    let greedy = Member::sign_up(&server.url, "Greedy").await;
    for number in 0..40 {
        Member::sign_up(&server.url, &format!("Other{number}")).await;
    }
    let rounds = std::sync::atomic::AtomicUsize::new(0);
    let attack = async || {
        let end = Instant::now() + length() / 3;
        let connections = (0..40).map(|number| {
            let (url, token) = (server.url.clone(), greedy.token.clone());
            tokio::spawn(async move {
                let path = ["/feed?ml=true", "/feed", "/user/connections"][number % 3];
                let mut connection = Connection::open(&url).await;
                let mut answered = 0;
                while Instant::now() < end && connection.ask(STREAMS, path, &token).await {
                    answered += connection.answers().await.answered;
                }
                answered
            })
        });
        for connection in connections.collect::<Vec<_>>() {
            rounds.fetch_add(connection.await.unwrap(), std::sync::atomic::Ordering::Relaxed);
        }
    };
    let beside = beside(&ada, length(), attack).await;
    let answered = rounds.load(std::sync::atomic::Ordering::Relaxed);
    eprintln!("one member had {answered} answers, refusals among them");
    assert!(answered > 0);
    beside.check("one member on 40 connections", 5, Duration::from_millis(100));
    // What was refused was the member's own share: alone again, it is served.
    greedy.read("/feed").await;
}
