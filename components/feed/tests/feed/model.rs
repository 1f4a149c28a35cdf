//! The model: what became of requests between members with such skills moves others like them, for the tiers that have it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{DateTime, START};

use super::*;

const DAY: u64 = 86_400_000;

/// A stored request that was decided so long before every test's beginning; days.
fn decided(app: &App, from: ObjectId, to: ObjectId, status: &str, days: u64) {
    let at = DateTime::from_millis((START - days * DAY).cast_signed());
    app.insert(
        "connectionrequests",
        doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "updatedAt": at },
    );
}

/// Members who know Rust want to know 1, who knows Kotlin, and nobody wants to know 2, who knows Photoshop.
fn taught(app: &App) {
    user(app, 1, doc! { "skills": ["Kotlin"] });
    user(app, 2, doc! { "skills": ["Photoshop"] });
    for number in 100..140 {
        user(app, number, doc! { "skills": ["Rust"] });
        decided(app, id(number), id(1), "accepted", 3);
        decided(app, id(number), id(2), if number % 2 == 0 { "ignore" } else { "rejected" }, 2);
        // Nothing is decided.
        decided(app, id(1), id(number + 100), "interested", 1);
    }
}

/// The member 5 of a tier, who knows Rust, and whether 1 comes before 2 in the feed.
fn prefers_kotlin(app: &App, tier: &str) -> (bool, Value) {
    let ada = member(app, 5, doc! { "skills": ["Rust"], "membershipTier": tier });
    let page = ada.feed(app, "?ml=true&limit=200");
    let shown = |number: u32| {
        let data = page["data"].as_array().unwrap();
        let at = data.iter().position(|user| user["_id"] == id(number).to_hex());
        at.map(|at| (at, data[at].clone()))
    };
    // A page of ten has those who know Rust; they are not there.
    let (Some((kotlin, user)), Some((photoshop, _))) = (shown(1), shown(2)) else { panic!("{page}") };
    (kotlin < photoshop, user)
}

/// The senders are asked by the member already, so that the page has 1 and 2.
fn without_senders(app: &App) {
    for number in 100..140 {
        request(app, id(number), id(5), "interested");
    }
}

#[test]
fn what_became_of_requests_moves_others_and_is_told() {
    let app = app();
    taught(&app);
    without_senders(&app);
    build(&app);
    let (first, user) = prefers_kotlin(&app, "gold");
    assert!(first, "{user}");
    let reasons = user["recommendationReasoning"].as_array().unwrap();
    assert_eq!(reasons[0], "People with Rust often connect with people with Kotlin");
    let score = user["recommendationScore"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score), "{user}");
    // The formula's scores are told as they are.
    assert_eq!(user["scoreBreakdown"]["experience"], 1.0);
    all_is_well(&app);
}

#[test]
fn a_tier_without_the_model_has_the_formula() {
    for (tier, config) in [("free", ""), ("gold", "[settings]\n\"feed.model\" = \"off\"")] {
        let app = App::with_config(&["feed"], config);
        taught(&app);
        without_senders(&app);
        build(&app);
        let (first, user) = prefers_kotlin(&app, tier);
        assert!(!first, "another category counts for Photoshop: {user}");
        assert!(!user["recommendationReasoning"].to_string().contains("often connect"), "{user}");
    }
    let app = App::with_config(&["feed"], "[settings]\n\"feed.model\" = \"free\"");
    taught(&app);
    without_senders(&app);
    assert!(!prefers_kotlin(&app, "free").0, "until it is built, all have the formula");
    build(&app);
    app.clock().advance(30_000);
    let ada = session(&app, id(5));
    let page = ada.feed(&app, "?ml=true");
    assert_eq!(ids(&page)[0], id(1).to_hex());
}

/// What the model has learnt, summed up.
fn learnt(app: &App) -> (f64, f64) {
    let rows = app.find("feedpairs", doc! {});
    let sum = |kind: char| -> f64 {
        let rows = rows.iter().filter(|row| !row.get_str("_id").unwrap().contains("grid"));
        rows.flat_map(|row| {
            row.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, count)| count.as_f64().unwrap())
        })
        .sum()
    };
    (sum('a'), sum('i'))
}

