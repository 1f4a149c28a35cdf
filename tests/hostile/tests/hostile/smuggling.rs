//! Requests that two readers may take for different ones: where a body ends, what a header is, whose request it is.
//!
//! Behind most of them stands another request, for a path that does not exist. Its 404 would mean that a body, or a part of
//! a head, was taken for a request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

use e2e::{Member, ServerOptions};
use hostile::http2::{Connection, Ended};
use hostile::raw;
use hostile::shared::Shared;

/// Connections that are kept open close soon: that is how a test knows that nothing more comes.
static HOST: Shared = Shared::new(|| ServerOptions {
    config: Some("[listener]\nfirst-request-seconds = 10\nheader-seconds = 1\n"),
    ..ServerOptions::default()
});

/// The request behind the others.
const BEHIND: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a shape comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// One refusal by the reader of requests, or the connection is closed without a word.
    Refused,
    /// One answer, with this status.
    Answered(u16),
    /// Either.
    Either(u16),
}

use Outcome::{Answered, Either, Refused};

impl Outcome {
    fn is(self, statuses: &[u16]) -> bool {
        let refused = matches!(statuses, [] | [400 | 408 | 413 | 414 | 417 | 431 | 501 | 505]);
        match self {
            Refused => refused,
            Answered(status) => statuses == [status],
            Either(status) => refused || statuses == [status],
        }
    }
}

/// What it is, its bytes, and what it comes to.
type Shape = (&'static str, String, Outcome);

/// A log-in with these lines of the header and this body. What is no log-in is a 400, of the component or of the host.
fn post(lines: &str, body: &str) -> String {
    format!("POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{lines}\r\n\r\n{body}")
}

/// A body in chunks, by hand.
fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

/// A `GET` with these lines of the header.
fn get(lines: &str) -> String {
    format!("GET /healthz HTTP/1.1\r\n{lines}\r\n\r\n")
}

fn length(body: &str) -> String {
    format!("Content-Length: {}", body.len())
}

/// Both ways of saying where the body ends.
fn both() -> Vec<Shape> {
    let last = format!("0\r\n\r\n{BEHIND}");
    let first = format!("{:x}\r\n{BEHIND}\r\n0\r\n\r\n", BEHIND.len());
    vec![
        (
            "a length beyond the last chunk",
            post(&format!("{}\r\nTransfer-Encoding: chunked", length(&last)), &last),
            Answered(400),
        ),
        (
            "the same, chunks first",
            post(&format!("Transfer-Encoding: chunked\r\n{}", length(&last)), &last),
            Answered(400),
        ),
        ("a length within a chunk", post("Content-Length: 4\r\nTransfer-Encoding: chunked", &first), Answered(400)),
        ("the same, chunks first", post("Transfer-Encoding: chunked\r\nContent-Length: 4", &first), Answered(400)),
        ("a length of none", post("Content-Length: 0\r\nTransfer-Encoding: chunked", &first), Answered(400)),
        ("a bad length", post("Content-Length: x\r\nTransfer-Encoding: chunked", &last), Refused),
        ("a length twice", post(&format!("{0}\r\n{0}", length("{}")), "{}"), Either(400)),
        ("two lengths", post(&format!("Content-Length: 2\r\n{}", length(&last)), &format!("{{}}{BEHIND}")), Refused),
        (
            "two lengths, the larger one first",
            post(&format!("{}\r\nContent-Length: 0", length(BEHIND)), BEHIND),
            Refused,
        ),
        ("a list of lengths", post("Content-Length: 2, 2", "{}"), Either(400)),
        ("a list of two lengths", post("Content-Length: 2, 40", &format!("{{}}{BEHIND}")), Refused),
        (
            "a request in the body of a GET",
            get(&format!("Host: a\r\n{}\r\n\r\n{BEHIND}", length(BEHIND))),
            Answered(200),
        ),
    ]
}

/// Lengths that are none.
fn lengths() -> Vec<Shape> {
    let all = [
        "+2",
        "-1",
        "0x2",
        "2 2",
        "1e1",
        "2.0",
        "",
        " ",
        "\u{0b}2",
        "2;",
        "\"2\"",
        "٢",
        "18446744073709551616",
        "99999999999999999999999",
    ];
    let refused = all.map(|length| {
        ("a length that is none", post(&format!("Content-Length: {length}"), &format!("{{}}{BEHIND}")), Refused)
    });
    let huge = ["18446744073709551615", "9223372036854775807"]
        .map(|length| ("a huge length", post(&format!("Content-Length: {length}"), "{}"), Either(413)));
    let padded = [("a length with white space", post("Content-Length: \t2 \t", "{}"), Answered(400))];
    refused.into_iter().chain(huge).chain(padded).collect()
}

/// Encodings that are nearly chunked.
fn encodings() -> Vec<Shape> {
    let chunks = format!("0\r\n\r\n{BEHIND}");
    // The length covers the chunks and the request behind them, for who does not see the encoding.
    let with = |lines: &str| post(&format!("{}\r\n{lines}", length(&chunks)), &chunks);
    let refused = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked;q=0.5",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked\u{0b}",
        "Transfer-Encoding: \u{0b}chunked",
        "Transfer-Encoding: \u{0c}chunked",
        "Transfer-Encoding: chunked\u{0}",
        "Transfer-Encoding: ch\u{fc}nked",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n x",
        "X: a\r\n Transfer-Encoding: chunked",
        "X: a\r\n\tTransfer-Encoding: chunked",
        "X: a\rTransfer-Encoding: chunked",
        "X: a\u{0}\r\nY: b",
        "Transfer\nEncoding: chunked",
        "X\r: chunked",
        "Tränsfer-Encoding: chunked",
        "(Transfer-Encoding): chunked",
        ": chunked",
        "no colon",
    ];
    let read = [
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding: \t chunked \t",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "X: a\nTransfer-Encoding: chunked",
    ];
    let refused = refused.map(|lines| ("an encoding that is none", with(lines), Refused));
    // Whoever reads it goes on with nothing behind it: the connection is closed.
    refused.into_iter().chain(read.map(|lines| ("an odd encoding", with(lines), Either(400)))).collect()
}

