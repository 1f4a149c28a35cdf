//! Pages of other sites in a member's browser, which sends the session's cookie along.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use e2e::{Member, PASSWORD, ServerOptions, json};
use hostile::raw;
use hostile::shared::Shared;
use hostile::websocket::{HANDSHAKE, PATH};
use reqwest::{Method, Response};

/// One front end of another site, and the host's own address.
static HOST: Shared = Shared::new(|| ServerOptions {
    environment: vec![
        ("PUBLIC_URL", "https://devconnect.example".to_owned()),
        ("FRONTEND_URL", "https://good.example,https://other.example:8443".to_owned()),
    ],
    ..ServerOptions::default()
});

const ALLOWED: [&str; 4] =
    ["https://good.example", "https://other.example:8443", "https://devconnect.example", "http://localhost:5173"];

/// Origins that are none of those, however near they come.
const FOREIGN: [&str; 35] = [
    "https://evil.example",
    "null",
    "",
    "*",
    "https://",
    "good.example",
    "//good.example",
    "https://good.example.evil.com",
    "https://good.example.",
    "https://evilgood.example",
    "https://evil-good.example",
    "https://sub.good.example",
    "https://good.example@evil.com",
    "https://evil.com@good.example",
    "https://user:password@good.example",
    "https://evil.com#https://good.example",
    "https://evil.com?https://good.example",
    "https://evil.com/https://good.example",
    "https://good.example:444",
    "https://good.example:0443x",
    "https://good.example:8443",
    "https://other.example",
    "http://good.example",
    "wss://good.example",
    "https://good.example%00.evil.com",
    "https://good.example%60.evil.com",
    "https://good.example_.evil.com",
    "https://good.example,https://evil.com",
    "https://good.example https://evil.com",
    "https://good\u{2024}example",
    "file://",
    "chrome-extension://good.example",
    "http://localhost:5175",
    "http://localhost:5173.evil.com",
    "http://127.0.0.1:1",
];

fn is_readable_elsewhere(answer: &Response) -> bool {
    ["access-control-allow-origin", "access-control-allow-credentials"]
        .iter()
        .any(|name| answer.headers().contains_key(*name))
}

/// Attack (CSRF): changing, logging out, signing up and calling a socket from a page of another site, whose origin looks
/// like a good one. Outcome: 403, nothing is changed, and no header lets the page read an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_changes_and_reads_nothing() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let before = ada.read("/profile/view").await;
    let sign_up = json!({ "firstName": "Mal", "lastName": "Lory", "emailId": "mal@example.com", "password": PASSWORD });
    for origin in FOREIGN {
        for (method, path, body) in [
            (Method::PATCH, "/profile/edit", json!({ "about": "changed" })),
            (Method::POST, "/logout", json!({})),
            (Method::POST, "/signup", sign_up.clone()),
            (Method::POST, "/login", json!({ "emailId": ada.email, "password": PASSWORD })),
            (Method::POST, "/request/send/interested/6b0656747f186650d975ce8d", json!({})),
            (Method::DELETE, "/profile/edit", json!({})),
            (Method::from_bytes(b"ODD").unwrap(), "/profile/edit", json!({})),
        ] {
            let request = ada.request(method.clone(), path).header("origin", origin.as_bytes()).json(&body);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 403, "{method} {path} from {origin:?}");
            assert!(!is_readable_elsewhere(&answer) && !answer.headers().contains_key("set-cookie"), "{origin:?}");
        }
        let read = ada.get("/profile/view").header("origin", origin.as_bytes()).send().await.unwrap();
        assert_eq!(read.status().as_u16(), 200, "{origin:?}");
        assert!(!is_readable_elsewhere(&read), "{origin:?}");
        assert_eq!(read.headers()["vary"], "origin");
        let preflight = ada.request(Method::OPTIONS, "/profile/edit").header("origin", origin.as_bytes());
        let preflight = preflight.header("access-control-request-method", "PATCH").send().await.unwrap();
        assert_eq!(preflight.status().as_u16(), 403, "{origin:?}");
        assert!(!is_readable_elsewhere(&preflight), "{origin:?}");
        let polling = ada.get("/socket.io/?EIO=4&transport=polling").header("origin", origin.as_bytes());
        assert_eq!(polling.send().await.unwrap().status().as_u16(), 403, "{origin:?}");
        let websocket = [
            format!("GET {PATH} HTTP/1.1\r\nHost: a\r\nCookie: token={}\r\n{HANDSHAKE}Origin: ", ada.token)
                .into_bytes(),
            origin.as_bytes().to_vec(),
            b"\r\n\r\n".to_vec(),
        ];
        let mut stream = raw::connect(&host.server.url).await;
        raw::send(&mut stream, &websocket.concat()).await;
        let (status, _) = raw::response(&mut stream).await.unwrap();
        assert_eq!(status, 403, "a WebSocket from {origin:?}");
    }
    let twice = ada.patch("/profile/edit").header("origin", ALLOWED[0]).header("origin", "https://evil.example");
    assert_eq!(twice.json(&json!({ "about": "changed" })).send().await.unwrap().status().as_u16(), 403);
    assert_eq!(ada.read("/profile/view").await, before, "and the session lives");
    assert!(Member::try_log_in(&host.server.url, "mal@example.com", PASSWORD).await.is_err());
}

