//! Events in; roll-ups, their own events and the summary out: the built component in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::BTreeMap;

use harness::{App, Document, ObjectId, Value, doc, json};

fn app() -> App {
    App::with(&["analytics"])
}

/// Publishes that `user` did something at `at`; answers the event's id.
fn did(app: &App, kind: &str, key: &str, user: ObjectId, at: &str) -> String {
    app.publish(topic(kind), key, kind, envelope(kind, user, at))
}

fn topic(kind: &str) -> &'static str {
    match kind.split_once('_').map(|(first, _)| first) {
        Some("USER") => "user-events",
        Some("MESSAGE") => "message-events",
        _ => "connection-events",
    }
}

fn envelope(kind: &str, user: ObjectId, at: &str) -> String {
    json!({ "eventType": kind, "userId": user.to_hex(), "timestamp": at, "data": { "status": "interested" } })
        .to_string()
}

fn number(row: &Document, field: &str) -> i64 {
    row.get(field).and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from))).unwrap_or(0)
}

/// Sums of a field by the starts of a kind of window, read from the rows of hours.
fn sums(app: &App, window: &str, field: &str) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for row in app.find("analyticsrollups", doc! {}) {
        let hour = row.get_datetime("start").unwrap().try_to_rfc3339_string().unwrap();
        let mut add = |start: String, sum: i64| *sums.entry(start).or_default() += sum;
        match window {
            "day" => add(format!("{}T00:00:00Z", &hour[..10]), number(&row, field)),
            "hour" => add(hour, number(&row, field)),
            _ => {
                for (minute, counts) in row.get_document("minutes").unwrap() {
                    add(format!("{}:{minute}:00Z", &hour[..13]), number(counts.as_document().unwrap(), field));
                }
            }
        }
    }
    sums.retain(|_, sum| *sum > 0);
    sums
}

fn expected<const N: usize>(pairs: [(&str, i64); N]) -> BTreeMap<String, i64> {
    pairs.into_iter().map(|(start, sum)| (start.to_owned(), sum)).collect()
}

#[test]
fn what_happens_is_counted_in_the_windows_of_its_own_time() {
    let app = app();
    let [ada, bea] = [ObjectId::new(), ObjectId::new()];
    let messages = [
        (ada, "2026-01-15T11:59:59.999Z"),
        (ada, "2026-01-15T12:00:00.000Z"),
        (bea, "2026-01-15T12:00:59.999Z"),
        (bea, "2026-01-15T12:01:00.000Z"),
        // Late by a day.
        (ada, "2026-01-14T23:59:59.999Z"),
    ];
    for (n, (user, at)) in messages.into_iter().enumerate() {
        did(&app, "MESSAGE_SENT", &format!("pair{n}"), user, at);
    }
    app.until_consumed("analytics");
    let minutes = [
        ("2026-01-14T23:59:00Z", 1),
        ("2026-01-15T11:59:00Z", 1),
        ("2026-01-15T12:00:00Z", 2),
        ("2026-01-15T12:01:00Z", 1),
    ];
    assert_eq!(sums(&app, "minute", "messages"), expected(minutes));
    let hours = [("2026-01-14T23:00:00Z", 1), ("2026-01-15T11:00:00Z", 1), ("2026-01-15T12:00:00Z", 3)];
    assert_eq!(sums(&app, "hour", "messages"), expected(hours));
    assert_eq!(sums(&app, "day", "messages"), expected([("2026-01-14T00:00:00Z", 1), ("2026-01-15T00:00:00Z", 4)]));
    let active = app.find("analyticsactive", doc! {});
    assert_eq!(active.len(), 4, "ada in three hours, bea in one");
    let noon = app.find("analyticsactive", doc! { "userId": bea });
    assert_eq!(noon[0].get_document("minutes").unwrap(), &doc! { "00": true, "01": true });
}