/// Chunks that are none.
fn chunks() -> Vec<Shape> {
    let bad = [
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
        "-1\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "g\r\n{}\r\n0\r\n\r\n",
        "2_\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2\r{}\r\n0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",
    ];
    let good = [
        "2\r\n{}\r\n0\r\n\r\n",
        "00000002\r\n{}\r\n0\r\n\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
        "2;name=value\r\n{}\r\n0\r\n\r\n",
        "2;\"a;b\"\r\n{}\r\n0\r\n\r\n",
        "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nContent-Length: 40\r\nHost: b\r\nTransfer-Encoding: x\r\n\r\n",
    ];
    // What comes behind a chunk that is none is read by nobody.
    let bad = bad.map(|body| ("a chunk that is none", chunked(&format!("{body}{BEHIND}")), Refused));
    let endless = format!("2;{}\r\n{{}}\r\n0\r\n\r\n{BEHIND}", "x".repeat(100_000));
    let many = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "X: a\r\n".repeat(5_000));
    let long =
        [("an endless extension", chunked(&endless), Refused), ("thousands of trailers", chunked(&many), Refused)];
    bad.into_iter().chain(long).chain(good.map(|body| ("chunks", chunked(body), Answered(400)))).collect()
}

/// Lines of requests and heads that other readers would take for another one.
fn heads() -> Vec<Shape> {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let odd: Vec<_> = [
        "GET /healthz HTTP/1.1 HTTP/1.1",
        "GET /healthz /smuggled HTTP/1.1",
        "GET\t/healthz\tHTTP/1.1",
        "GET /healthz\u{0} HTTP/1.1",
        "GET /healthz HTTP/1.2",
        "GET /healthz HTTP/2.0",
        "GET /healthz HTTP/1.10",
        "GET /healthz http/1.1",
        "GET /healthz HTTPS/1.1",
        "GET /healthz",
        "GET",
        "(GET) /healthz HTTP/1.1",
        "GET http:// HTTP/1.1",
    ]
    .into_iter()
    .map(|text| ("a line that is none", line(text), Refused))
    .collect();
    let targets = [
        ("GET http://evil.example/healthz HTTP/1.1", Either(200)),
        ("GET https://user@evil.example:1/healthz HTTP/1.1", Either(200)),
        ("GET http://a/smuggled HTTP/1.1", Either(404)),
        ("GET //healthz HTTP/1.1", Either(404)),
        ("GET healthz HTTP/1.1", Either(404)),
        ("GET * HTTP/1.1", Either(404)),
        ("OPTIONS * HTTP/1.1", Either(404)),
        ("CONNECT evil.example:443 HTTP/1.1", Either(404)),
        ("GET /healthz#/smuggled HTTP/1.1", Either(200)),
        ("GET /healthz?\r HTTP/1.1", Refused),
        ("GET  /healthz HTTP/1.1", Either(200)),
    ]
    .map(|(text, outcome)| ("a target", line(text), outcome));
    let heads = [
        ("two hosts", get("Host: a\r\nHost: b"), Refused),
        ("the same host twice", get("Host: a\r\nHost: a"), Refused),
        ("lines that end in LF", "GET /healthz HTTP/1.1\nHost: a\n\n".to_owned(), Either(200)),
        ("a line that ends in CR", "GET /healthz HTTP/1.1\rHost: a\r\n\r\n".to_owned(), Refused),
        ("empty lines before it", format!("\r\n\r\n{}", get("Host: a")), Answered(200)),
        (
            "HTTP/1.0 with chunks",
            format!("POST /login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{BEHIND}"),
            Refused,
        ),
        ("HTTP/1.0", format!("GET /healthz HTTP/1.0\r\n\r\n{BEHIND}"), Answered(200)),
        ("a line of white space", get("Host: a\r\n \r\nX: b"), Refused),
        ("a name without an end", get(&format!("Host: a\r\n{}: b", "x".repeat(100_000))), Refused),
        ("a value without an end", get(&format!("Host: a\r\nX: {}", "x".repeat(200_000))), Refused),
        ("more headers than there are", get(&format!("Host: a{}", "\r\nX: b".repeat(1_000))), Refused),
        ("a path without an end", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200_000)), Refused),
        (
            "an upgrade to HTTP/2",
            get(
                "Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            ),
            Answered(200),
        ),
        ("an upgrade to nothing", get("Host: a\r\nConnection: Upgrade\r\nUpgrade: x"), Answered(200)),
        ("a connection that names its host", get("Host: a\r\nConnection: close, Host"), Answered(200)),
        (
            "a body that was announced to be waited for",
            post("Expect: 100-continue\r\nContent-Length: 2", "{}"),
            Answered(400),
        ),
        (
            "the same in chunks",
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"),
            Answered(400),
        ),
        ("the same without a body", get("Host: a\r\nExpect: 100-continue"), Answered(200)),
        ("another expectation", post("Expect: 200-ok\r\nContent-Length: 2", "{}"), Either(400)),
        (
            "a body for a route that does not want its caller",
            format!("POST /logout HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n{BEHIND}", length(BEHIND)),
            Answered(401),
        ),
    ];
    odd.into_iter().chain(targets).chain(heads).collect()
}

