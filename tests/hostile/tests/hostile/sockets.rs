//! A client's socket as a weapon: frames that are none, packets that never end, floods, and payloads that are not what they
//! should be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::time::Duration;

use e2e::{Member, ServerOptions, Value, json, memory};
use hostile::good::during;
use hostile::http2::Connection;
use hostile::raw;
use hostile::shared::Shared;
use hostile::websocket::{BINARY, FINAL, HANDSHAKE, PATH, PING, Socket, TEXT, frame, header};
use tokio::time::Instant;

static HOST: Shared = Shared::new(ServerOptions::default);

/// What an attack may add to a host's resident memory, in KiB.
const MEMORY: u64 = 128 << 10;

/// The member's other socket is served, and so is a new one.
async fn others_are_served(member: &Member, url: &str, other: &mut Socket, what: &str) {
    let own = json!({ "userId": member.id }).to_string();
    let ack = other.ask("presence:query", &own).await.unwrap_or_else(|| panic!("{what}: another socket is closed"));
    assert_eq!(ack["ok"], true, "{what}: {ack}");
    let ack = Socket::of(member, url).await.ask("presence:query", &own).await.expect("a new socket is open");
    assert_eq!(ack["ok"], true, "{what}: {ack}");
}

/// Attack (API4): frames that are none: without a mask, with reserved bits and kinds, endless, beyond every limit, in
/// pieces of the wrong order; packets that are none. Outcome: that socket is closed; the member's others are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_none_closes_its_own_socket() {
    let host = HOST.get().await;
    let (ada, url) = (host.member("Ada").await, host.server.url.clone());
    let mut other = Socket::of(&ada, &url).await;
    let piece = |kind: u8, bytes: usize| frame(kind, &vec![b'x'; bytes]);
    let beginning = |length: u64| [header(FINAL | TEXT, length, true), vec![0; 4]].concat();
    let unmasked = [header(FINAL | TEXT, 2, false), b"42".to_vec()].concat();
    let fragments = [piece(TEXT, 50_000), piece(0, 50_000), piece(0, 50_000)].concat();
    let close = [FINAL | 8];
    let cases = [
        ("no mask", unmasked),
        ("a frame of exabytes", beginning(1 << 62)),
        ("a length with its highest bit", beginning(u64::MAX)),
        ("a frame of a megabyte", beginning(1 << 20)),
        ("a message of many fragments", fragments),
        ("a continuation of nothing", frame(FINAL, b"x")),
        ("a message within a message", [frame(TEXT, b"4"), frame(FINAL | TEXT, b"4")].concat()),
        ("a reserved bit", frame(FINAL | 0x40 | TEXT, b"42[\"typing\"]")),
        ("all reserved bits", frame(FINAL | 0x70 | TEXT, b"42[\"typing\"]")),
        ("a reserved kind", frame(FINAL | 3, b"x")),
        ("a reserved kind of control", frame(FINAL | 11, b"x")),
        ("a long ping", frame(FINAL | PING, &[0; 126])),
        ("a ping in fragments", frame(PING, b"x")),
        ("text that is none", frame(FINAL | TEXT, b"4\xff\xfe\xc0\x80")),
        ("a surrogate in text", frame(FINAL | TEXT, b"42[\"\xed\xa0\x80\"]")),
        ("a closing code that is none", [&close[..], &frame(0, &[0, 1])[1..]].concat()),
        ("an empty text", frame(FINAL | TEXT, b"")),
        ("a packet of no kind", frame(FINAL | TEXT, b"9")),
        ("a packet that only a host sends", frame(FINAL | TEXT, b"0{\"sid\":\"x\"}")),
        ("an upgrade of an upgraded one", frame(FINAL | TEXT, b"5")),
        ("a message of no kind", frame(FINAL | TEXT, b"4")),
        ("a message of another kind", frame(FINAL | TEXT, b"49")),
        ("an event without a name", frame(FINAL | TEXT, b"42[]")),
        ("an event that is no list", frame(FINAL | TEXT, b"42{\"typing\":1}")),
        ("an event whose name is no text", frame(FINAL | TEXT, b"42[{\"$ne\":null},{}]")),
        ("a binary event without a count", frame(FINAL | TEXT, b"45[\"typing\"]")),
        (
            "a binary event with a huge count",
            frame(FINAL | TEXT, b"4599999999999999999999-[\"typing\",{\"_placeholder\":true,\"num\":0}]"),
        ),
        ("a binary event with many", frame(FINAL | TEXT, b"459999-[\"typing\",{\"_placeholder\":true,\"num\":0}]")),
        ("bytes that nothing announced", frame(FINAL | BINARY, b"x")),
    ];
    for (what, bytes) in cases {
        let mut socket = Socket::of(&ada, &url).await;
        assert!(socket.send(&bytes).await, "{what}");
        let closed = tokio::time::timeout(Duration::from_secs(10), socket.until_closed()).await;
        assert!(closed.is_ok(), "{what}: the socket is open");
    }
    others_are_served(&ada, &url, &mut other, "frames").await;
}

