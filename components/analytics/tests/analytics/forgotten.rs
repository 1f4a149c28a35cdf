//! A member whose account is deleted: nothing that is kept of members is of that one any more, also when all is built anew, and
//! sums stay.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, Document, ObjectId, Value, doc, json};

const AT: &str = "2026-01-15T11:59:00.000Z";

fn did(app: &App, topic: &str, kind: &str, user: ObjectId, data: &Value) {
    let value = json!({ "eventType": kind, "userId": user.to_hex(), "timestamp": AT, "data": data });
    app.publish(topic, &user.to_hex(), kind, value.to_string());
}

fn number(document: &Document, field: &str) -> i64 {
    document.get(field).and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from))).unwrap_or(0)
}

/// Of whom something is kept, each once.
fn known(app: &App) -> Vec<ObjectId> {
    let mut all: Vec<ObjectId> = ["useractivity", "analyticsactive", "analyticsmembers"]
        .into_iter()
        .flat_map(|collection| {
            app.find(collection, doc! {}).into_iter().chain(app.find(&format!("{collection}-b"), doc! {}))
        })
        .map(|document| document.get_object_id("userId").or(document.get_object_id("_id")).unwrap())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn nothing_of_the_member_is_kept_and_sums_stay() {
    let app = App::with(&["analytics"]);
    let (ada, bea) = (ObjectId::new(), ObjectId::new());
    for of in [ada, bea] {
        did(&app, "user-events", "USER_SIGNUP", of, &json!({}));
        did(&app, "user-events", "USER_SKILLS", of, &json!({ "skills": ["rust", if of == ada { "go" } else { "c" }] }));
        did(&app, "message-events", "MESSAGE_SENT", of, &json!({}));
    }
    app.until_consumed("analytics");
    assert_eq!(known(&app).len(), 2);
    did(&app, "user-events", "USER_DELETED", ada, &json!({}));
    app.until_consumed("analytics");
    assert_eq!(known(&app), [bea]);
    let skills: Vec<(String, i64)> = app
        .find("analyticsskills", doc! {})
        .iter()
        .map(|skill| (skill.get_str("_id").unwrap().to_owned(), number(skill, "members")))
        .collect();
    assert_eq!(skills, [("c".to_owned(), 1), ("rust".to_owned(), 1)]);
    let sum = |field: &str| app.find("analyticsrollups", doc! {}).iter().map(|row| number(row, field)).sum::<i64>();
    assert_eq!((sum("signups"), sum("messages")), (2, 2));
}

#[test]
fn what_is_told_late_is_forgotten_with_the_last_event() {
    let app = App::with(&["analytics"]);
    let ada = ObjectId::new();
    did(&app, "user-events", "USER_DELETED", ada, &json!({}));
    app.until_consumed("analytics");
    // Of another topic, and so in no order with it.
    did(&app, "message-events", "MESSAGE_SENT", ada, &json!({}));
    app.until_consumed("analytics");
    assert_eq!(known(&app), [ada]);
    did(&app, "user-events", "USER_ERASED", ada, &json!({}));
    app.until_consumed("analytics");
    assert_eq!(known(&app), []);
    assert_eq!(app.dead_letters("user-events"), []);
}

#[test]
fn a_member_who_is_gone_does_not_come_back_when_all_is_built_anew() {
    let app = App::with(&["analytics"]);
    let (ada, bea) = (ObjectId::new(), ObjectId::new());
    for of in [ada, bea] {
        did(&app, "user-events", "USER_LOGIN", of, &json!({}));
        did(&app, "user-events", "USER_SKILLS", of, &json!({ "skills": ["rust"] }));
    }
    did(&app, "user-events", "USER_DELETED", ada, &json!({}));
    app.until_consumed("analytics");
    app.rebuild("analytics");
    assert_eq!(known(&app), [bea], "in either slot");
}