/// Each shape on a connection of its own, all at once.
async fn try_all(member: &Member, url: &str, shapes: Vec<Shape>) {
    let tried: Vec<_> = shapes
        .into_iter()
        .map(|(what, bytes, outcome)| {
            let url = url.to_owned();
            tokio::spawn(async move {
                let came = raw::exchange(&url, bytes.as_bytes()).await;
                (what, bytes, outcome, raw::statuses(&came))
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for tried in tried {
        let (what, bytes, outcome, statuses) = tried.await.unwrap();
        if !outcome.is(&statuses) {
            let bytes: String = bytes.chars().take(400).collect();
            wrong.push(format!("{what}: {outcome:?} expected, {statuses:?} came to {bytes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // On other connections nobody noticed.
    member.read("/profile/view").await;
}

/// Attack (smuggling): a length and chunks, two lengths, lengths that are none, with another request in what one of two
/// readers takes for the body. Outcome: one refusal or one answer, and the connection is closed; the hidden request is
/// never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_ends_in_one_place() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let shapes = both().into_iter().chain(lengths()).collect();
    try_all(&ada, &host.server.url, shapes).await;
}

/// Attack (smuggling): encodings that are nearly chunked, written with tabs, folds, other cases and line ends; chunks with
/// sizes that overflow, signs, extensions, trailers. Outcome: one refusal or one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_chunks_or_nothing() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let shapes = encodings().into_iter().chain(chunks()).collect();
    try_all(&ada, &host.server.url, shapes).await;
}

/// Attack (smuggling): request lines and heads that other readers take for another request: absolute targets, two hosts,
/// bare line ends, folds, other versions, upgrades, expectations, endless names. Outcome: one refusal or one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_is_read_in_one_way() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    try_all(&ada, &host.server.url, heads()).await;
}

/// Attack (smuggling): what would be two requests in HTTP/1, as one of HTTP/2: headers of a connection, encodings, line
/// ends in names and values, lengths that are wrong, pseudo-headers that are missing, odd or there twice. Outcome: the
/// stream or the connection is reset, or one answer; another connection is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_has_no_second_reading() {
    const METHOD: (&str, &str) = (":method", "POST");
    const SCHEME: (&str, &str) = (":scheme", "http");
    const AUTHORITY: (&str, &str) = (":authority", "localhost");
    const TARGET: (&str, &str) = (":path", "/login");
    const JSON: (&str, &str) = ("content-type", "application/json");
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let whole = [METHOD, SCHEME, AUTHORITY, TARGET, JSON];
    let and = |more: &[(&'static str, &'static str)]| [&whole[..], more].concat();
    let reset = [
        and(&[("transfer-encoding", "chunked")]),
        and(&[("connection", "keep-alive")]),
        and(&[("connection", "close, x")]),
        and(&[("keep-alive", "timeout=5")]),
        and(&[("proxy-connection", "close")]),
        and(&[("upgrade", "websocket")]),
        and(&[("te", "gzip")]),
        and(&[("te", "trailers, chunked")]),
        and(&[("content-length", "1")]),
        and(&[("content-length", "40")]),
        and(&[("content-length", "x")]),
        and(&[("X-Upper", "a")]),
        and(&[("x a", "b")]),
        and(&[("x\r\ntransfer-encoding", "chunked")]),
        and(&[("x", "a\r\ntransfer-encoding: chunked")]),
        and(&[("x", "a\nb")]),
        and(&[("x", "a\0b")]),
        and(&[("", "a")]),
        and(&[(":path", "/smuggled")]),
        and(&[(":method", "GET")]),
        and(&[(":status", "200")]),
        and(&[(":unknown", "x")]),
        vec![JSON, METHOD, SCHEME, AUTHORITY, TARGET],
        vec![SCHEME, AUTHORITY, TARGET, JSON],
        vec![METHOD, AUTHORITY, TARGET, JSON],
        vec![METHOD, SCHEME, AUTHORITY, JSON],
        vec![METHOD, SCHEME, AUTHORITY, (":path", ""), JSON],
        vec![METHOD, SCHEME, AUTHORITY, (":path", "/login HTTP/1.1\r\nx: "), JSON],
        vec![(":method", "POST /smuggled HTTP/1.1"), SCHEME, AUTHORITY, TARGET, JSON],
        vec![METHOD, SCHEME, (":authority", "a\r\nx: b"), TARGET, JSON],
    ];
    for fields in reset {
        let mut connection = Connection::open(&host.server.url).await;
        assert!(connection.ask_with(&fields, b"{}").await, "{fields:?}");
        assert_eq!(connection.answers().await.answered, 0, "{fields:?}");
    }
    let answered = [
        whole.to_vec(),
        and(&[("te", "trailers")]),
        and(&[("content-length", "2")]),
        and(&[("host", "localhost")]),
        and(&[("cookie", "a=1"), ("cookie", "b=2")]),
    ];
    for fields in answered {
        let mut connection = Connection::open(&host.server.url).await;
        assert!(connection.ask_with(&fields, b"{}").await, "{fields:?}");
        assert_eq!(connection.answers().await, Ended { answered: 1, closed: false }, "{fields:?}");
    }
    ada.read("/profile/view").await;
}
