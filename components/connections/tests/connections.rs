//! Connection requests: sent, answered and listed by the built component in the real engine.

use harness::{App, DateTime, Document, ObjectId, Published, Reply, Value, doc, json};

const START: &str = "2026-01-15T12:00:00.000Z";
const MILLIS: i64 = 1_768_478_400_000;
const TOPIC: &str = "connection-events";

/// A member and the own session.
struct Member {
    id: ObjectId,
    token: String,
}

fn app() -> App {
    App::with(&["connections"])
}

fn member(app: &App, first_name: &str) -> Member {
    of_tier(app, first_name, "free")
}

fn of_tier(app: &App, first_name: &str, tier: &str) -> Member {
    let id = ObjectId::new();
    let email = format!("{id}@example.com");
    app.insert(
        "users",
        doc! {
            "_id": id, "firstName": first_name, "lastName": "Test", "emailId": &email, "emailKey": &email, "password": "the hash",
            "photoUrl": format!("https://example.com/{first_name}.png"), "about": "about", "skills": ["rust"],
            "emailPreferences": { "marketingEmails": true }, "isPremium": tier != "free", "membershipTier": tier,
        },
    );
    Member { id, token: app.log_in(id) }
}

fn pair(app: &App) -> (Member, Member) {
    (member(app, "Ada"), member(app, "Bob"))
}

/// A request as the earlier database has it: without `pair`.
fn old_request(app: &App, from: ObjectId, to: ObjectId, status: &str, at: i64) -> ObjectId {
    let id = ObjectId::new();
    let at = DateTime::from_millis(at);
    app.insert(
        "connectionrequests",
        doc! { "_id": id, "fromUserId": from, "toUserId": to, "status": status, "createdAt": at, "updatedAt": at, "__v": 0 },
    );
    id
}

/// An app whose database had two users, and these requests between them, before the host started.
fn with_old(old: &[(ObjectId, ObjectId, &str)]) -> App {
    let mut setup = App::setup(&["connections"]);
    if let Some((one, other, _)) = old.first() {
        for (id, name) in [(one, "Ada"), (other, "Bob")] {
            setup = setup.document("users", doc! { "_id": id, "firstName": name, "emailId": id.to_hex() });
        }
    }
    for (from, to, status) in old {
        let at = DateTime::from_millis(MILLIS);
        let request = doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": *status, "createdAt": at, "updatedAt": at };
        setup = setup.document("connectionrequests", request);
    }
    setup.start()
}

fn requests(app: &App) -> Vec<Document> {
    app.find("connectionrequests", doc! {})
}

/// What the counters of all days say was used.
fn used(app: &App) -> Vec<i64> {
    let counters = app.find("requestcounters", doc! {});
    counters
        .iter()
        .filter_map(|counter| counter.get("used"))
        .filter_map(|used| used.as_i64().or_else(|| used.as_i32().map(i64::from)))
        .collect()
}

impl Member {
    fn send(&self, app: &App, status: &str, to: impl ToString) -> Reply {
        app.post(&format!("/request/send/{status}/{}", to.to_string())).token(&self.token).send()
    }