/// Attack (API4): binary messages whose attachments never come, come late, or are larger together than a message may be.
/// Outcome: the socket is closed at the bound of a message; nothing is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_are_bounded_with_their_message() {
    const ANNOUNCED: &str = "453-[\"private-message\",{\"_placeholder\":true,\"num\":0}]";
    let host = HOST.get().await;
    let (ada, url) = (host.member("Ada").await, host.server.url.clone());
    let mut other = Socket::of(&ada, &url).await;
    let attachment = frame(FINAL | BINARY, &[7; 60_000]);
    // Two are more than one message may have; a text comes where an attachment was announced; a second announcement.
    for (what, behind) in [
        ("larger together", [attachment.clone(), attachment.clone()].concat()),
        ("a text between", frame(FINAL | TEXT, b"42[\"typing\",{}]")),
        ("announced twice", frame(FINAL | TEXT, ANNOUNCED.as_bytes())),
    ] {
        let mut socket = Socket::of(&ada, &url).await;
        assert!(socket.text(ANNOUNCED).await && socket.send(&behind).await, "{what}");
        let closed = tokio::time::timeout(Duration::from_secs(10), socket.until_closed()).await;
        assert!(closed.is_ok(), "{what}: the socket is open");
    }
    // By somebody who has shown no session.
    let mut stranger = Socket::open(&url, "").await;
    assert!(stranger.text(ANNOUNCED).await && stranger.send(&[attachment.clone(), attachment].concat()).await);
    stranger.until_closed().await;
    // When all have come, the payload is not what an event takes.
    let mut whole = Socket::of(&ada, &url).await;
    let small = frame(FINAL | BINARY, b"x");
    let ack = "451-7[\"private-message\",{\"toUserId\":{\"_placeholder\":true,\"num\":0},\"message\":\"x\"}]";
    assert!(whole.text(ack).await && whole.send(&small).await);
    let said = whole.read().await.expect("an acknowledgement");
    assert!(said.starts_with("437[") && said.contains("\"ok\":false"), "{said}");
    others_are_served(&ada, &url, &mut other, "attachments").await;
}

/// Attack (API4): floods of events, pings of both layers, acknowledgements of nothing, namespaces that are not there,
/// connections to the namespace again and again, by clients that read nothing. Outcome: the others are served, memory
/// stays, a new socket of the same member works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_stay_in_their_socket() {
    const COUNT: usize = 5_000;
    let host = HOST.get().await;
    let (ada, eve, url) = (host.member("Ada").await, host.member("Eve").await, host.server.url.clone());
    let mut other = Socket::of(&eve, &url).await;
    let before = memory::resident(host.server.id());
    let text = |text: &str| frame(FINAL | TEXT, text.as_bytes());
    let floods = [
        ("events of nobody", text("42[\"nobody:listens\",{}]")),
        ("events of somebody", text(&format!("42{}", json!(["typing", { "toUserId": ada.id }])))),
        ("events that want an answer", text(&format!("421{}", json!(["presence:query", { "userId": eve.id }])))),
        ("large answers", text(&format!("43999999{}", json!(["x".repeat(20_000)])))),
        ("answers to nothing", text("431[{\"ok\":true}]")),
        ("pings of WebSocket", frame(FINAL | PING, &[7; 125])),
        ("pings of Engine.IO", text("2")),
        ("pongs of Engine.IO", text("3")),
        ("namespaces", text("40/admin,{}")),
        ("connections", text(&format!("40{}", json!({ "token": eve.token })))),
        ("events of another namespace", text("42/admin,[\"typing\",{}]")),
        ("disconnections of another namespace", text("41/admin,")),
    ];
    let attack = async {
        for (_, packet) in &floods {
            let mut socket = Socket::of(&eve, &url).await;
            let some = packet.repeat(100);
            for _ in 0..COUNT / 100 {
                // One that the host has cut is what a flood may come to.
                let sent = tokio::time::timeout(Duration::from_secs(5), socket.send(&some)).await;
                if !matches!(sent, Ok(true)) {
                    break;
                }
            }
        }
    };
    let times = during(&ada, attack).await;
    assert!(!times.is_empty());
    let after = memory::resident(host.server.id());
    assert!(after < before + MEMORY, "{before} KiB before, {after} KiB after");
    others_are_served(&eve, &url, &mut other, "floods").await;
}

