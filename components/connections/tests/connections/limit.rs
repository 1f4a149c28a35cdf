//! How many requests a member sends on a day.

use harness::{App, ObjectId, doc, json};

use crate::member::*;

/// A member of a tier sends until the limit; then one more is refused.
fn assert_limit(tier: &str, shown: &str, limit: usize) {
    let app = app();
    let ada = of_tier(&app, "Ada", tier);
    let others: Vec<Member> = (0..=limit).map(|_| member(&app, "Bob")).collect();
    let (last, most) = others.split_last().map_or((&ada, others.as_slice()), |(last, most)| (last, most));
    for other in most {
        ada.interested(&app, other);
    }
    let reply = ada.send(&app, "interested", last.id);
    let message = format!("You have reached today's limit of {limit} connection requests");
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.json(), json!({ "message": message, "tier": shown, "limit": limit, "used": limit }));
    let wait: Option<u64> = reply.header("retry-after").and_then(|seconds| seconds.parse().ok());
    assert!(
        wait.is_some_and(|seconds| (43_200..=43_201).contains(&seconds)),
        "{wait:?}: the next day begins in 12 hours"
    );
    assert_eq!((requests(&app).len(), app.events(TOPIC).len()), (limit, limit), "what was refused left nothing");
    assert_eq!(used(&app), [i64::try_from(limit).unwrap_or_default()]);
}

#[test]
fn a_free_member_sends_ten_a_day() {
    assert_limit("free", "free", 10);
}

#[test]
fn a_tier_that_nobody_knows_is_free() {
    assert_limit("platinum", "free", 10);
}

#[test]
fn a_silver_member_sends_a_hundred_a_day() {
    assert_limit("silver", "silver", 100);
}

#[test]
fn a_gold_member_has_no_limit() {
    let app = app();
    let ada = of_tier(&app, "Ada", "gold");
    for _ in 0..105 {
        ada.interested(&app, &member(&app, "Bob"));
    }
    assert_eq!(requests(&app).len(), 105);
}

#[test]
fn an_old_user_without_a_tier_is_free() {
    let app = app();
    let id = ObjectId::new();
    app.insert("users", doc! { "_id": id, "firstName": "Old", "emailId": "old@example.com" });
    let old = Member { id, token: app.log_in(id) };
    for _ in 0..10 {
        old.interested(&app, &member(&app, "Bob"));
    }
    let refused = old.send(&app, "interested", member(&app, "Bob").id);
    assert_eq!((refused.status, &refused.json()["tier"]), (429, &json!("free")));
}

#[test]
fn the_limit_holds_for_requests_at_once() {
    let app = app();
    let ada = member(&app, "Ada");
    let others: Vec<Member> = (0..16).map(|_| member(&app, "Bob")).collect();
    let to = |other: &Member| format!("/request/send/interested/{}", other.id);
    let replies = harness::all(others.iter().map(|other| app.post(&to(other)).token(&ada.token).begin()));
    assert_eq!(statuses(&replies), [[200; 10].as_slice(), [429; 6].as_slice()].concat());
    assert_eq!((requests(&app).len(), app.events(TOPIC).len(), used(&app)), (10, 10, vec![10]));
}

#[test]
fn ignoring_does_not_count_for_the_day() {
    let app = app();
    let ada = member(&app, "Ada");
    for _ in 0..12 {
        assert_eq!(ada.send(&app, "ignore", member(&app, "Bob").id).status, 200);
    }
    assert!(used(&app).is_empty());
    for _ in 0..10 {
        ada.interested(&app, &member(&app, "Bob"));
    }
    assert_eq!(ada.send(&app, "interested", member(&app, "Bob").id).status, 429);
    assert_eq!(ada.send(&app, "ignore", member(&app, "Bob").id).status, 200, "a spent limit is about interest");
}