/// The contract: `analytics-events` are USER_ACTIVITY, MESSAGE_ANALYTICS and CONNECTION_ANALYTICS, with the key of the user and
/// `data` {userId, …counts}.
#[test]
fn each_kind_is_told_with_its_counts() {
    let app = app();
    let at = "2026-01-15T12:00:00.000Z";
    for (kind, told, field) in [
        ("USER_SIGNUP", "USER_ACTIVITY", "signups"),
        ("USER_LOGIN", "USER_ACTIVITY", "logins"),
        ("USER_ONLINE", "USER_ACTIVITY", "visits"),
        ("MESSAGE_SENT", "MESSAGE_ANALYTICS", "messages"),
        ("CONNECTION_REQUEST", "CONNECTION_ANALYTICS", "requests"),
        ("CONNECTION_ACCEPTED", "CONNECTION_ANALYTICS", "accepted"),
        ("CONNECTION_REJECTED", "CONNECTION_ANALYTICS", "rejected"),
    ] {
        let user = ObjectId::new();
        did(&app, kind, &user.to_hex(), user, at);
        app.until_consumed("analytics");
        let events = app.events("analytics-events");
        let event = events.iter().find(|event| event.key == user.to_hex()).unwrap();
        assert_eq!(event.kind, told, "{kind}");
        assert_eq!(
            (&event.value["eventType"], &event.value["userId"]),
            (&json!(told), &json!(user.to_hex())),
            "{kind}"
        );
        assert_eq!(event.value["data"], json!({ "userId": user.to_hex(), field: 1 }), "{kind}");
    }
}

#[test]
fn what_comes_again_or_in_another_order_counts_the_same() {
    let (one, other) = (app(), app());
    let users: Vec<ObjectId> = (0..10).map(|_| ObjectId::new()).collect();
    let kinds = ["USER_SIGNUP", "USER_LOGIN", "MESSAGE_SENT", "CONNECTION_REQUEST", "CONNECTION_ACCEPTED"];
    let mut all: Vec<(String, &str, ObjectId, String)> = Vec::new();
    for (n, user) in users.iter().enumerate() {
        for (at, kind) in kinds.into_iter().enumerate() {
            all.push((format!("event-{n}-{at}"), kind, *user, format!("2026-01-15T1{}:00:0{n}.000Z", at % 3)));
        }
    }
    let publish = |app: &App, (id, kind, user, at): &(String, &str, ObjectId, String)| {
        app.publish_again(id, topic(kind), &user.to_hex(), kind, envelope(kind, *user, at));
    };
    all.iter().for_each(|event| publish(&one, event));
    // Another order between the keys, and every third one twice.
    all.iter().rev().for_each(|event| publish(&other, event));
    all.iter().step_by(3).for_each(|event| publish(&other, event));
    one.until_consumed("analytics");
    other.until_consumed("analytics");
    for (window, field) in
        [("minute", "signups"), ("hour", "logins"), ("day", "messages"), ("day", "requests"), ("hour", "accepted")]
    {
        assert_eq!(sums(&one, window, field), sums(&other, window, field), "{field} of a {window}");
        assert_eq!(sums(&one, window, field).values().sum::<i64>(), 10);
    }
    assert_eq!(other.events("analytics-events").len(), all.len());
    assert!(
        ["user-events", "message-events", "connection-events"].iter().all(|topic| other.dead_letters(topic).is_empty())
    );
}

#[test]
fn what_it_counts_it_tells() {
    let app = app();
    let ada = ObjectId::new();
    did(&app, "CONNECTION_REJECTED", "key", ada, "2026-01-15T12:00:00.000Z");
    app.until_consumed("analytics");
    let [told] = &app.events("analytics-events")[..] else { panic!("one event") };
    assert_eq!((told.kind.as_str(), told.key.clone()), ("CONNECTION_ANALYTICS", ada.to_hex()));
    assert_eq!(told.value["data"], json!({ "userId": ada.to_hex(), "rejected": 1 }));
}

#[test]
fn a_time_that_can_not_be_is_a_dead_letter() {
    let app = app();
    let ada = ObjectId::new();
    for at in ["1969-12-31T23:59:59.999Z", "+010000-01-01T00:00:00.000Z", "yesterday"] {
        did(&app, "USER_LOGIN", "key", ada, at);
    }
    app.publish(
        "connection-events",
        "key",
        "CONNECTION_REQUEST",
        envelope("CONNECTION_REQUEST", ada, "x").replace("interested", "ignore"),
    );
    app.until_consumed("analytics");
    assert_eq!(app.dead_letters("user-events").len(), 3);
    assert!(app.find("analyticsrollups", doc! {}).is_empty());
}