/// Attack (API2): handshakes without a session, with one of another type, deep, or for a namespace that is not there.
/// Outcome: refused in words; no event is heard before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_shows_a_session_or_is_refused() {
    let host = HOST.get().await;
    let (ada, url) = (host.member("Ada").await, host.server.url.clone());
    let deep: Value = (0..100).fold(json!(ada.token), |inner, _| json!([inner]));
    for auth in [
        json!({}),
        json!(null),
        json!([]),
        json!("token"),
        json!({ "token": "" }),
        json!({ "token": null }),
        json!({ "token": { "$ne": null } }),
        json!({ "token": [ada.token] }),
        json!({ "token": deep }),
        json!({ "Token": ada.token }),
        json!({ "auth": { "token": ada.token } }),
        json!({ "token": format!("{}x", ada.token) }),
        json!({ "userId": ada.id, "_id": ada.id }),
    ] {
        let reason = Socket::connect(&url, &auth).await.err().unwrap_or_else(|| panic!("{auth} opens a socket"));
        assert_eq!(reason["message"], "Please login", "{auth}");
    }
    // What comes before the session is heard by nobody.
    let mut early = Socket::open(&url, "").await;
    assert!(early.text(&format!("421{}", json!(["register", ada.id]))).await);
    early.until_closed().await;
    let mut socket = Socket::open(&url, "").await;
    assert!(socket.text("40/admin,{}").await);
    let refused = socket.read().await.expect("a refusal of the namespace");
    assert!(refused.starts_with("44/admin,"), "{refused}");
    assert!(socket.text(&format!("40{}", json!({ "token": ada.token }))).await);
    let connected = socket.read().await.expect("a connection");
    assert!(connected.starts_with("40{"), "{connected}");
    let asked = socket.ask("presence:query", &json!({ "userId": ada.id }).to_string()).await.unwrap();
    assert_eq!(asked["online"], false, "the early event did nothing");
}

/// Attack (smuggling): upgrades to a WebSocket that are no handshakes, over HTTP/1 and HTTP/2: other versions, without the
/// headers that a proxy knows it by. Outcome: 400 and no upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_a_handshake_is_upgraded() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let lines: Vec<&str> = HANDSHAKE.lines().collect();
    let without = |name: &str| {
        let others = lines.iter().filter(|line| !line.starts_with(name));
        others.map(|line| format!("{line}\r\n")).collect::<String>()
    };
    for headers in [
        without("Upgrade"),
        without("Connection"),
        without("Sec-WebSocket-Version"),
        without("Sec-WebSocket-Key"),
        format!("{}Sec-WebSocket-Version: 777\r\n", without("Sec-WebSocket-Version")),
        format!("{}Upgrade: h2c\r\n", without("Upgrade")),
        format!("{}Connection: keep-alive\r\n", without("Connection")),
        format!("{}Sec-WebSocket-Key: x\r\n", without("Sec-WebSocket-Key")),
    ] {
        for (method, version) in [("GET", "HTTP/1.1"), ("POST", "HTTP/1.1"), ("GET", "HTTP/1.0")] {
            let request =
                format!("{method} {PATH} {version}\r\nHost: a\r\nCookie: token={}\r\n{headers}\r\n", ada.token);
            let mut stream = raw::connect(&host.server.url).await;
            raw::send(&mut stream, request.as_bytes()).await;
            let (status, _) = raw::response(&mut stream).await.unwrap();
            assert_eq!(status, 400, "{method} {version} {headers}");
        }
    }
    let mut connection = Connection::open(&host.server.url).await;
    let cookie = format!("token={}", ada.token);
    for _ in 0..3 {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", PATH),
            ("cookie", cookie.as_str()),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert!(connection.ask_with(&fields, b"").await);
        assert_eq!(connection.answers().await.answered, 1);
    }
    Socket::of(&ada, &host.server.url).await;
}

