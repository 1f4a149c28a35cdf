//! Events in, the whole network's figures out: the built component in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, DateTime, ObjectId, Value, doc, json};

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

/// Attack (API5): the figures of the whole network, asked by a member. Outcome: 404; operators have them.
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

/// Attack (50): hundreds of edits with odd skills, to grow a roll-up past what a document may have. Outcome: a document a
/// skill, bounded; everybody is counted.
#[test]
fn however_often_and_oddly_a_member_lists_skills_everybody_is_counted() {
    let app = app();
    let [odd, bea] = [ObjectId::new(), ObjectId::new()];
    let characters = ["🦀", "字", "ß", "\u{301}", "%", ".", "$", "\"", "\\", "\u{10ffff}"];
    for edit in 0..120 {
        let name = |skill: usize| {
            let filler = characters[skill % characters.len()];
            format!("{edit}.{skill}{}", filler.repeat(44))
        };
        let skills: Vec<String> = (0..50).map(name).collect();
        let at = format!("2026-01-15T12:{:02}:{:02}.000Z", edit / 60, edit % 60);
        let skills: Vec<&str> = skills.iter().map(String::as_str).collect();
        has(&app, odd, &at, &skills);
        // Whoever is told of in the same partition goes on being counted.
        did(&app, "user-events", "USER_LOGIN", odd, &at, &json!({}));
    }
    has(&app, bea, "2026-01-15T12:30:00.000Z", &["rust"]);
    app.until_consumed("analytics");
    assert_eq!(app.dead_letters("user-events"), []);
    let hour = network(&app, "by=hour&windows=1&until=2026-01-15T12:59:59Z");
    assert_eq!((&hour["total"]["logins"], &hour["windows"][0]["activeUsers"]), (&json!(120), &json!(1)));
    assert_eq!(hour["windows"][0]["newSkills"].as_array().unwrap().len(), 5);
    assert!(hour["topSkills"].as_array().unwrap().iter().all(|skill| skill["members"] == 1), "{}", hour["topSkills"]);
    for (collection, most) in [("analyticsrollups", 16), ("analyticsskills", 51), ("analyticsnewskills", 3 * 51)] {
        let rows = app.find(collection, doc! {});
        assert!(rows.len() <= most, "{} rows in {collection}", rows.len());
        let largest = rows.iter().map(|row| row.to_string().len()).max().unwrap();
        assert!(largest < 8_000, "{largest} in {collection}");
    }
    let mine = app.find("analyticsskills", doc! {});
    assert_eq!(mine.len(), 51, "what nobody has any more is not kept");
}

#[test]
fn of_one_member_so_many_skills_count_as_new_in_an_hour() {
    let app = app();
    let (ada, bea) = (ObjectId::new(), ObjectId::new());
    for (edit, at) in ["12:00", "12:20", "12:40", "13:00"].into_iter().enumerate() {
        let skills: Vec<String> = (0..30).map(|skill| format!("skill{edit}-{skill}")).collect();
        let skills: Vec<&str> = skills.iter().map(String::as_str).collect();
        has(&app, ada, &format!("2026-01-15T{at}:00.000Z"), &skills);
    }
    has(&app, bea, "2026-01-15T12:50:00.000Z", &["skill2-29"]);
    app.until_consumed("analytics");
    let counted = |window: &str, start: &str| -> i64 {
        let start = DateTime::parse_rfc3339_str(start).unwrap();
        let rows = app.find("analyticsnewskills", doc! { "window": window, "start": start });
        rows.iter().map(|row| row.get_i64("count").unwrap()).sum()
    };
    assert_eq!(counted("hour", "2026-01-15T12:00:00Z"), 50 + 1, "and what others list is not what she has used up");
    assert_eq!(counted("hour", "2026-01-15T13:00:00Z"), 30);
    assert_eq!(counted("day", "2026-01-15T00:00:00Z"), 50 + 1 + 30);
    assert_eq!(counted("minute", "2026-01-15T12:20:00Z"), 20);
    let data = network(&app, "windows=1&until=2026-01-15T23:00:00Z");
    assert_eq!(data["topSkills"][0]["members"], 1);
}

#[test]
fn what_an_earlier_version_counted_goes_on() {
    let (ada, bea) = (ObjectId::new(), ObjectId::new());
    let start = DateTime::parse_rfc3339_str("2026-01-15T12:00:00Z").unwrap();
    let minute = doc! { "skills": { "node%2ejs": 1_i64 }, "logins": 1_i64 };
    let row = doc! {
        "_id": "2026-01-15T12:00:00.000Z/3", "start": start, "logins": 1_i64,
        "skills": { "rust": 2_i64, "node%2ejs": 1_i64 }, "minutes": { "05": minute },
    };
    let app = App::setup(&["analytics"])
        .document("analyticsskills", doc! { "_id": 3_i64, "skills": { "rust": 2_i64, "node%2ejs": 1_i64 } })
        .document("analyticsskills", doc! { "_id": 7_i64, "skills": { "rust": 1_i64, "%24": 0_i64 } })
        .document("analyticsmembers", doc! { "_id": ada, "skills": ["node.js", "rust"] })
        .document("analyticsrollups", row)
        .start();
    let members = |skill: &str, members: u32| json!({ "skill": skill, "members": members });
    let data = network(&app, "by=hour&windows=1&until=2026-01-15T12:30:00Z");
    assert_eq!(data["topSkills"], json!([members("rust", 3), members("node.js", 1)]));
    let new = |skill: &str, count: u32| json!({ "skill": skill, "count": count });
    assert_eq!(data["windows"][0]["newSkills"], json!([new("rust", 2), new("node.js", 1)]));
    let of_minute = network(&app, "by=minute&windows=1&until=2026-01-15T12:05:30Z");
    assert_eq!(of_minute["windows"][0]["newSkills"], json!([new("node.js", 1)]));

    // Ada has another one instead of two that the earlier version counted; Bea has one of them, too.
    has(&app, ada, "2026-01-15T12:10:00.000Z", &["go"]);
    has(&app, bea, "2026-01-15T12:10:00.000Z", &["rust", "go"]);
    app.until_consumed("analytics");
    let data = network(&app, "by=hour&windows=1&until=2026-01-15T12:30:00Z");
    assert_eq!(data["topSkills"], json!([members("rust", 3), members("go", 2)]));
    let expected = json!([new("rust", 3), new("go", 2), new("node.js", 1)]);
    assert_eq!(data["windows"][0]["newSkills"], expected);
    assert_eq!(data["total"]["logins"], 1);
    assert_eq!(app.dead_letters("user-events"), []);
}