    fn interested(&self, app: &App, to: &Member) -> String {
        let reply = self.send(app, "interested", to.id);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().pointer("/data/_id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn review(&self, app: &App, status: &str, request: &str) -> Reply {
        app.post(&format!("/request/review/{status}/{request}")).token(&self.token).send()
    }

    fn respond(&self, app: &App, request: &str, body: &Value) -> Reply {
        app.patch(&format!("/user/requests/{request}/respond")).token(&self.token).json(body).send()
    }

    fn list(&self, app: &App, path: &str) -> Value {
        let reply = app.get(path).token(&self.token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

fn assert_says(reply: &Reply, status: u16, message: &str) {
    assert_eq!((reply.status, reply.message().as_str()), (status, message));
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    statuses
}

/// An event as the contract has it.
fn event(kind: &str, by: &Member, request: &str, from: &Member, to: &Member, status: &str, at: &str) -> Published {
    Published {
        kind: kind.to_owned(),
        key: from.id.to_hex(),
        value: json!({
            "eventType": kind, "userId": by.id.to_hex(), "timestamp": at,
            "data": { "requestId": request, "fromUserId": from.id.to_hex(), "toUserId": to.id.to_hex(), "status": status, "timestamp": at },
        }),
    }
}

#[test]
fn without_a_session_every_route_says_please_login() {
    let app = app();
    let id = ObjectId::new();
    let routes = [
        ("POST", format!("/request/send/interested/{id}")),
        ("POST", format!("/request/review/accepted/{id}")),
        ("PATCH", format!("/user/requests/{id}/respond")),
        ("GET", "/user/requests/received".to_owned()),
        ("GET", "/user/connections".to_owned()),
    ];
    for (method, path) in routes {
        let reply = app.request(method, &path).send();
        assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{method} {path}");
        let reply = app.request(method, &path).token("nonsense").send();
        assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{method} {path}");
    }
    assert!(requests(&app).is_empty() && app.events(TOPIC).is_empty());
}

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
    let replies = app.runtime().block_on(async {
        let sends = (0..8).map(|number| {
            let (from, to) = if number % 2 == 0 { (&ada, &bob) } else { (&bob, &ada) };
            app.post(&format!("/request/send/interested/{}", to.id)).token(&from.token).dispatch()
        });
        futures_util::future::join_all(sends).await
    });
    assert_eq!(statuses(&replies), [200, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!((requests(&app).len(), app.events(TOPIC).len()), (1, 1));
    assert_eq!(used(&app), [1], "those that failed do not count");
}

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
    let replies = app.runtime().block_on(async {
        let sends = others
            .iter()
            .map(|other| app.post(&format!("/request/send/interested/{}", other.id)).token(&ada.token).dispatch());
        futures_util::future::join_all(sends).await
    });
    assert_eq!(statuses(&replies), [[200; 10].as_slice(), [429; 6].as_slice()].concat());
    assert_eq!((requests(&app).len(), app.events(TOPIC).len(), used(&app)), (10, 10, vec![10]));
}

#[test]
fn ignoring_does_not_count_and_is_never_limited() {
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
    assert_says(&none, 400, "The body must be a JSON object");
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
    let replies = app.runtime().block_on(async {
        let answers = (0..8).map(|number| match number % 4 {
            0 => app.post(&format!("/request/review/accepted/{id}")).token(&bob.token).dispatch(),
            1 => app.post(&format!("/request/review/rejected/{id}")).token(&bob.token).dispatch(),
            other => {
                let body = json!({ "action": if other == 2 { "accept" } else { "reject" } });
                app.patch(&format!("/user/requests/{id}/respond")).token(&bob.token).json(&body).dispatch()
            }
        });
        futures_util::future::join_all(answers).await
    });
    assert_eq!(statuses(&replies), [200, 404, 404, 404, 404, 404, 404, 404]);
    let winner = replies.iter().find(|reply| reply.status == 200).unwrap().json()["data"]["status"].clone();
    assert_eq!(requests(&app)[0].get_str("status").unwrap(), winner);
    let told = app.events(TOPIC);
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    let decided = if winner == "accepted" { "CONNECTION_ACCEPTED" } else { "CONNECTION_REJECTED" };
    assert_eq!(kinds, ["CONNECTION_REQUEST", "CONNECTION_REVIEW", decided]);
    assert_eq!(told[1].value["data"]["status"], winner);
}

#[test]
fn the_received_list_has_what_waits_newest_first_with_its_sender() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cy, eve) = (member(&app, "Cy"), member(&app, "Eve"));
    let first = ada.interested(&app, &bob);
    app.clock().advance(1_000);
    let second = cy.interested(&app, &bob);
    assert_eq!(eve.send(&app, "ignore", bob.id).status, 200);
    bob.interested(&app, &member(&app, "Dan"));
    let sender = |member: &Member, name: &str| json!({ "_id": member.id.to_hex(), "firstName": name, "lastName": "Test", "photoUrl": format!("https://example.com/{name}.png") });
    let request = |id: &str, from: Value, at: &str| json!({ "_id": id, "fromUserId": from, "toUserId": bob.id.to_hex(), "status": "interested", "createdAt": at, "updatedAt": at });
    let expected = json!({
        "message": "Data fetched successfully",
        "data": [request(&second, sender(&cy, "Cy"), "2026-01-15T12:00:01.000Z"), request(&first, sender(&ada, "Ada"), START)],
    });
    assert_eq!(bob.list(&app, "/user/requests/received"), expected);
    assert_eq!(bob.review(&app, "accepted", &first).status, 200);
    assert_eq!(bob.review(&app, "rejected", &second).status, 200);
    assert_eq!(bob.list(&app, "/user/requests/received")["data"], json!([]), "what is answered waits no more");
}

#[test]
fn nobody_gets_empty_lists() {
    let app = app();
    let ada = member(&app, "Ada");
    assert_eq!(
        ada.list(&app, "/user/requests/received"),
        json!({ "message": "Data fetched successfully", "data": [] })
    );
    assert_eq!(
        ada.list(&app, "/user/connections"),
        json!({ "message": "Connections fetched successfully", "data": [] })
    );
}

#[test]
fn the_received_list_leaves_out_who_is_gone_and_shows_the_old() {
    let app = app();
    let (ada, bob) = pair(&app);
    old_request(&app, ObjectId::new(), bob.id, "interested", MILLIS);
    let id = old_request(&app, ada.id, bob.id, "interested", MILLIS);
    let data = bob.list(&app, "/user/requests/received")["data"].clone();
    assert_eq!(data.as_array().unwrap().len(), 1, "{data}");
    assert_eq!((&data[0]["_id"], data[0].get("__v"), data[0].get("pair")), (&json!(id.to_hex()), None, None));
}

#[test]
fn connections_are_safe_users_of_both_directions_latest_first() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cy, eve) = (of_tier(&app, "Cy", "gold"), member(&app, "Eve"));
    let mine = ada.interested(&app, &bob);
    let theirs = cy.interested(&app, &ada);
    let no = eve.interested(&app, &ada);
    ada.interested(&app, &member(&app, "Waiting"));
    assert_eq!(ada.list(&app, "/user/connections")["data"], json!([]), "nobody has answered yet");
    assert_eq!(bob.review(&app, "accepted", &mine).status, 200);
    app.clock().advance(1_000);
    assert_eq!(ada.respond(&app, &theirs, &json!({ "action": "accept" })).status, 200);
    assert_eq!(ada.review(&app, "rejected", &no).status, 200);
    let safe = |member: &Member, name: &str, tier: &str| {
        json!({
            "_id": member.id.to_hex(), "firstName": name, "lastName": "Test", "photoUrl": format!("https://example.com/{name}.png"),
            "about": "about", "skills": ["rust"], "isPremium": tier != "free", "membershipTier": tier,
        })
    };
    let expected = json!({ "message": "Connections fetched successfully", "data": [safe(&cy, "Cy", "gold"), safe(&bob, "Bob", "free")] });
    assert_eq!(ada.list(&app, "/user/connections"), expected);
    assert_eq!(bob.list(&app, "/user/connections")["data"], json!([safe(&ada, "Ada", "free")]));
    assert_eq!(eve.list(&app, "/user/connections")["data"], json!([]));
}

