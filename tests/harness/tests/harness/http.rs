//! The HTTP trigger's own rules, whatever the component.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::path::Path;

use harness::App;

#[test]
fn a_component_of_the_standard_answers() {
    let app = App::with(&["standard"]);
    let reply = app.get("/standard/a/b?c=d").header("x-name", "Ada").send();
    assert_eq!((reply.status, reply.text().as_str()), (200, "Hello Ada at /standard/a/b?c=d"));
}

#[test]
fn paths_and_methods_that_are_not_there() {
    let app = App::with(&["misbehaving"]);
    assert_eq!(app.get("/nowhere").send().status, 404);
    let reply = app.post("/misbehaving/well").send();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(app.request("HEAD", "/misbehaving/well").send().status, 200);
    assert_eq!(app.request("BREW", "/misbehaving/well").send().status, 405);
    assert_eq!(app.get("/healthz").send().text(), "ok");
    assert_eq!(app.get("/readyz").send().json()["status"], "up");
}

#[test]
fn a_foreign_origin_gets_no_headers_and_changes_nothing() {
    let app = App::with(&["misbehaving"]);
    let own = app.get("/misbehaving/well").header("origin", "http://localhost:5173").send();
    assert_eq!(own.header("access-control-allow-origin"), Some("http://localhost:5173"));
    assert_eq!(own.header("access-control-allow-credentials"), Some("true"));
    let foreign = app.get("/misbehaving/well").header("origin", "https://evil.example").send();
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (200, None));
    assert_eq!(app.post("/misbehaving/well").header("origin", "https://evil.example").send().status, 403);
    let preflight = app.request("OPTIONS", "/misbehaving/well").header("origin", "http://localhost:5173").send();
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("GET, HEAD, OPTIONS")));
    let refused = app.request("OPTIONS", "/misbehaving/well").header("origin", "https://evil.example").send();
    assert_eq!(refused.status, 403);
}

#[test]
fn a_slash_at_the_end_is_the_same_path() {
    let app = App::with(&["misbehaving", "standard"]);
    assert_eq!(app.get("/misbehaving/well/").send().status, 200);
    assert_eq!(app.get("/healthz/").send().text(), "ok");
    assert_eq!(app.get("/readyz/").send().json()["status"], "up");
    let other = app.post("/misbehaving/well/").send();
    assert_eq!((other.status, other.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(app.request("OPTIONS", "/misbehaving/well/").send().status, 204);
    assert_eq!(app.get("/misbehaving/well//").send().status, 404);
    assert_eq!(app.get("/").send().status, 404);
    // A route that takes slashes gets them.
    assert_eq!(app.get("/standard/a/").send().text(), "Hello nobody at /standard/a/");
}

#[test]
fn a_preflight_allows_what_libraries_send() {
    let app = App::with(&["misbehaving"]);
    let asked = "content-type,x-requested-with,x-csrf-token,baggage,sentry-trace";
    let preflight = app
        .request("OPTIONS", "/misbehaving/well")
        .header("origin", "HTTP://LOCALHOST:5173")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", asked)
        .send();
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, Some(asked)));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("HTTP://LOCALHOST:5173"));
}

#[test]
fn a_body_that_nobody_expects_is_nobodys_business() {
    let app = App::with(&["misbehaving"]);
    for (kind, body) in [("text/plain", "x"), ("application/json", "{"), ("application/x-www-form-urlencoded", "a=b")] {
        let reply = app.get("/misbehaving/well").header("content-type", kind).body(body.as_bytes()).send();
        assert_eq!(reply.status, 200, "{kind}");
    }
}

