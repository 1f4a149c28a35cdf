//! Answering a request: `POST /request/review/{status}/{requestId}` and `PATCH /user/requests/{requestId}/respond`.

use harness::{App, ObjectId, Reply, json};

use crate::member::*;

/// The two ways to answer, with the words of each.
fn answer(app: &App, by: &Member, way: &str, status: &str, request: &str) -> Reply {
    let action = if status == "accepted" { "accept" } else { "reject" };
    if way == "review" {
        by.review(app, status, request)
    } else {
        by.respond(app, request, &json!({ "action": action }))
    }
}

#[test]
fn an_answer_is_stored_shown_and_told_twice() {
    for (way, status, kind) in [
        ("review", "accepted", "CONNECTION_ACCEPTED"),
        ("review", "rejected", "CONNECTION_REJECTED"),
        ("respond", "accepted", "CONNECTION_ACCEPTED"),
        ("respond", "rejected", "CONNECTION_REJECTED"),
    ] {
        let app = app();
        let (ada, bob) = pair(&app);
        let id = ada.interested(&app, &bob);
        app.clock().advance(5_000);
        let later = "2026-01-15T12:00:05.000Z";
        let reply = answer(&app, &bob, way, status, &id);
        let message = if way == "review" {
            format!("Connection Request {status}")
        } else {
            format!("Connection request {status} successfully")
        };
        assert_says(&reply, 200, &message);
        let expected = json!({
            "_id": id, "fromUserId": ada.id.to_hex(), "toUserId": bob.id.to_hex(), "status": status, "createdAt": START, "updatedAt": later,
        });
        assert_eq!(reply.json()["data"], expected, "{way}");
        let stored = requests(&app);
        assert_eq!((stored.len(), stored[0].get_str("status").unwrap()), (1, status));
        assert_eq!(stored[0].get_datetime("updatedAt").unwrap().timestamp_millis(), MILLIS + 5_000);
        let told = [
            event("CONNECTION_REQUEST", &ada, &id, &ada, &bob, "interested", START),
            event("CONNECTION_REVIEW", &bob, &id, &ada, &bob, status, later),
            event(kind, &bob, &id, &ada, &bob, status, later),
        ];
        assert_eq!(app.events(TOPIC), told, "{way}");
    }
}