#[test]
fn connections_leave_out_who_is_gone_and_name_nobody_twice() {
    let app = app();
    let (ada, bob) = pair(&app);
    old_request(&app, ada.id, bob.id, "accepted", MILLIS);
    old_request(&app, bob.id, ada.id, "accepted", MILLIS - 1);
    old_request(&app, ObjectId::new(), ada.id, "accepted", MILLIS);
    let data = ada.list(&app, "/user/connections")["data"].clone();
    let ids: Vec<&str> = data.as_array().unwrap().iter().filter_map(|user| user["_id"].as_str()).collect();
    assert_eq!(ids, [bob.id.to_hex()]);
}

/// An app in which Ada has `count` requests of a status, whose dates go up and down, from and to others.
fn of_many(count: usize, status: &str, both_ways: bool) -> (App, Member, Vec<ObjectId>) {
    let app = app();
    let ada = member(&app, "Ada");
    let others: Vec<ObjectId> = (0..count).map(|_| ObjectId::new()).collect();
    app.insert_all("users", others.iter().map(|id| doc! { "_id": id, "firstName": "Bob", "emailId": id.to_hex() }));
    // (date, `_id`, who): dates come in groups of equal ones.
    let mut rows: Vec<(i64, ObjectId, ObjectId)> =
        others.iter().zip(0..).map(|(other, n)| (MILLIS + n * 7 % 40, ObjectId::new(), *other)).collect();
    app.insert_all("connectionrequests", rows.iter().zip(0..).map(|((date, id, other), n)| {
        let (from, to) = if both_ways && n % 2 == 0 { (ada.id, *other) } else { (*other, ada.id) };
        let date = DateTime::from_millis(*date);
        doc! { "_id": id, "fromUserId": from, "toUserId": to, "status": status, "createdAt": date, "updatedAt": date }
    }));
    rows.sort_unstable_by_key(|(date, id, _)| std::cmp::Reverse((*date, *id)));
    (app, ada, rows.into_iter().map(|(_, _, other)| other).collect())
}

/// What stands at a place of each row.
fn column<'a>(list: &'a Value, place: &str) -> Vec<&'a str> {
    let rows = list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row.pointer(place)?.as_str()).collect()
}

#[test]
fn the_received_list_is_complete_and_in_order_past_a_thousand() {
    for count in [1_000, 1_001, 2_345] {
        let (app, ada, senders) = of_many(count, "interested", false);
        let list = ada.list(&app, "/user/requests/received");
        assert_eq!(column(&list, "/fromUserId/_id"), senders.iter().map(|id| id.to_hex()).collect::<Vec<_>>());
    }
}

#[test]
fn the_connections_are_complete_and_in_order_past_a_thousand() {
    for count in [1_000, 1_001, 2_345] {
        let (app, ada, others) = of_many(count, "accepted", true);
        let list = ada.list(&app, "/user/connections");
        assert_eq!(column(&list, "/_id"), others.iter().map(|id| id.to_hex()).collect::<Vec<_>>());
    }
}