fn told_of(app: &App, from: ObjectId, to: ObjectId, status: &str, at: &str) {
    let kind = match status {
        "accepted" => "CONNECTION_ACCEPTED",
        "rejected" => "CONNECTION_REJECTED",
        _ => "CONNECTION_REQUEST",
    };
    let (from, to) = (from.to_hex(), to.to_hex());
    let data = json!({ "requestId": from, "fromUserId": from, "toUserId": to, "status": status, "timestamp": at });
    let value = json!({ "eventType": kind, "userId": from, "timestamp": at, "data": data });
    app.publish("connection-events", &from, kind, value.to_string());
    app.until_consumed("feed");
}

#[test]
fn each_request_counts_once_by_an_event_or_by_what_is_stored() {
    let app = app();
    users(&app, 1..=4);
    // Before the model is begun nothing is learnt of events.
    decided(&app, id(1), id(2), "ignore", 1);
    told_of(&app, id(1), id(2), "ignore", "2026-01-14T12:00:00.000Z");
    assert_eq!(learnt(&app), (0.0, 0.0));
    build(&app);
    let (accepted, ignored) = learnt(&app);
    assert!(accepted == 0.0 && ignored > 0.9, "{ignored}");
    // One that came late, and was read as it is stored.
    told_of(&app, id(1), id(2), "ignore", "2026-01-14T12:00:00.000Z");
    assert_eq!(learnt(&app), (0.0, ignored));
    // Both sides of an accepted one wanted to know the other.
    told_of(&app, id(1), id(3), "accepted", "2026-01-15T12:02:00.000Z");
    let (accepted, _) = learnt(&app);
    assert!(accepted > 1.9 * ignored, "{accepted} {ignored}");
    told_of(&app, id(1), id(4), "interested", "2026-01-15T12:02:00.000Z");
    told_of(&app, id(1), id(99), "ignore", "2026-01-15T12:02:00.000Z");
    assert_eq!(learnt(&app), (accepted, ignored), "nothing is decided, and nobody is there");
    all_is_well(&app);
}

/// Attack (API4): one member ignores hundreds, to teach the model. Outcome: fifty of a day count.
#[test]
fn nobody_teaches_it_alone() {
    let app = app();
    users(&app, 1..=90);
    build(&app);
    for number in 2..=80 {
        told_of(&app, id(1), id(number), "ignore", "2026-01-15T12:02:00.000Z");
    }
    let days = app.find("feedlearnt", doc! { "_id": format!("{}/2026-01-15", id(1)) });
    assert_eq!(days[0].get_i64("count").ok(), Some(50));
    let (_, ignored) = learnt(&app);
    assert!((49.0..55.0).contains(&ignored), "{ignored}");
    app.clock().advance(3 * DAY);
    app.clean_up();
    assert!(app.find("feedlearnt", doc! {}).is_empty());
    all_is_well(&app);
}

#[test]
fn only_skills_of_the_table_are_learnt() {
    let app = app();
    user(&app, 1, doc! { "skills": (0..50).map(|number| format!("made up {number}")).collect::<Vec<_>>() });
    user(&app, 2, doc! { "skills": ["made up 1", "Rust"] });
    decided(&app, id(1), id(2), "accepted", 1);
    build(&app);
    assert_eq!(learnt(&app), (0.0, 0.0), "one side has none");
    all_is_well(&app);
}

#[test]
fn a_rebuilt_model_is_the_same() {
    let app = app();
    taught(&app);
    build(&app);
    let (accepted, ignored) = learnt(&app);
    assert!(accepted > 70.0 && ignored > 35.0, "{accepted} {ignored}");
    app.rebuild("feed");
    build(&app);
    let rows = |slot: &str| app.find(&format!("feedpairs{slot}"), doc! {}).len();
    assert_eq!(rows("-b"), rows(""));
    all_is_well(&app);
}