#[test]
fn two_components_can_not_have_one_route() {
    let app = App::with(&["misbehaving"]);
    let wasm = harness::wasm("misbehaving");
    let twin = String::from_utf8_lossy(&wasm).contains("name = \"misbehaving\"");
    assert!(twin, "the manifest is in the file as it was written");
    // The same file under another name: replace the name by one of the same length.
    let other = replaced(&wasm, b"name = \"misbehaving\"", b"name = \"misbehavinh\"");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("misbehavinh.wasm");
    std::fs::write(&file, other).unwrap();
    let error = app.deploy(&file).unwrap_err();
    assert!(error.contains("misbehavinh") && error.contains("misbehaving has"), "{error}");
    assert_eq!(app.get("/misbehaving/well").send().status, 200, "what served goes on serving");
}

#[test]
fn a_response_is_bounded_and_the_host_goes_on() {
    let app = App::with(&["misbehaving", "standard"]);
    for what in ["many", "long", "long-name", "odd-name", "odd-value", "cookies"] {
        let reply = app.get(&format!("/misbehaving/headers/{what}")).send();
        assert_eq!(reply.status, 500, "{what}: {}", reply.text());
        assert!(reply.json()["incident"].is_string(), "{what}");
    }
    assert_eq!(app.count("misbehaving", "trap"), 3, "the others are no answers of HTTP");
    for path in ["/standard/hoard", "/standard/endless"] {
        assert_eq!(app.get(path).send().status, 500, "{path}");
    }
    let ends = app.count("standard", "trap") + app.count("standard", "host-calls");
    assert_eq!(ends, 1, "so many resources are too many, or so many calls");
    assert_eq!(app.count("standard", "memory"), 1, "a body is memory of its component");
    assert_eq!(app.get("/standard/a").send().status, 200);
    assert_eq!(app.get("/misbehaving/well").send().status, 200);
}

/// Attack (22): a component of the standard that calls WASI without end. Outcome: its limit of host calls holds there, too.
#[test]
fn calls_of_wasi_are_host_calls() {
    let app = App::with(&["standard"]);
    assert_eq!(app.get("/standard/calls").send().status, 500);
    assert_eq!((app.count("standard", "host-calls"), app.count("standard", "cpu")), (1, 0));
    assert_eq!(app.get("/standard/a").send().status, 200);
}

/// Attack (23): a component of the standard that returns and leaves its answer unfinished. Outcome: its caller learns it at once,
/// and not when the time of the call is over.
#[test]
fn an_answer_that_nobody_will_finish_is_known_at_once() {
    let app = App::with(&["standard"]);
    for (number, what) in ["unfinished", "dropped", "silent"].into_iter().enumerate() {
        let reply = app.get(&format!("/standard/{what}")).send();
        assert_eq!(reply.status, 500, "{what}: {}", reply.text());
        assert_eq!((app.count("standard", "trap"), app.count("standard", "out-of-time")), (number as u64 + 1, 0));
    }
    assert_eq!(app.get("/standard/a").send().status, 200);
}

#[test]
fn the_sessions_cookie_and_the_origin_are_the_hosts() {
    let app = App::with(&["misbehaving"]);
    let reply = app.get("/misbehaving/cookies").send();
    assert_eq!((reply.status, reply.all("set-cookie").collect::<Vec<_>>()), (200, vec!["theme=dark"]));
    let reply = app.get("/misbehaving/headers/origin").send();
    for header in ["clear-site-data", "strict-transport-security", "alt-svc", "access-control-allow-origin"] {
        assert_eq!(reply.header(header), None, "{header}");
    }
    assert_eq!((reply.status, reply.header("x-its-own")), (200, Some("1")));
}

#[test]
fn a_page_that_is_not_granted_runs_no_script() {
    let app = App::with(&["misbehaving"]);
    for kind in ["html", "svg", "xml", "odd", "two", "own-policy"] {
        let reply = app.get(&format!("/misbehaving/page/{kind}")).send();
        assert_eq!(reply.status, 200, "{kind}");
        assert!(reply.all("content-security-policy").any(|policy| policy == "sandbox"), "{kind}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{kind}");
    }
    for kind in ["json", "text", "image"] {
        let reply = app.get(&format!("/misbehaving/page/{kind}")).send();
        assert_eq!((reply.status, reply.header("content-security-policy")), (200, None), "{kind}");
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
