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
        ("cache-many", "[grants.cache] \\\"user:1\\\" = \\\"r\\\""),
        ("cache-fill", "[grants.cache] \\\"user:1\\\" = \\\"w\\\""),
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
fn so_many_keys_at_once_and_no_more() {
    let told = asked(&App::with(&["misbehaving"]), "too-many-keys");
    assert!(told.contains("Invalid") && told.contains("at most 1000 keys at once, not 1001"), "{told}");
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
    app.insert("mailsuggestions", doc! { "_id": ObjectId::new(), "about": "x" });
    for (what, of) in [
        ("scan", "users"),
        ("scan-count", "users"),
        ("scan-update", "mailsuggestions"),
        ("scan-delete", "mailsuggestions"),
    ] {
        let told = asked(&app, what);
        assert!(
            told.contains("Invalid") && told.contains(&format!("on `about` would read all of `{of}`")),
            "{what}: {told}"
        );
        let line = format!("[collections.{of}] indexes = [{{ fields = [\\\"about\\\"] }}]");
        assert!(told.contains(&line), "{what}: {told}");
    }
    assert!(asked(&app, "scan-distinct").contains("would read all of `users`"));
    assert_eq!(app.find("users", doc! { "about": "x" }).len(), 1, "a test may look at anything");
}

/// Cached values follow from users by their ids: a write that does not say whom it is about could leave one that is old.
#[test]
fn a_write_says_of_which_documents_it_is_where_cached_values_follow_from_them() {
    let app = App::with(&["misbehaving"]);
    app.insert("users", doc! { "_id": ObjectId::new(), "emailId": "x" });
    for what in ["open-update", "open-delete"] {
        let told = asked(&app, what);
        assert!(told.contains("Invalid") && told.contains("a write to users has to say of which _id it is"), "{told}");
    }
    assert!(asked(&app, "open-change").contains("Invalid"));
    assert_eq!(app.find("users", doc! { "emailId": "x" }).len(), 1, "nothing of it was done");
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
