//! Events in, the whole network's figures out: the built component in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, ObjectId, Value, json};

fn app() -> App {
    App::with(&["analytics"])
}

fn did(app: &App, topic: &str, kind: &str, user: ObjectId, at: &str, data: &Value) {
    let value = json!({ "eventType": kind, "userId": user.to_hex(), "timestamp": at, "data": data });
    app.publish(topic, &user.to_hex(), kind, value.to_string());
}

fn has(app: &App, user: ObjectId, at: &str, skills: &[&str]) {
    did(app, "user-events", "USER_SKILLS", user, at, &json!({ "skills": skills }));
}

fn network(app: &App, query: &str) -> Value {
    let reply = app.get(&format!("/analytics/network?{query}")).by_operator().send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"].clone()
}

#[test]
fn it_is_for_operators_alone() {
    let app = app();
    let member = app.log_in(ObjectId::new());
    assert_eq!(app.get("/analytics/network").token(&member).send().status, 404);
    assert_eq!(app.get("/analytics/network").by_operator().send().status, 200);
    assert_eq!(app.get("/analytics/summary").by_operator().send().status, 404, "what members have is not here");
    assert_eq!(app.post("/analytics/network").by_operator().send().status, 405);
    for query in ["by=week", "windows=0", "windows=61", "windows=x", "until=yesterday"] {
        let reply = app.get(&format!("/analytics/network?{query}")).by_operator().send();
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
    }
}

#[test]
fn every_window_has_its_own_figures_and_all_have_their_sum() {
    let app = app();
    let [ada, bea, cyd] = [ObjectId::new(), ObjectId::new(), ObjectId::new()];
    let request = json!({ "status": "interested" });
    for (topic, kind, user, at) in [
        ("user-events", "USER_SIGNUP", ada, "2026-01-14T23:59:59.999Z"),
        ("user-events", "USER_SIGNUP", bea, "2026-01-15T10:00:00.000Z"),
        ("user-events", "USER_LOGIN", bea, "2026-01-15T10:00:30.000Z"),
        ("connection-events", "CONNECTION_REQUEST", ada, "2026-01-15T10:01:00.000Z"),
        ("connection-events", "CONNECTION_REQUEST", ada, "2026-01-15T11:00:00.000Z"),
        ("connection-events", "CONNECTION_ACCEPTED", bea, "2026-01-15T11:30:00.000Z"),
        ("connection-events", "CONNECTION_ACCEPTED", cyd, "2026-01-15T11:30:00.000Z"),
        ("connection-events", "CONNECTION_REJECTED", cyd, "2026-01-15T11:31:00.000Z"),
        ("message-events", "MESSAGE_SENT", bea, "2026-01-15T11:32:00.000Z"),
    ] {
        did(&app, topic, kind, user, at, &request);
    }
    app.until_consumed("analytics");

    let days = network(&app, "windows=3&until=2026-01-15T18:00:00Z");
    assert_eq!((&days["by"], days["windows"].as_array().unwrap().len()), (&json!("day"), 3));
    let [none, first, second] = [0, 1, 2].map(|window| &days["windows"][window]);
    assert_eq!((&none["start"], &none["activeUsers"]), (&json!("2026-01-13T00:00:00.000Z"), &json!(0)));
    assert_eq!(none["acceptanceRate"], Value::Null);
    assert_eq!((&first["activeUsers"], &first["signups"]), (&json!(1), &json!(1)));
    assert_eq!((&second["activeUsers"], &second["requests"], &second["messages"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(second["acceptanceRate"].as_f64().unwrap(), 2.0 / 3.0);
    let total = &days["total"];
    assert_eq!((&total["signups"], &total["accepted"], &total["rejected"]), (&json!(2), &json!(2), &json!(1)));

    let hours = network(&app, "by=hour&windows=2&until=2026-01-15T11:59:59Z");
    assert_eq!([0, 1].map(|window| hours["windows"][window]["activeUsers"].as_i64().unwrap()), [2, 3]);
    assert_eq!([0, 1].map(|window| hours["windows"][window]["requests"].as_i64().unwrap()), [1, 1]);

    let minutes = network(&app, "by=minute&windows=60&until=2026-01-15T11:32:30Z");
    let of = |at: &str, field: &str| {
        let windows = minutes["windows"].as_array().unwrap();
        windows.iter().find(|window| window["start"] == at).map(|window| window[field].clone())
    };
    assert_eq!(of("2026-01-15T11:30:00.000Z", "activeUsers"), Some(json!(2)));
    assert_eq!(of("2026-01-15T11:30:00.000Z", "accepted"), Some(json!(2)));
    assert_eq!(of("2026-01-15T11:31:00.000Z", "acceptanceRate"), Some(json!(0.0)));
    assert_eq!(of("2026-01-15T10:33:00.000Z", "activeUsers"), Some(json!(0)));
    assert_eq!(of("2026-01-15T10:01:00.000Z", "requests"), None, "before the first of 60");
}

#[test]
fn skills_are_counted_by_who_has_them_and_when_they_were_listed() {
    let app = app();
    let [ada, bea, cyd] = [ObjectId::new(), ObjectId::new(), ObjectId::new()];
    has(&app, ada, "2026-01-14T12:00:00.000Z", &["Rust", "node.js", "$"]);
    has(&app, bea, "2026-01-15T12:00:00.000Z", &[" rust ", "C++"]);
    has(&app, cyd, "2026-01-15T12:05:00.000Z", &["rust", "c++"]);
    // Told once more, and then without one of them.
    has(&app, ada, "2026-01-15T12:10:00.000Z", &["Rust", "node.js", "$"]);
    has(&app, cyd, "2026-01-15T12:20:00.000Z", &["c++"]);
    app.until_consumed("analytics");
    let data = network(&app, "windows=2&until=2026-01-15T23:00:00Z");
    let members = |skill: &str, members: u32| json!({ "skill": skill, "members": members });
    assert_eq!(
        data["topSkills"],
        json!([members("c++", 2), members("rust", 2), members("$", 1), members("node.js", 1)])
    );
    let new = |skill: &str, count: u32| json!({ "skill": skill, "count": count });
    assert_eq!(data["windows"][0]["newSkills"], json!([new("$", 1), new("node.js", 1), new("rust", 1)]));
    assert_eq!(data["windows"][1]["newSkills"], json!([new("c++", 2), new("rust", 2)]));
    let minute = network(&app, "by=minute&windows=1&until=2026-01-15T12:05:59Z");
    assert_eq!(minute["windows"][0]["newSkills"], json!([new("c++", 1), new("rust", 1)]));

    let before = network(&app, "windows=2&until=2026-01-15T23:00:00Z");
    app.rebuild("analytics");
    assert_eq!(network(&app, "windows=2&until=2026-01-15T23:00:00Z"), before, "rebuilt, it is the same");
}

#[test]
fn more_skills_than_a_member_can_have_are_a_dead_letter() {
    let app = app();
    let many: Vec<String> = (0..101).map(|n| format!("skill{n}")).collect();
    did(&app, "user-events", "USER_SKILLS", ObjectId::new(), "2026-01-15T12:00:00.000Z", &json!({ "skills": many }));
    let long = json!({ "skills": ["x".repeat(101)] });
    did(&app, "user-events", "USER_SKILLS", ObjectId::new(), "2026-01-15T12:00:00.000Z", &long);
    app.until_consumed("analytics");
    assert_eq!(app.dead_letters("user-events").len(), 2);
    assert_eq!(network(&app, "")["topSkills"], json!([]));
}
