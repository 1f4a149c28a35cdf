//! What a component may send to servers of others, and what it may not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, StandIn, Value, doc, json};

fn fetch(app: &App, what: &Value) -> Value {
    let reply = app.post("/fetching").json(what).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn app() -> App {
    let app = App::with(&["fetching"]);
    app.stand_in(StandIn::of("GET", "https://api.example.com/a?b=c").status(418).body("tea"));
    app
}

#[test]
fn what_is_granted_is_sent_and_the_answer_comes() {
    let app = app();
    let what = json!({ "url": "https://api.example.com/a?b=c", "headers": [["X-One", "1"]] });
    assert_eq!(fetch(&app, &what), json!({ "status": 418, "body": "tea" }));
    let [sent] = &app.fetched()[..] else { panic!("one request") };
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("GET", "https://api.example.com/a?b=c"));
    assert_eq!(sent.header("x-one"), Some("1"));
    let away = fetch(&app, &json!({ "url": "https://a.example.org:8443/" }));
    assert_eq!(away["error"], "failed", "nobody stands in for it");
    assert_eq!(app.count("fetching", "answered"), 2, "a server that is away is no store that is");
}

#[test]
fn a_refusal_prints_the_line_that_would_grant_it() {
    let app = app();
    for (url, line) in [
        ("https://other.example/", "[grants.fetch] hosts = [\"other.example\"]"),
        ("http://api.example.com/", "[grants.fetch] hosts = [\"http://api.example.com\"]"),
        ("https://example.org:8443/", "[grants.fetch] hosts = [\"example.org:8443\"]"),
        ("https://a.example.org/", "[grants.fetch] hosts = [\"a.example.org\"]"),
    ] {
        let said = fetch(&app, &json!({ "url": url }));
        assert!(said["error"] == "denied" && said["why"].as_str().unwrap().ends_with(line), "{said}");
    }
    assert!(app.fetched().is_empty());
}

#[test]
fn a_secret_is_sent_where_it_is_granted_and_never_seen() {
    let app = app();
    let with = |url: &str, secret: &str| json!({ "url": url, "secret": ["authorization", secret] });
    let said = fetch(&app, &with("https://api.example.com/a?b=c", "unsubscribe"));
    assert_eq!(said["status"], 418, "{said}");
    assert_eq!(app.fetched()[0].header("authorization"), Some("(secret)"));
    let said = fetch(&app, &with("https://a.example.org:8443/", "unsubscribe"));
    assert!(said["why"].as_str().unwrap().contains("secrets = { \"unsubscribe\" = \"a.example.org:8443\" }"), "{said}");
    assert_eq!(fetch(&app, &with("https://api.example.com/", "phonepe"))["error"], "denied");
    assert!(app.fetched().is_empty());
}

/// Attack (API4): a component that sends requests without end. Outcome: so many a call, and no more.
#[test]
fn a_call_sends_so_many_requests() {
    let app = app();
    let what = |times: u32| json!({ "url": "https://api.example.com/a?b=c", "times": times });
    assert_eq!(fetch(&app, &what(10))["status"], 418);
    let said = fetch(&app, &what(11));
    assert!(said["error"] == "invalid" && said["why"].as_str().unwrap().contains("at most 10 requests"), "{said}");
    assert_eq!(app.fetched().len(), 20);
    let fewer = App::with_config(&["fetching"], "[fetch]\nper-call = 0");
    assert_eq!(fetch(&fewer, &what(1))["error"], "invalid");
    assert!(fewer.fetched().is_empty());
}

#[test]
fn a_call_for_an_event_can_not_fetch_and_its_other_effects_are_done() {
    let app = app();
    let data = json!({ "url": "https://api.example.com/a?b=c" });
    let event = json!({ "eventType": "FETCH", "userId": "u", "data": data });
    app.publish("user-events", "key", "FETCH", event.to_string());
    app.until_consumed("fetching");
    let found = app.find("useractivity", doc! { "_id": "key" });
    let said = found[0].get_str("said").unwrap();
    assert!(said.contains("\"invalid\"") && said.contains("can't fetch"), "{said}");
    assert!(app.fetched().is_empty() && app.dead_letters("user-events").is_empty());
}

#[test]
fn the_server_of_a_setting_is_the_operators() {
    let setup = App::setup(&["fetching"]).variable("PHONEPE_BASE_URL", "http://10.1.2.3:8080/base");
    let app = setup.start();
    app.stand_in(StandIn::of("GET", "http://10.1.2.3:8080/x").body("inside"));
    assert_eq!(fetch(&app, &json!({ "url": "http://10.1.2.3:8080/x" }))["body"], "inside");
    assert_eq!(fetch(&app, &json!({ "url": "http://10.1.2.3/x" }))["error"], "denied");
    assert_eq!(fetch(&self::app(), &json!({ "url": "http://10.1.2.3:8080/x" }))["error"], "denied");
}
