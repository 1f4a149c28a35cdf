//! The index from skills to members: it says what the stored users say, whatever events say and in whichever order they come.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use super::*;

/// A member's skills changed, says an event; what it says of them is not believed.
fn changed(app: &App, member: ObjectId, kind: &str, skills: Value) {
    let (user, at) = (member.to_hex(), "2026-01-15T12:00:00.000Z");
    let value = json!({ "eventType": kind, "userId": user, "timestamp": at, "data": { "skills": skills } });
    app.publish("user-events", &user, kind, value.to_string());
}

/// How many skills the index has of a member: by the member's document, and by those of skills.
fn indexed(app: &App, member: ObjectId, slot: &str) -> (usize, usize) {
    let rows = app.find(&format!("feedmembers{slot}"), doc! { "_id": member });
    let known = rows.first().map_or(0, |row| row.get_array("skills").unwrap().len());
    let all = app.find(&format!("feedskills{slot}"), doc! {});
    let found = all.iter().filter(|skill| skill.get_str("_id").unwrap().ends_with(&member.to_hex())).count();
    (known, found)
}

#[test]
fn an_event_brings_in_what_is_stored_and_a_tick_what_no_event_tells() {
    let app = app();
    user(&app, 1, doc! { "skills": ["Rust", "rust-lang", "Basket Weaving"] });
    user(&app, 2, doc! { "skills": ["Go"] });
    user(&app, 3, doc! { "skills": [] });
    changed(&app, id(1), "USER_SKILLS", json!(["nothing", "of", "this", "is", "stored"]));
    changed(&app, id(9), "USER_SKILLS", json!(["of nobody"]));
    app.until_consumed("feed");
    assert_eq!([1, 2, 3, 9].map(|number| indexed(&app, id(number), "")), [(2, 2), (0, 0), (0, 0), (0, 0)]);
    tick(&app);
    assert_eq!([1, 2, 3].map(|number| indexed(&app, id(number), "")), [(2, 2), (1, 1), (0, 0)]);
    all_is_well(&app);
}

#[test]
fn an_edit_changes_the_index_and_an_account_that_ends_leaves_it() {
    let app = App::with(&["feed", "profile"]);
    users(&app, 1..4);
    let ada = session(&app, id(1));
    build(&app);
    for skills in [json!(["Rust", "Go"]), json!(["Go", "C", "Zig"]), json!([]), json!(["Go"])] {
        let reply = app.patch("/profile/edit").token(&ada.token).json(&json!({ "skills": skills })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        app.until_consumed("feed");
        let count = skills.as_array().unwrap().len();
        assert_eq!(indexed(&app, ada.id, ""), (count, count), "{skills}");
    }
    // Whatever is still stored of it.
    changed(&app, ada.id, "USER_DELETED", json!(null));
    app.until_consumed("feed");
    assert_eq!([1, 2].map(|number| indexed(&app, id(number), "")), [(0, 0), (1, 1)]);
    all_is_well(&app);
}

/// Attack (API4): profiles with thousands of skills, long ones, and anything else. Outcome: of each member the index has no more
/// than a profile of today has.
#[test]
fn hostile_skills_are_bounded() {
    let app = app();
    let many = |count: u32, length: usize| -> Vec<String> {
        (0..count).map(|number| format!("{number}{}", "ж".repeat(length))).collect()
    };
    user(&app, 1, doc! { "skills": many(120, 5) });
    user(&app, 2, doc! { "skills": many(5_000, 5) });
    user(&app, 3, doc! { "skills": ["x".repeat(100_000), "y".repeat(100_000)] });
    user(&app, 4, doc! { "skills": ["\u{202e}\u{0}\u{feff}", "$where", "a/b.c", "' OR 1=1", "\n"] });
    for (number, mut odd) in (5..).zip(odd_users()) {
        odd.extend(doc! { "_id": id(number), "emailId": format!("odd{number}") });
        app.insert("users", odd);
        changed(&app, id(number), "USER_SKILLS", json!({ "skills": [null, 5, many(3_000, 1)] }));
    }
    changed(&app, id(1), "USER_SKILLS", json!(many(9_000, 1)));
    app.until_consumed("feed");
    build(&app);
    assert_eq!(indexed(&app, id(1), ""), (50, 50));
    assert_eq!([2, 3].map(|number| indexed(&app, id(number), "")), [(0, 0); 2], "a row that is too large has none");
    assert_eq!(indexed(&app, id(4), ""), (4, 4));
    all_is_well(&app);
}

#[test]
fn an_event_and_a_tick_that_race_leave_one_truth() {
    let app = App::with_config(&["feed", "profile"], "[settings]\n\"limits.edits\" = \"off\"");
    users(&app, 1..30);
    let ada = session(&app, id(7));
    let mut last = 0;
    for round in 0..30 {
        let skills: Vec<String> = (0..=round % 7).map(|number| format!("craft {}", number + round)).collect();
        last = skills.len();
        let reply = app.patch("/profile/edit").token(&ada.token).json(&json!({ "skills": skills })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        if round % 10 == 5 {
            app.clock().advance(60_000);
        }
    }
    app.until_consumed("feed");
    tick(&app);
    assert_eq!(indexed(&app, ada.id, ""), (last, last));
    assert_eq!(app.dead_letters("user-events"), []);
}

#[test]
fn a_rebuild_needs_no_events() {
    let app = app();
    // Of these no event ever told.
    for number in 1..=4 {
        user(&app, number, doc! { "skills": ["Rust", "Go"] });
    }
    changed(&app, id(1), "USER_SKILLS", json!([]));
    build(&app);
    // What somebody spoiled is not in what is rebuilt, and neither is who is gone.
    app.insert("feedskills", doc! { "_id": format!("{}{}", "0".repeat(16), id(2)), "member": id(2) });
    assert_eq!(indexed(&app, id(2), ""), (2, 3));
    app.rebuild("feed");
    assert_eq!([1, 2].map(|number| indexed(&app, id(number), "-b")), [(2, 2), (0, 0)], "what events told");
    build(&app);
    assert_eq!([1, 2, 4].map(|number| indexed(&app, id(number), "-b")), [(2, 2); 3]);
    all_is_well(&app);
}

#[test]
fn who_is_gone_without_an_event_is_taken_out_with_the_next_look_at_all() {
    let app = app();
    users(&app, [1, 3]);
    let gone = doc! { "_id": id(2), "skills": [7_i64], "mark": ObjectId::new() };
    app.insert("feedmembers", gone);
    app.insert("feedskills", doc! { "_id": format!("{:016x}{}", 7, id(2)), "member": id(2) });
    assert_eq!(indexed(&app, id(2), ""), (1, 1));
    tick(&app);
    assert_eq!([1, 2, 3].map(|number| indexed(&app, id(number), "")), [(1, 1), (0, 0), (1, 1)]);
    all_is_well(&app);
}
