//! What the cache knows of a member after events, by the built component in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use harness::{App, FAILURES, ObjectId, json};

const TOPIC: &str = "user-events";
struct Member<'a> {
    app: &'a App,
    id: String,
}

impl<'a> Member<'a> {
    fn of(app: &'a App) -> Self {
        Self { app, id: ObjectId::new().to_hex() }
    }

    fn did(&self, kind: &str, at: &str) -> String {
        let value = json!({ "eventType": kind, "userId": self.id, "timestamp": at, "data": {} });
        self.app.publish(TOPIC, &self.id, kind, value.to_string())
    }

    fn kept(&self, what: &str) -> Option<String> {
        self.app.cached(&format!("user:{}:{what}", self.id)).map(|value| String::from_utf8(value).unwrap())
    }
}

#[test]
fn a_log_in_is_remembered_and_what_follows_only_seen() {
    let app = App::with(&["activity"]);
    let member = Member::of(&app);
    assert_eq!(member.kept("last_seen"), None);
    member.did("USER_LOGIN", "2026-01-15T12:00:00.000Z");
    member.did("USER_OFFLINE", "2026-01-15T13:00:00.000Z");
    app.until_consumed("activity");
    assert_eq!(member.kept("last_login").as_deref(), Some("2026-01-15T12:00:00.000Z"));
    assert_eq!(member.kept("last_seen").as_deref(), Some("2026-01-15T13:00:00.000Z"));
}

#[test]
fn what_comes_late_or_again_sets_nothing_back() {
    let app = App::with(&["activity"]);
    let (ada, bea) = (Member::of(&app), Member::of(&app));
    ada.did("USER_ONLINE", "2026-01-15T13:00:00.000Z");
    bea.did("USER_ONLINE", "2026-01-15T11:00:00.000Z");
    ada.did("USER_ONLINE", "2026-01-15T12:00:00.000Z");
    app.until_consumed("activity");
    assert_eq!(ada.kept("last_seen").as_deref(), Some("2026-01-15T13:00:00.000Z"));
    assert_eq!(bea.kept("last_seen").as_deref(), Some("2026-01-15T11:00:00.000Z"));
}

#[test]
fn what_is_no_event_of_a_user_is_a_dead_letter_and_stops_nobody() {
    let app = App::with(&["activity"]);
    let member = Member::of(&app);
    let bad = ["not JSON", r#"{"userId": "me"}"#].map(|value| app.publish(TOPIC, &member.id, "USER_LOGIN", value));
    member.did("USER_LOGIN", "2026-01-15T12:00:00.000Z");
    app.until_consumed("activity");
    assert!(member.kept("last_login").is_some());
    let letters = app.dead_letters(TOPIC);
    assert_eq!(letters.iter().map(|letter| letter.event.clone()).collect::<Vec<_>>(), bad);
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    let [json, user] = reasons[..] else { panic!("{reasons:?}") };
    assert!(json.contains("expected ident") && user.contains("`userId` is \"me\""), "{reasons:?}");
}

#[test]
fn every_type_of_its_topic_is_told_or_is_none_of_its_business() {
    let app = App::with(&["activity"]);
    let member = Member::of(&app);
    let wanted = ["USER_SIGNUP", "USER_LOGIN", "USER_LOGOUT", "USER_ONLINE", "USER_OFFLINE"];
    for kind in wanted.into_iter().chain(["USER_SKILLS", "USER_FLEW"]) {
        member.did(kind, "2026-01-15T12:00:00.000Z");
    }
    app.until_consumed("activity");
    assert_eq!(app.dead_letters(TOPIC), []);
    for failure in FAILURES {
        assert_eq!(app.count("activity", failure), 0, "{failure}");
    }
    assert_eq!(app.count("activity", "answered"), wanted.len() as u64);
}
