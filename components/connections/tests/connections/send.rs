//! Sending a request: `POST /request/send/{status}/{toUserId}`.

use harness::{DateTime, ObjectId, doc, json};

use crate::member::*;

#[test]
fn a_sent_request_is_stored_shown_and_told() {
    for status in ["interested", "ignore"] {
        let app = app();
        let (ada, bob) = pair(&app);
        let reply = ada.send(&app, status, bob.id);
        assert_says(&reply, 200, &format!("Ada is {status} in Bob"));
        let data = reply.json()["data"].clone();
        let id = data["_id"].as_str().unwrap();
        let expected = json!({
            "_id": id, "fromUserId": ada.id.to_hex(), "toUserId": bob.id.to_hex(), "status": status, "createdAt": START, "updatedAt": START,
        });
        assert_eq!(data, expected);
        let now = DateTime::from_millis(MILLIS);
        let pair = format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
        let stored = doc! {
            "_id": ObjectId::parse_str(id).unwrap(), "fromUserId": ada.id, "toUserId": bob.id, "status": status, "createdAt": now,
            "updatedAt": now, "pair": pair,
        };
        assert_eq!(requests(&app), [stored]);
        assert_eq!(app.events(TOPIC), [event("CONNECTION_REQUEST", &ada, id, &ada, &bob, status, START)]);
    }
}

#[test]
fn a_status_that_can_not_be_sent_is_refused() {
    let app = app();
    let (ada, bob) = pair(&app);
    for status in ["accepted", "rejected", "ignored", "Interested", "x", "%00"] {
        let reply = ada.send(&app, status, bob.id);
        assert_says(&reply, 400, "Invalid status type: it is ignore or interested");
    }
    assert!(requests(&app).is_empty() && app.events(TOPIC).is_empty());
}

#[test]
fn nobody_sends_a_request_to_oneself() {
    let app = app();
    let ada = member(&app, "Ada");
    for id in [ada.id.to_hex(), ada.id.to_hex().to_uppercase()] {
        for status in ["interested", "ignore"] {
            assert_says(&ada.send(&app, status, &id), 400, "You cannot send a connection request to yourself");
        }
    }
    assert!(requests(&app).is_empty() && app.events(TOPIC).is_empty());
}

#[test]
fn a_request_to_nobody_is_refused() {
    let app = app();
    let ada = member(&app, "Ada");
    assert_says(&ada.send(&app, "interested", ObjectId::new()), 404, "User not found");
    for malformed in ["nonsense", "5", "6565656565656565656565zz", "65656565656565656565656565"] {
        assert_says(&ada.send(&app, "interested", malformed), 400, "Invalid user id");
    }
    assert!(requests(&app).is_empty() && app.events(TOPIC).is_empty() && used(&app).is_empty());
}

#[test]
fn a_sender_who_is_gone_is_not_found() {
    let app = app();
    let bob = member(&app, "Bob");
    let gone = ObjectId::new();
    let gone = Member { id: gone, token: app.log_in(gone) };
    assert_says(&gone.send(&app, "interested", bob.id), 404, "User not found");
    assert!(requests(&app).is_empty());
}

#[test]
fn a_second_request_of_a_pair_is_refused_in_either_direction() {
    for first in ["interested", "ignore"] {
        let app = app();
        let (ada, bob) = pair(&app);
        assert_eq!(ada.send(&app, first, bob.id).status, 200);
        for (from, to) in [(&ada, &bob), (&bob, &ada)] {
            for second in ["interested", "ignore"] {
                assert_says(&from.send(&app, second, to.id), 400, "Connection request already exists");
            }
        }
        assert_eq!((requests(&app).len(), app.events(TOPIC).len()), (1, 1));
    }
}

#[test]
fn an_answered_request_still_keeps_the_pair() {
    let app = app();
    let (ada, bob) = pair(&app);
    let id = ada.interested(&app, &bob);
    assert_eq!(bob.review(&app, "rejected", &id).status, 200);
    assert_says(&bob.send(&app, "interested", ada.id), 400, "Connection request already exists");
    assert_says(&ada.send(&app, "interested", bob.id), 400, "Connection request already exists");
}

#[test]
fn an_old_request_without_a_pair_keeps_it_too() {
    for status in ["ignore", "interested", "accepted", "rejected"] {
        let app = app();
        let (ada, bob) = pair(&app);
        old_request(&app, ada.id, bob.id, status, MILLIS);
        for (from, to) in [(&ada, &bob), (&bob, &ada)] {
            assert_says(&from.send(&app, "interested", to.id), 400, "Connection request already exists");
        }
        assert_eq!((requests(&app).len(), app.events(TOPIC).len()), (1, 0), "{status}");
    }
}

#[test]
fn an_old_request_has_its_pair_when_the_host_has_started() {
    let (ada, bob) = (ObjectId::new(), ObjectId::new());
    for (from, to) in [(ada, bob), (bob, ada)] {
        let app = with_old(&[(from, to, "rejected")]);
        assert_eq!(requests(&app)[0].get_str("pair").unwrap(), format!("{}:{}", ada.min(bob), ada.max(bob)));
        for (sender, receiver) in [(ada, bob), (bob, ada)] {
            let sender = Member { id: sender, token: app.log_in(sender) };
            assert_says(&sender.send(&app, "interested", receiver), 400, "Connection request already exists");
        }
    }
}

#[test]
fn two_old_requests_of_a_pair_both_stay_usable() {
    let (ada, bob) = (ObjectId::new(), ObjectId::new());
    let app = with_old(&[(ada, bob, "interested"), (bob, ada, "interested")]);
    let stored = requests(&app);
    assert_eq!(stored.iter().filter(|request| request.contains_key("pair")).count(), 1);
    for (request, who, answered) in [(&stored[0], bob, "accepted"), (&stored[1], ada, "rejected")] {
        let who = Member { id: who, token: app.log_in(who) };
        let id = request.get_object_id("_id").unwrap().to_hex();
        assert_eq!(who.list(&app, "/user/requests/received")["data"][0]["_id"], id);
        assert_eq!(who.review(&app, answered, &id).status, 200);
    }
    let ada = Member { id: ada, token: app.log_in(ada) };
    assert_says(&ada.send(&app, "interested", bob), 400, "Connection request already exists");
    assert_eq!(ada.list(&app, "/user/connections")["data"][0]["_id"], bob.to_hex());
}

#[test]
fn of_eight_racing_requests_of_a_pair_one_is_made() {
    let app = app();
    let (ada, bob) = pair(&app);
    let replies = harness::all((0..8).map(|number| {
        let (from, to) = if number % 2 == 0 { (&ada, &bob) } else { (&bob, &ada) };
        app.post(&format!("/request/send/interested/{}", to.id)).token(&from.token).begin()
    }));
    assert_eq!(statuses(&replies), [200, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!((requests(&app).len(), app.events(TOPIC).len()), (1, 1));
    assert_eq!(used(&app), [1], "those that failed do not count");
}
