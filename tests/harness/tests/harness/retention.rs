//! A year of use, by a clock that the test moves: everything that grows by itself stays as large as what is kept of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, DateTime, ObjectId, START, doc, json};

const TOPIC: &str = "user-events";
const DAY: u64 = 86_400_000;
/// Events of a day: of these one is a dead letter.
const A_DAY: usize = 3;

fn what(what: &str, n: u64) -> String {
    json!({ "eventType": "DO", "userId": "u", "data": { "what": what, "n": n } }).to_string()
}

fn date(millis: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(millis).unwrap())
}

/// How many documents there are, all of them from the moment `oldest` on.
fn count(app: &App, collection: &str, field: &str, oldest: u64) -> usize {
    let all = app.find(collection, doc! {});
    for document in &all {
        assert!(*document.get_datetime(field).unwrap() >= date(oldest), "{collection}: {document}");
    }
    all.len()
}

#[test]
fn a_year_stays_as_large_as_what_is_kept_of_it() {
    let app = App::with(&["consuming"]);
    for day in 0..365 {
        let now = START + day * DAY;
        app.clock().set(now);
        app.publish(TOPIC, "key", "DO", what("count", day));
        app.publish(TOPIC, &format!("day{day}"), "DO", what("count", day));
        app.publish(TOPIC, "bad", "DO", what("reject", day));
        app.until_consumed("consuming");
        app.log_in(ObjectId::new());
        app.insert("host-mails", doc! { "_id": ObjectId::new(), "failed": date(now) });
        app.insert("host-deploys", doc! { "_id": ObjectId::new(), "at": date(now - 360 * DAY) });
        app.insert("host-dead-letters", doc! { "_id": format!("t/0/{day}"), "settled": "dropped", "at": date(now) });
        app.insert("invalidations", doc! { "_id": ObjectId::new(), "keys": [], "subjects": [], "at": date(now) });
        app.insert("host-schedules", doc! { "_id": format!("gone{day}/0 * * * *"), "last": date(now), "fence": 1_i64 });
        app.insert("analyticsrollups", doc! { "_id": format!("hour{day}"), "start": date(now - 395 * DAY) });
        let text = date(now - 395 * DAY).try_to_rfc3339_string().unwrap();
        app.insert("useractivity", doc! { "_id": format!("old{day}"), "day": &text[..10] });
        app.clean_up();
        let since = |days: u64| now - days * DAY;
        assert!(app.events(TOPIC).len() <= 8 * A_DAY, "events on day {day}");
        assert!(app.dead_letters(TOPIC).len() <= 31, "dead letters on day {day}");
        assert!(count(&app, "host-consumed", "at", since(8)) <= 9 * A_DAY, "marks on day {day}");
        // A token is good for seven days.
        assert!(count(&app, "sessions", "expiresAt", since(1)) <= 9, "sessions on day {day}");
        assert!(count(&app, "host-mails", "failed", since(30)) <= 31, "mails on day {day}");
        assert!(count(&app, "host-deploys", "at", since(365)) <= 6, "deploys on day {day}");
        assert!(count(&app, "host-dead-letters", "at", since(31)) <= 32, "settled letters on day {day}");
        assert!(count(&app, "invalidations", "at", since(30)) <= 31, "invalidations on day {day}");
        assert!(count(&app, "host-schedules", "last", since(30)) <= 31, "schedules on day {day}");
        assert!(count(&app, "analyticsrollups", "start", since(400)) <= 6, "roll-ups on day {day}");
        let old = app.find("useractivity", doc! { "day": { "$exists": true } });
        assert!(old.len() <= 6, "{} days of members on day {day}", old.len());
    }
    // What is young enough is there, and so is what every event did.
    assert!(app.events(TOPIC).len() >= 7 * A_DAY && app.dead_letters(TOPIC).len() >= 30);
    let counted = app.find("useractivity", doc! { "_id": "key" });
    assert_eq!(counted[0].get_array("order").unwrap().len(), 365);
}

#[test]
fn a_rebuild_is_refused_when_the_log_no_longer_reaches_back() {
    let app = App::with(&["analytics"]);
    let user = ObjectId::new().to_hex();
    let log_in = |day: u64| {
        app.clock().set(START + day * DAY);
        let timestamp = date(app.clock().now()).try_to_rfc3339_string().unwrap();
        let event = json!({ "eventType": "USER_LOGIN", "userId": user, "timestamp": timestamp, "data": {} });
        app.publish(TOPIC, &user, "USER_LOGIN", event.to_string());
        app.until_consumed("analytics");
        app.clean_up();
    };
    let logins = || -> i64 {
        let days = app.find("useractivity", doc! { "userId": ObjectId::parse_str(&user).unwrap() });
        days.iter().map(|day| day.get_i64("logins").unwrap_or_default()).sum()
    };
    log_in(0);
    log_in(10);
    assert_eq!((app.events(TOPIC).len(), logins()), (1, 2), "what was made of an event stays longer than the event");
    let why = app.try_rebuild("analytics").unwrap_err();
    assert!(why.contains("analytics would lose what it made of older events"), "{why}");
    assert!(why.contains("of user-events only from 2026-01-25") && why.contains("--partial"), "{why}");
    assert_eq!(logins(), 2);
}