/// Attack (CSRF): forms and simple requests, which a browser sends to other sites without asking; requests that only the
/// browser itself calls cross-site. Outcome: 415 or 403, nothing is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_is_taken_for_json() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let before = ada.read("/profile/view").await;
    let edit = json!({ "about": "changed" }).to_string();
    let log_in = json!({ "emailId": ada.email, "password": PASSWORD }).to_string();
    for kind in [
        Some("text/plain"),
        Some("text/plain;charset=UTF-8"),
        Some("text/plain; application/json"),
        Some("text/json"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=application/json"),
        Some("application/jsonp"),
        Some("application/json-seq"),
        Some("application/xml; application/json"),
        Some("json"),
        Some("*/*"),
        Some(""),
        None,
    ] {
        for (method, path, body) in [(Method::PATCH, "/profile/edit", &edit), (Method::POST, "/login", &log_in)] {
            let mut request = ada.request(method, path).body(body.clone());
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 415, "{path} {kind:?}");
            assert!(!answer.headers().contains_key("set-cookie"), "{path} {kind:?}");
        }
    }
    for site in ["cross-site", "Cross-Site"] {
        for (method, path) in [(Method::PATCH, "/profile/edit"), (Method::POST, "/logout")] {
            let request = ada.request(method, path).header("sec-fetch-site", site).json(&json!({ "about": "changed" }));
            assert_eq!(request.send().await.unwrap().status().as_u16(), 403, "{path} {site}");
        }
    }
    assert_eq!(ada.read("/profile/view").await, before, "and the session lives");
    // A link from another site may be followed, and a front end of another site has an origin.
    let followed = ada.get("/profile/view").header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(followed.status().as_u16(), 200);
    let front_end = ada.patch("/profile/edit").header("sec-fetch-site", "cross-site").header("origin", ALLOWED[0]);
    let answer = front_end.json(&json!({ "about": "by its own front end" })).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

/// Attack (API8, CORS): an allowed origin, to be told more than it is: other origins, a wildcard with credentials. Outcome:
/// each gets its own name back and nothing else, and answers vary by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_origin_gets_its_own_name_back() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    for origin in ALLOWED {
        let asked = [
            ada.get("/profile/view"),
            ada.get("/nothing"),
            host.nobody().get("/profile/view"),
            ada.request(Method::OPTIONS, "/profile/edit").header("access-control-request-method", "PATCH"),
            ada.get("/socket.io/?EIO=4&transport=polling"),
        ];
        for request in asked {
            let answer = request.header("origin", origin).send().await.unwrap();
            let headers = answer.headers();
            let origins: Vec<_> = headers.get_all("access-control-allow-origin").iter().collect();
            assert_eq!(origins, [origin], "{}", answer.url());
            assert_eq!(headers["access-control-allow-credentials"], "true");
            assert!(headers.get_all("vary").iter().any(|value| value == "origin"));
            for name in
                ["access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers"]
            {
                assert!(headers.get(name).is_none_or(|value| !value.to_str().unwrap().contains('*')), "{name}");
            }
        }
    }
}