#[test]
fn requests_that_fail_do_not_count() {
    let app = app();
    let (ada, bob) = pair(&app);
    ada.interested(&app, &bob);
    for _ in 0..12 {
        assert_eq!(ada.send(&app, "interested", bob.id).status, 400);
        assert_eq!(ada.send(&app, "interested", ObjectId::new()).status, 404);
        assert_eq!(ada.send(&app, "interested", ada.id).status, 400);
    }
    assert_eq!(used(&app), [1]);
    for _ in 0..9 {
        ada.interested(&app, &member(&app, "Bob"));
    }
    assert_eq!(ada.send(&app, "interested", member(&app, "Bob").id).status, 429);
}

#[test]
fn the_next_utc_day_begins_anew() {
    let app = app();
    let ada = member(&app, "Ada");
    for _ in 0..10 {
        ada.interested(&app, &member(&app, "Bob"));
    }
    let late = member(&app, "Bob");
    app.clock().advance(12 * 3_600_000 - 1);
    assert_eq!(ada.send(&app, "interested", late.id).status, 429, "23:59:59.999 is still today");
    app.clock().advance(1);
    for _ in 0..9 {
        ada.interested(&app, &member(&app, "Bob"));
    }
    ada.interested(&app, &late);
    assert_eq!(ada.send(&app, "interested", member(&app, "Bob").id).status, 429);
    assert_eq!(used(&app), [10, 10]);
}

#[test]
fn the_limit_of_one_member_is_not_anothers() {
    let app = app();
    let (ada, bob) = pair(&app);
    for _ in 0..10 {
        ada.interested(&app, &member(&app, "Eve"));
    }
    assert_eq!(bob.send(&app, "interested", ada.id).status, 200);
}

/// The words of who does too much in a minute.
const TOO_FAST: &str = "You are sending or answering requests too fast, please slow down";

/// Attack (API6): requests and answers as fast as they go. Outcome: a pace, then 429 with `Retry-After`.
#[test]
fn whatever_a_member_sends_or_answers_there_is_a_pace() {
    let app = app();
    let ada = of_tier(&app, "Ada", "gold");
    for _ in 0..50 {
        assert_eq!(ada.send(&app, "ignore", member(&app, "Bob").id).status, 200);
        ada.interested(&app, &member(&app, "Bob"));
    }
    let asked: Vec<String> = (0..21).map(|_| member(&app, "Bob").interested(&app, &ada)).collect();
    for (n, request) in asked.iter().take(20).enumerate() {
        let reply = match n % 2 {
            0 => ada.review(&app, "accepted", request),
            _ => ada.respond(&app, request, &json!({ "action": "reject" })),
        };
        assert_eq!(reply.status, 200, "{n}: {}", reply.text());
    }
    let bob = member(&app, "Bob");
    let refused = [
        ada.send(&app, "ignore", bob.id),
        ada.send(&app, "interested", bob.id),
        ada.review(&app, "accepted", &asked[20]),
        ada.respond(&app, &asked[20], &json!({ "action": "accept" })),
    ];
    for reply in refused {
        assert_says(&reply, 429, TOO_FAST);
        assert_eq!(reply.header("retry-after"), Some("60"));
        assert_eq!(reply.json().get("tier"), None, "it is not the day's limit");
    }
    assert_eq!(bob.send(&app, "ignore", ada.id).status, 200, "others have their own");
    app.clock().advance(60_000);
    assert_eq!(ada.review(&app, "accepted", &asked[20]).status, 200);
}

#[test]
fn an_operator_lifts_the_pace() {
    let app = App::with_config(&["connections"], "[settings]\n\"limits.requests\" = \"off\"");
    let ada = member(&app, "Ada");
    assert!((0..130).all(|_| ada.send(&app, "ignore", ObjectId::new()).status == 404));
    let app = App::with_config(&["connections"], "[settings]\n\"limits.requests\" = \"2\"");
    let ada = member(&app, "Ada");
    let statuses = [(); 3].map(|()| ada.send(&app, "ignore", ObjectId::new()).status);
    assert_eq!(statuses, [404, 404, 429], "who asks for nobody asks all the same");
}
