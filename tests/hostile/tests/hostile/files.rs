//! Files of components: paths that lead elsewhere, ranges, encodings and tags as nobody writes them. One host serves all tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::sync::LazyLock;

use e2e::{ServerOptions, with_fixture};
use hostile::raw;
use hostile::shared::Shared;
use tempfile::TempDir;

static COMPONENTS: LazyLock<TempDir> = LazyLock::new(|| with_fixture("pages"));
static HOST: Shared =
    Shared::new(|| ServerOptions { components: Some(COMPONENTS.path().to_owned()), ..ServerOptions::default() });

/// A script, and the number of its bytes without compression.
const SCRIPT: &str = "/pages/assets/index-Ab12Cd34.js";

/// The status of an answer to a request with these lines, and all of it.
async fn answered(url: &str, method: &str, path: &str, lines: &str) -> (u16, String) {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", raw::address(url));
    let answer = raw::exchange(url, request.as_bytes()).await;
    let status = raw::statuses(&answer).first().copied().unwrap_or(0);
    (status, String::from_utf8_lossy(&answer).into_owned())
}

/// Attack (traversal): `..` in every spelling, escapes of slashes, backslashes, NUL, broken and double escapes, absolute
/// URLs, in paths of files and below a fallback. Outcome: 404, or 400 where it is no HTTP; never a file of the system, and never
/// the page of a fallback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_the_files() {
    let host = HOST.get().await;
    let url = &host.server.url;
    assert_eq!(answered(url, "GET", SCRIPT, "").await.0, 200);
    for odd in [
        "..",
        "../..",
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "..\\..\\etc\\passwd",
        "....//....//etc/passwd",
        "..;/..;/etc/passwd",
        ".%00./etc/passwd",
        "%00",
        "a%00.js",
        "a%0d%0aset-cookie:%20a=b",
        "%c0%ae%c0%ae/etc/passwd",
        "%ff%fe",
        "%",
        "%2",
        "%zz",
        "%u002e%u002e/etc/passwd",
        "%252e%252e/etc.txt",
        "./index.html",
        "%2e/index.html",
        "/index.html",
        "assets/./index-Ab12Cd34.js",
        "assets//index-Ab12Cd34.js",
        "assets%2findex-Ab12Cd34.js",
        "assets/index-Ab12Cd34.js/",
        "assets/index-Ab12Cd34.js/..",
        "assets/index-Ab12Cd34.js%20",
        "assets/index-Ab12Cd34.js::$DATA",
        "ASSETS/index-Ab12Cd34.js",
        "file:///etc/passwd",
        "component.toml",
        ".hidden",
    ] {
        for under in ["/pages/", "/pages/app/"] {
            let (status, text) = answered(url, "GET", &format!("{under}{odd}"), "").await;
            assert!(matches!(status, 400 | 404), "{under}{odd}: {text}");
            assert!(!text.contains("root:") && !text.contains("First application"), "{under}{odd}: {text}");
            assert!(!text.to_ascii_lowercase().contains("\r\nset-cookie"), "{under}{odd}: {text}");
        }
    }
    let long = format!("/pages/app/{}", "a/".repeat(3_000));
    assert!(matches!(answered(url, "GET", &long, "").await.0, 404 | 414 | 431));
}

/// Attack (API4): ranges that are many, huge, negative, overlapping or no numbers, and hundreds of them. Outcome: 206 or 416 for
/// one range, otherwise the whole file once; the answer is never larger than the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_range_is_answered_by_more_than_the_file() {
    let host = HOST.get().await;
    let url = &host.server.url;
    let whole = answered(url, "GET", SCRIPT, "").await.1.len();
    let many = |range: &str, times: usize| format!("bytes={}", vec![range; times].join(","));
    for (range, expected) in [
        (many("0-", 500), 200),
        (many("0-99999", 1_000), 200),
        (many("-1", 500), 200),
        ("bytes=0-99999999999999999999999999".to_owned(), 206),
        ("bytes=18446744073709551615-".to_owned(), 416),
        ("bytes=-18446744073709551616".to_owned(), 206),
        ("bytes=9223372036854775807-9223372036854775808".to_owned(), 416),
        ("bytes=-0".to_owned(), 416),
        ("bytes=--5".to_owned(), 200),
        ("bytes=5-1".to_owned(), 200),
        ("bytes=0x10-0x20".to_owned(), 200),
        ("bytes=1e3-".to_owned(), 200),
        ("bytes= - ".to_owned(), 200),
        ("items=0-5".to_owned(), 200),
        ("bytes".to_owned(), 200),
        ("=".to_owned(), 200),
        (String::new(), 200),
    ] {
        for lines in [format!("Range: {range}\r\n"), format!("Range: {range}\r\nIf-Range: \"\r\n")] {
            let (status, text) = answered(url, "GET", SCRIPT, &lines).await;
            let expected = if lines.contains("If-Range") { 200 } else { expected };
            assert_eq!(status, expected, "{lines}");
            assert!(text.len() <= whole + 200, "{range} is answered by {} bytes", text.len());
        }
    }
    let (status, text) = answered(url, "GET", SCRIPT, &"Range: bytes=0-1\r\n".repeat(20)).await;
    assert!(status == 200 && text.len() <= whole + 200, "many headers of one range");
}

/// Attack (API8): encodings and tags of every shape, and methods that no file has. Outcome: an answer in one of the forms that
/// are there, 304, 405 or 406; never a 500.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_of_a_request_for_a_file_is_a_fault() {
    let host = HOST.get().await;
    let url = &host.server.url;
    let long = "br;q=0.1,".repeat(500);
    for line in [
        "Accept-Encoding: ",
        "Accept-Encoding: ,,,;;;===",
        "Accept-Encoding: br;q=-1",
        "Accept-Encoding: br;q=1.0000000000000001, gzip;q=nan",
        "Accept-Encoding: *;q=0, *;q=1, *;q=0",
        "Accept-Encoding: identity;q=0, *;q=0",
        "Accept-Encoding: \u{e9}",
        "Accept-Encoding: br\r\nAccept-Encoding: br;q=0",
        &format!("Accept-Encoding: {long}"),
        "If-None-Match: ",
        "If-None-Match: \"",
        "If-None-Match: W/W/\"a\"",
        "If-None-Match: *, *",
        &format!("If-None-Match: {}", "\"a\",".repeat(1_000)),
        "If-Modified-Since: yesterday",
        "If-Match: \"other\"",
    ] {
        let (status, text) = answered(url, "GET", SCRIPT, &format!("{line}\r\n")).await;
        assert!(matches!(status, 200 | 304 | 406 | 431), "{line}: {text}");
    }
    for method in ["TRACE", "PROPFIND", "X", "get"] {
        let (status, text) = answered(url, method, SCRIPT, "").await;
        assert!((400..500).contains(&status), "{method}: {text}");
    }
    for method in ["PUT", "DELETE", "PATCH", "POST"] {
        let (status, text) = answered(url, method, SCRIPT, "Content-Length: 0\r\n").await;
        assert_eq!(status, 405, "{method}: {text}");
        assert!(text.to_ascii_lowercase().contains("\r\nallow: get, head, options\r\n"), "{method}: {text}");
    }
}