#[test]
fn an_old_request_can_be_answered() {
    for way in ["review", "respond"] {
        let app = app();
        let (ada, bob) = pair(&app);
        let id = old_request(&app, ada.id, bob.id, "interested", MILLIS - 1_000).to_hex();
        let reply = answer(&app, &bob, way, "accepted", &id);
        assert_eq!((reply.status, &reply.json()["data"]["status"]), (200, &json!("accepted")));
        assert_eq!(reply.json()["data"].get("__v"), None);
        assert_eq!(app.events(TOPIC).len(), 2);
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let app = app();
    let (ada, bob) = pair(&app);
    let id = ada.interested(&app, &bob);
    for status in ["interested", "ignore", "accept", "Accepted", "x"] {
        assert_says(&bob.review(&app, status, &id), 400, "Invalid status type: it is accepted or rejected");
    }
    let bodies = [
        (json!({}), "action is required"),
        (json!({ "action": "accepted" }), "action must be accept or reject"),
        (json!({ "action": "" }), "action must be accept or reject"),
        (json!({ "action": null }), "action must be accept or reject"),
        (json!({ "action": ["accept"] }), "action must be accept or reject"),
        (json!({ "action": "accept", "status": "accepted" }), "status is not a known field"),
        (json!([]), "The body must be a JSON object"),
    ];
    for (body, message) in bodies {
        assert_says(&bob.respond(&app, &id, &body), 400, message);
    }
    let none = app.patch(&format!("/user/requests/{id}/respond")).token(&bob.token).send();
    assert_says(&none, 400, "action is required");
    let text = app
        .patch(&format!("/user/requests/{id}/respond"))
        .token(&bob.token)
        .header("content-type", "text/plain")
        .body("accept")
        .send();
    assert_eq!(text.status, 415);
    assert_eq!(requests(&app)[0].get_str("status").unwrap(), "interested");
    assert_eq!(app.events(TOPIC).len(), 1);
}

#[test]
fn a_request_that_is_not_there_can_not_be_answered() {
    let app = app();
    let bob = member(&app, "Bob");
    for id in [ObjectId::new().to_hex(), "nonsense".to_owned()] {
        for way in ["review", "respond"] {
            assert_says(&answer(&app, &bob, way, "accepted", &id), 404, "Connection request not found");
        }
    }
    assert!(app.events(TOPIC).is_empty());
}

/// Attack (API1): answering a request as its sender or as somebody else. Outcome: refused, and it still waits.
#[test]
fn only_whom_a_request_went_to_can_answer_it() {
    let app = app();
    let (ada, bob) = pair(&app);
    let eve = member(&app, "Eve");
    let id = ada.interested(&app, &bob);
    for stranger in [&ada, &eve] {
        assert_says(&answer(&app, stranger, "review", "accepted", &id), 404, "Connection request not found");
        let reply = answer(&app, stranger, "respond", "accepted", &id);
        assert_says(&reply, 403, "This connection request is not yours to answer");
    }
    assert_eq!(requests(&app)[0].get_str("status").unwrap(), "interested");
    assert_eq!(app.events(TOPIC).len(), 1);
}

#[test]
fn a_request_is_answered_once() {
    for first in ["accepted", "rejected"] {
        let app = app();
        let (ada, bob) = pair(&app);
        let id = ada.interested(&app, &bob);
        assert_eq!(bob.review(&app, first, &id).status, 200);
        for way in ["review", "respond"] {
            for second in ["accepted", "rejected"] {
                assert_says(&answer(&app, &bob, way, second, &id), 404, "Connection request not found");
            }
        }
        assert_eq!(requests(&app)[0].get_str("status").unwrap(), first);
        assert_eq!(app.events(TOPIC).len(), 3);
    }
}

#[test]
fn who_is_ignored_can_not_answer() {
    let app = app();
    let (ada, bob) = pair(&app);
    let id = ada.send(&app, "ignore", bob.id).json()["data"]["_id"].as_str().unwrap().to_owned();
    for way in ["review", "respond"] {
        assert_says(&answer(&app, &bob, way, "accepted", &id), 404, "Connection request not found");
    }
    assert_eq!(requests(&app)[0].get_str("status").unwrap(), "ignore");
}

#[test]
fn of_racing_answers_one_wins_and_is_told() {
    let app = app();
    let (ada, bob) = pair(&app);
    let id = ada.interested(&app, &bob);
    let answers = (0..8).map(|number| match number % 4 {
        0 => app.post(&format!("/request/review/accepted/{id}")).token(&bob.token).begin(),
        1 => app.post(&format!("/request/review/rejected/{id}")).token(&bob.token).begin(),
        other => {
            let body = json!({ "action": if other == 2 { "accept" } else { "reject" } });
            app.patch(&format!("/user/requests/{id}/respond")).token(&bob.token).json(&body).begin()
        }
    });
    let replies = harness::all(answers);
    assert_eq!(statuses(&replies), [200, 404, 404, 404, 404, 404, 404, 404]);
    let winner = replies.iter().find(|reply| reply.status == 200).unwrap().json()["data"]["status"].clone();
    assert_eq!(requests(&app)[0].get_str("status").unwrap(), winner);
    let told = app.events(TOPIC);
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    let decided = if winner == "accepted" { "CONNECTION_ACCEPTED" } else { "CONNECTION_REJECTED" };
    assert_eq!(kinds, ["CONNECTION_REQUEST", "CONNECTION_REVIEW", decided]);
    assert_eq!(told[1].value["data"]["status"], winner);
}
