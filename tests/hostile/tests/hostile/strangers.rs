//! Strangers: connections and handshakes of nobody, as many as there can be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use e2e::{Member, Server, ServerOptions, memory, seed, until};
use hostile::good::{beside, during};
use hostile::http2::Connection;
use hostile::{length, raw};
use tempfile::TempDir;

/// What an attack may add to a host's resident memory, in KiB.
const MEMORY: u64 = 128 << 10;

async fn start(data: &TempDir, config: &'static str) -> Server {
    let folder = data.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        seed::sow(&folder);
        Server::start_with(&folder, ServerOptions { config: Some(config), ..ServerOptions::default() })
    });
    starting.await.unwrap()
}

/// A number of the metrics, by its name with its labels.
async fn metric(server: &Server, name: &str) -> f64 {
    let text = reqwest::get(format!("{}/metrics", server.admin)).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("{name} is in {text}"))
}

/// Nobody new is kept out, on either side.
async fn lets_others_in(server: &Server, name: &str) {
    let begun = Instant::now();
    let nobody = Member::nobody(&server.url);
    assert_eq!(nobody.get("/healthz").send().await.unwrap().text().await.unwrap(), "ok");
    Member::sign_up(&server.url, name).await;
    metric(server, "devconnect_connections{listener=\"public\"}").await;
    eprintln!("with all of them open: health, a sign-up and the metrics took {:?}", begun.elapsed());
}

/// Attack (44): more connections than the host has places for, which send nothing. Outcome: everybody is served and let in, on
/// both sides; each of them is closed within seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_lock_nobody_out() {
    let most = usize::try_from(raw::allow_connections()).unwrap().saturating_sub(1_000);
    let data = TempDir::new().unwrap();
    let server = start(&data, "[listener]\nfirst-request-seconds = 5\n").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let before = memory::resident(server.id());
    // More than the host has places for, as far as the system has.
    let count = most.min(16_500);
    let attack = async || {
        let begun = Instant::now();
        let held = raw::silent(&server.url, count).await;
        tokio::time::sleep(length().saturating_sub(begun.elapsed())).await;
        drop(held);
    };
    let beside = beside(&ada, length(), attack).await;
    beside.check("16,000 silent connections", 5, Duration::from_millis(100));

    let mut held = raw::silent(&server.url, count).await;
    lets_others_in(&server, "Bea").await;
    let resident = memory::resident(server.id());
    assert!(resident < before + MEMORY, "{before} KiB before, {resident} KiB with {count} connections");
    // Each is closed by itself, though it is its client's only wish to stay.
    for stream in &mut held {
        assert!(raw::rest(stream).await.is_empty());
    }
    let silent = metric(&server, "devconnect_refused_total{what=\"connection\",why=\"silent\"}").await;
    let idle = metric(&server, "devconnect_refused_total{what=\"connection\",why=\"idle\"}").await;
    assert!(silent > 0.0 && (count < 16_000 || idle > 0.0), "{silent} silent, {idle} idle");
}

/// Attack (44): so many connections that send half a header, opened and closed at once. Outcome: the others are served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_header_costs_as_little_as_none() {
    let most = usize::try_from(raw::allow_connections()).unwrap().saturating_sub(1_000);
    let data = TempDir::new().unwrap();
    let server = start(&data, "").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let attack = async || {
        let begun = Instant::now();
        let mut held = raw::silent(&server.url, most.min(16_500)).await;
        for stream in &mut held {
            // The host may have closed it already.
            raw::send(stream, b"GET / HTTP/1.1\r\nhost: a\r\n").await;
        }
        tokio::time::sleep((length() / 3).saturating_sub(begun.elapsed())).await;
        drop(held);
    };
    let beside = beside(&ada, length(), attack).await;
    beside.check("16,000 halves of a header", 5, Duration::from_millis(100));
    lets_others_in(&server, "Bea").await;
    until("nothing is left of them", Duration::from_secs(20), async || {
        metric(&server, "devconnect_connections{listener=\"public\"}").await < 100.0
    })
    .await;
}