#[test]
fn the_summary_is_the_own_activity_of_thirty_days() {
    let app = app();
    let [ada, bea] = [ObjectId::new(), ObjectId::new()];
    for (kind, at) in [
        ("USER_LOGIN", "2026-01-15T09:00:00.000Z"),
        ("MESSAGE_SENT", "2026-01-15T10:00:00.000Z"),
        ("MESSAGE_SENT", "2026-01-14T10:00:00.000Z"),
        ("CONNECTION_REQUEST", "2026-01-14T10:00:00.000Z"),
        ("USER_LOGIN", "2025-12-17T00:00:00.000Z"),
        ("USER_LOGIN", "2025-12-16T23:59:59.999Z"),
    ] {
        did(&app, kind, &ada.to_hex(), ada, at);
        did(&app, "USER_LOGIN", &bea.to_hex(), bea, at);
    }
    app.until_consumed("analytics");
    assert_eq!(app.get("/analytics/summary").send().status, 401);
    let data = app.get("/analytics/summary").token(&app.log_in(ada)).send().json()["data"].clone();
    let of = |name: &str| data[name].clone();
    assert_eq!((of("since"), of("activeDays")), (json!("2025-12-17"), json!(3)));
    assert_eq!((of("logins"), of("messagesSent"), of("requestsSent")), (json!(2), json!(2), json!(1)));
    let days: Vec<&Value> = data["days"].as_array().unwrap().iter().map(|day| &day["day"]).collect();
    assert_eq!(days, ["2025-12-17", "2026-01-14", "2026-01-15"]);
}

fn all(app: &App, collection: &str) -> Vec<Document> {
    app.find(collection, doc! {})
}

#[test]
fn what_is_rebuilt_is_the_same_and_is_told_to_nobody_again() {
    let app = app();
    let users: Vec<ObjectId> = (0..20).map(|_| ObjectId::new()).collect();
    let days = ["2026-01-14T23:59:59.999Z", "2026-01-15T10:00:00.000Z", "2026-01-15T10:01:00.000Z"];
    for (number, user) in users.iter().enumerate() {
        for at in days.iter().take(1 + number % 3) {
            did(&app, "USER_LOGIN", &user.to_hex(), *user, at);
            did(&app, "MESSAGE_SENT", &format!("pair{}", number % 5), *user, at);
        }
    }
    did(&app, "USER_LOGIN", "key", users[0], "yesterday");
    app.until_consumed("analytics");
    let names = ["analyticsrollups", "analyticsactive", "useractivity"];
    let (before, told) = (names.map(|name| all(&app, name)), app.events("analytics-events").len());
    // What somebody spoiled is not in what is rebuilt.
    app.insert("analyticsrollups", doc! { "_id": "spoiled", "messages": 5_i64 });
    app.rebuild("analytics");
    assert_eq!(names.map(|name| all(&app, &format!("{name}-b"))), before);
    assert_eq!((app.events("analytics-events").len(), app.dead_letters("user-events").len()), (told, 1));

    // From here on it is the rebuilt one that goes on and is read.
    let ada = users[0];
    did(&app, "MESSAGE_SENT", "pair0", ada, "2026-01-15T11:00:00.000Z");
    app.until_consumed("analytics");
    assert_eq!(app.events("analytics-events").len(), told + 1);
    let data = app.get("/analytics/summary").token(&app.log_in(ada)).send().json()["data"].clone();
    assert_eq!((&data["messagesSent"], &data["logins"]), (&json!(2), &json!(1)));
    assert_eq!(all(&app, "analyticsrollups").len(), before[0].len() + 1, "nobody writes to the old one");

    // And once more, into the first slot.
    app.clock().advance(10_000);
    app.rebuild("analytics");
    assert_eq!(names.map(|name| all(&app, name)), names.map(|name| all(&app, &format!("{name}-b"))));
}