/// Attack (API4): bodies of polling requests that never end, many for one session that nobody connected. Outcome: each is
/// closed within seconds, also when its session is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_body_that_never_ends_is_not_waited_for() {
    let host = HOST.get().await;
    let opened = host.nobody().get("/socket.io/?EIO=4&transport=polling").send().await.unwrap().text().await.unwrap();
    let hello: Value = opened.strip_prefix('0').unwrap().parse().unwrap();
    let sid = hello["sid"].as_str().unwrap();
    let begun = Instant::now();
    let request = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
         Content-Length: 1000\r\n\r\n4"
    );
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = raw::connect(&host.server.url).await;
        assert!(raw::send(&mut stream, request.as_bytes()).await);
        open.push(tokio::spawn(async move { raw::rest(&mut stream).await }));
    }
    for closed in open {
        let said = raw::statuses(&closed.await.unwrap());
        assert!(said.is_empty() || said == [400] || said == [408], "{said:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

/// Attack (injection): operators, lists, other types, depth, huge numbers, names that are there twice and halves of
/// characters in the payload of every event. Outcome: an acknowledgement that says no, or the socket is closed; nothing is
/// stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_is_more_than_a_value() {
    let host = HOST.get().await;
    let [ada, bea] = host.pair("Ada", "Bea").await;
    let url = host.server.url.clone();
    let deep = format!("{{\"toUserId\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let mut payloads = vec![
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "1e400".to_owned(),
        "{\"toUserId\":1e400,\"message\":\"x\"}".to_owned(),
        "{\"_id\":99999999999999999999999999,\"userId\":-0}".to_owned(),
        deep,
        format!(
            "{{\"$where\":\"true\",\"toUserId\":{{\"$in\":[\"{}\"]}},\"message\":\"x\",\"_id\":{{\"$gt\":\"\"}},\"userId\":{{\"$ne\":\"\"}}}}",
            bea.id
        ),
        format!("{{\"toUserId\":[\"{0}\"],\"message\":\"x\",\"_id\":[\"{0}\"],\"userId\":[\"{0}\"]}}", bea.id),
        format!("{{\"toUserId\":\"{0}\",\"toUserId\":\"6b0656747f186650d975ce8d\",\"message\":\"x\"}}", bea.id),
        "{\"toUserId\":\"\\ud83d\",\"message\":\"\\udc00\",\"_id\":\"\\ud83d\",\"userId\":\"\\ud83d\"}".to_owned(),
        "{\"__proto__\":{\"toUserId\":1},\"constructor\":{\"prototype\":{}}}".to_owned(),
    ];
    for (message, client_id) in
        [("{\"$ne\":null}", "\"a\""), ("[\"x\"]", "\"a\""), ("\"x\"", "{\"$gt\":\"\"}"), ("\"x\"", "[]"), ("5", "5")]
    {
        payloads.push(format!("{{\"toUserId\":\"{}\",\"message\":{message},\"clientId\":{client_id}}}", bea.id));
    }
    for event in ["register", "private-message", "message:delivered", "message:read", "presence:query"] {
        for payload in &payloads {
            let mut socket = Socket::of(&ada, &url).await;
            let what = format!("{event} {}", payload.chars().take(200).collect::<String>());
            if let Some(ack) = socket.ask(event, payload).await {
                assert!(ack["ok"] == false && ack["message"].is_string(), "{what}: {ack}");
            }
        }
    }
    assert_eq!(bea.read(&format!("/chat/{}/history", ada.id)).await["data"], json!([]));
    // The host has failed at none of them: what it would have left is looked for at the end.
    assert!(host.server.warnings().iter().all(|line| !line.contains("messaging")), "{:?}", host.server.warnings());
}