/// Attack (44): half a first request, half a second one, half a preface of HTTP/2, a greeting of TLS, on both sides. Outcome: each
/// is closed in its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_never_ends_is_not_waited_for() {
    let data = TempDir::new().unwrap();
    let server = start(&data, "[listener]\nfirst-request-seconds = 2\nheader-seconds = 2\n").await;
    let beginnings: [&[u8]; 7] = [
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET /healthz HTTP/1.1\r\nhost",
    ];
    for url in [&server.url, &server.admin] {
        let mut open = Vec::new();
        for bytes in beginnings {
            let mut stream = raw::connect(url).await;
            raw::send(&mut stream, bytes).await;
            open.push(tokio::spawn(async move {
                let begun = Instant::now();
                raw::rest(&mut stream).await;
                begun.elapsed()
            }));
        }
        // The admin side has the times of the default.
        let bound = Duration::from_secs(if *url == server.url { 8 } else { 25 });
        for (bytes, closed) in beginnings.iter().zip(open) {
            let took = closed.await.unwrap();
            assert!(took < bound, "{:?} was closed after {took:?}", String::from_utf8_lossy(bytes));
        }
    }
}

/// Attack (45): 400,000 Socket.IO sessions without a member, over four connections. Outcome: strangers share a bounded number,
/// the next is told when to come back, a member with a session is let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_nobody_connects_cost_little_and_keep_no_member_out() {
    const TOGETHER: usize = 100;
    let data = TempDir::new().unwrap();
    let server = start(&data, "").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let before = memory::resident(server.id());
    let (url, count) = (server.url.clone(), if length() > Duration::from_secs(30) { 400_000 } else { 40_000 });
    let attack = async || {
        let one = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: a\r\n\r\n".repeat(TOGETHER);
        let tasks = (0..4).map(|_| {
            let (url, one) = (url.clone(), one.clone());
            tokio::spawn(async move {
                let mut stream = raw::connect(&url).await;
                for _ in 0..count / 4 / TOGETHER {
                    let (mut read, mut write) = stream.split();
                    let sending = tokio::io::AsyncWriteExt::write_all(&mut write, &one);
                    let receiving = async {
                        let (mut text, mut answers) = ([0; 64 << 10], 0);
                        while answers < TOGETHER {
                            let bytes = tokio::io::AsyncReadExt::read(&mut read, &mut text).await.unwrap();
                            assert!(bytes > 0, "the host has closed the connection");
                            answers += text[..bytes].windows(9).filter(|part| part == b"HTTP/1.1 ").count();
                        }
                    };
                    let (sent, ()) = tokio::join!(sending, receiving);
                    sent.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    let beside = beside(&ada, length(), attack).await;
    beside.check("handshakes of nobody", 5, Duration::from_millis(100));
    let after = memory::resident(server.id());
    assert!(after < before + MEMORY, "{before} KiB before, {after} KiB after {count} handshakes");
    assert!(metric(&server, "devconnect_refused_total{what=\"handshake\",why=\"full\"}").await > 0.0);
    // Their places are taken for some seconds, and a member's own is not among them.
    let handshake = "/socket.io/?EIO=4&transport=polling";
    let stranger = Member::nobody(&server.url).get(handshake).send().await.unwrap();
    assert_eq!(stranger.status(), 503);
    assert_eq!(stranger.headers()["retry-after"], "1");
    assert_eq!(ada.get(handshake).send().await.unwrap().status(), 200);
    until("a stranger may open a session again", Duration::from_secs(30), async || {
        Member::nobody(&server.url).get(handshake).send().await.unwrap().status() == 200
    })
    .await;
}

/// Attack (44): HTTP/2 requests that are taken back at once, and pings, as fast as they go. Outcome: the others are served, memory
/// stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_for_their_own_sake_slow_nobody_down() {
    let data = TempDir::new().unwrap();
    let server = start(&data, "").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let before = memory::resident(server.id());
    let until = |length| Instant::now() + length;
    let resets = async {
        let end = until(length() / 2);
        while Instant::now() < end {
            let mut connection = Connection::open(&server.url).await;
            while Instant::now() < end && connection.ask_and_reset(100, "/healthz", "").await {}
        }
    };
    let pings = async {
        let end = until(length() / 2);
        let mut connection = Connection::open(&server.url).await;
        while Instant::now() < end && connection.ping(100).await {}
    };
    let times = during(&ada, async { _ = tokio::join!(resets, pings) }).await;
    assert!(!times.is_empty());
    let resident = memory::resident(server.id());
    assert!(resident < before + MEMORY, "{before} KiB before, {resident} KiB after");
}
