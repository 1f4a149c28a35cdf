//! What a component was not granted it does not get, and is told the manifest line that would change that.

use harness::{App, ObjectId, doc};

fn asked(app: &App, what: &str) -> String {
    let reply = app.get(&format!("/misbehaving/ask/{what}")).send();
    assert_eq!(reply.status, 200, "{what}: {}", reply.text());
    reply.text()
}

#[test]
fn a_refusal_prints_the_manifest_line() {
    let app = App::with(&["misbehaving"]);
    let lines = [
        ("cache", "[grants.cache] \\\"user:1\\\" = \\\"r\\\""),
        ("stale", "[grants.cache] \\\"user:1\\\" = \\\"stale\\\""),
        ("collection", "[grants.documents] connectionrequests = { access = \\\"r\\\" }"),
        ("event", "[grants] events = [\\\"user-events\\\"]"),
        ("session", "[grants] sessions = [\\\"open\\\"]"),
        ("sessions", "[grants] sessions = [\\\"list\\\"]"),
        ("password", "[grants] passwords = true"),
        ("signing", "[grants] signing = [\\\"unsubscribe\\\"]"),
    ];
    for (what, line) in lines {
        let told = asked(&app, what);
        assert!(told.contains("Denied") && told.contains(line), "{what}: {told}");
    }
}

#[test]
fn a_private_field_can_be_neither_named_nor_seen() {
    let app = App::with(&["misbehaving"]);
    app.insert("users", doc! { "_id": ObjectId::new(), "firstName": "Ada", "password": "the hash" });
    for what in ["filter", "inner-filter", "sort", "distinct", "update", "insert"] {
        let told = asked(&app, what);
        assert!(told.contains("Denied") && told.contains("private = [\\\"password\\\"]"), "{what}: {told}");
    }
    for what in ["read", "projection"] {
        let told = asked(&app, what);
        assert!(told.starts_with("Ok(") && !told.contains("the hash"), "{what}: {told}");
    }
    assert!(asked(&app, "read").contains("Ada"));
    let stored = app.find("users", doc! {});
    assert_eq!(stored[0].get_str("password").unwrap(), "the hash");
}

#[test]
fn an_unknown_operator_is_refused_by_name() {
    let told = asked(&App::with(&["misbehaving"]), "operator");
    assert!(told.contains("Invalid") && told.contains("$where"), "{told}");
}

#[test]
fn a_question_without_an_index_is_refused_and_told_which_one() {
    let app = App::with(&["misbehaving"]);
    app.insert("users", doc! { "_id": ObjectId::new(), "about": "x" });
    for what in ["scan", "scan-count", "scan-update", "scan-delete"] {
        let told = asked(&app, what);
        assert!(told.contains("Invalid") && told.contains("on `about` would read all of `users`"), "{what}: {told}");
        assert!(told.contains("[collections.users] indexes = [{ fields = [\\\"about\\\"] }]"), "{what}: {told}");
    }
    assert!(asked(&app, "scan-distinct").contains("would read all of `users`"));
    assert_eq!(app.find("users", doc! { "about": "x" }).len(), 1, "a test may look at anything");
}

#[test]
fn what_is_told_repeats_a_part_of_what_was_asked() {
    let app = App::with(&["misbehaving"]);
    for (what, told) in [("long-collection", "Denied"), ("long-operator", "Invalid"), ("long-key", "Denied")] {
        let text = asked(&app, what);
        assert!(text.contains(told) && text.len() < 2_000, "{what}: {} bytes", text.len());
    }
    let deep = asked(&app, "deep");
    assert!(deep.contains("Invalid") && deep.contains("deep"), "{deep}");
}
