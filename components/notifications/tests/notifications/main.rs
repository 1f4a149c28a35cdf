//! Events in; stored notifications, their own events, emits and lists out: the built component in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, DateTime, Document, Emitted, FAILURES, ObjectId, START, Target, Value, doc, json};

const CONNECTIONS: &str = "connection-events";
const MESSAGES: &str = "message-events";
const TOLD: &str = "notification-events";
const USERS: &str = "user-events";
/// What product.md and the model have, by topic, and one that nobody knows in each topic of which only some are told.
const TOPICS: [(&str, &[&str]); 4] = [
    (
        CONNECTIONS,
        &["CONNECTION_REQUEST", "CONNECTION_REVIEW", "CONNECTION_ACCEPTED", "CONNECTION_REJECTED", "CONNECTION_BROKEN"],
    ),
    (MESSAGES, &["MESSAGE_SENT", "MESSAGE_DELIVERED", "MESSAGE_READ", "MESSAGE_LOST"]),
    (TOLD, &["CONNECTION_REQUEST_NOTIFICATION", "MESSAGE_NOTIFICATION", "SYSTEM_NOTIFICATION"]),
    (USERS, &["USER_SIGNUP", "USER_LOGIN", "USER_LOGOUT", "USER_ONLINE", "USER_OFFLINE", "USER_SKILLS", "USER_FLEW"]),
];
struct Member {
    id: ObjectId,
    token: String,
}

fn app() -> App {
    App::with(&["notifications"])
}

fn member(app: &App, first_name: &str) -> Member {
    let id = ObjectId::new();
    let email = format!("{id}@example.com");
    app.insert("users", doc! { "_id": id, "firstName": first_name, "emailId": &email, "emailKey": &email });
    Member { id, token: app.log_in(id) }
}

fn envelope(kind: &str, by: ObjectId, data: Value) -> String {
    let at = "2026-01-15T12:00:00.000Z";
    json!({ "eventType": kind, "userId": by.to_hex(), "timestamp": at, "data": data }).to_string()
}

/// Publishes what happened to a request of `from` to `to`; answers the event's id.
fn connection(app: &App, kind: &str, status: &str, from: &Member, to: &Member) -> String {
    let by = if kind == "CONNECTION_REQUEST" { from } else { to };
    app.publish(CONNECTIONS, &from.id.to_hex(), kind, envelope(kind, by.id, request(status, from, to)))
}

fn request(status: &str, from: &Member, to: &Member) -> Value {
    let (from, to) = (from.id.to_hex(), to.id.to_hex());
    json!({ "requestId": ObjectId::new().to_hex(), "fromUserId": from, "toUserId": to, "status": status })
}

fn message(app: &App, from: &Member, to: &Member) -> String {
    let value = envelope("MESSAGE_SENT", from.id, sent(from, to));
    app.publish(MESSAGES, &format!("{}:{}", from.id.min(to.id), from.id.max(to.id)), "MESSAGE_SENT", value)
}

fn sent(from: &Member, to: &Member) -> Value {
    let (from, to) = (from.id.to_hex(), to.id.to_hex());
    json!({ "messageId": ObjectId::new().to_hex(), "fromUserId": from, "toUserId": to, "text": "hi" })
}

/// What happens until everything that was published is told, and what that publishes, too.
fn settle(app: &App) {
    app.until_consumed("notifications");
    app.until_consumed("notifications");
}

fn stored(app: &App, user: &Member) -> Vec<Document> {
    app.find("notifications", doc! { "userId": user.id })
}

fn texts(notifications: &[Document]) -> Vec<&str> {
    notifications.iter().map(|found| found.get_str("message").unwrap()).collect()
}

fn comes(app: &App, user: &Member) {
    app.socket(user.id).appear();
}

fn online(app: &App, user: &Member) {
    comes(app, user);
    app.publish(USERS, &user.id.to_hex(), "USER_ONLINE", envelope("USER_ONLINE", user.id, json!({ "socketId": "s" })));
}

fn emitted(app: &App) -> Vec<Emitted> {
    app.sockets().take()
}

#[test]
fn a_request_and_its_answer_are_told_to_whom_they_concern() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    connection(&app, "CONNECTION_REQUEST", "interested", &ada, &bea);
    settle(&app);
    let [request] = &stored(&app, &bea)[..] else { panic!("one notification") };
    assert_eq!(request.get_str("message").unwrap(), "Ada sent you a connection request");
    assert_eq!(request.get_object_id("fromUserId").unwrap(), ada.id);
    assert_eq!(request.get_datetime("createdAt").unwrap(), &DateTime::from_millis(START.cast_signed()));
    let [told] = &app.events(TOLD)[..] else { panic!("one event") };
    assert_eq!((told.kind.as_str(), told.key.clone()), ("CONNECTION_REQUEST_NOTIFICATION", bea.id.to_hex()));
    let id = request.get_object_id("_id").unwrap().to_hex();
    assert_eq!(
        (&told.value["data"]["notificationId"], &told.value["data"]["userId"]),
        (&id.into(), &bea.id.to_hex().into())
    );

    connection(&app, "CONNECTION_ACCEPTED", "accepted", &ada, &bea);
    connection(&app, "CONNECTION_REJECTED", "rejected", &bea, &ada);
    settle(&app);
    assert_eq!(texts(&stored(&app, &ada)), ["Bea accepted your connection request"]);
    // Both are of one moment; their ids order them in no way.
    assert!(texts(&stored(&app, &bea)).contains(&"Ada declined your connection request"));
}

#[test]
fn to_be_ignored_is_told_to_nobody() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    connection(&app, "CONNECTION_REQUEST", "ignore", &ada, &bea);
    settle(&app);
    assert!(stored(&app, &bea).is_empty() && app.events(TOLD).is_empty() && app.dead_letters(CONNECTIONS).is_empty());
}

#[test]
fn messages_to_who_is_away_are_one_notification_a_conversation_until_it_is_read() {
    let app = app();
    let (ada, bea, cleo) = (member(&app, "Ada"), member(&app, "Bea"), member(&app, "Cleo"));
    let again = message(&app, &ada, &bea);
    message(&app, &ada, &bea);
    message(&app, &cleo, &bea);
    settle(&app);
    app.publish_again(
        &again,
        MESSAGES,
        "other key",
        "MESSAGE_SENT",
        envelope("MESSAGE_SENT", ada.id, sent(&ada, &bea)),
    );
    settle(&app);
    let mut all = stored(&app, &bea);
    all.sort_by_key(|found| found.get_str("message").unwrap().to_owned());
    assert_eq!(texts(&all), ["Ada sent you 2 messages", "Cleo sent you a message"]);
    assert_eq!(app.events(TOLD).len(), 2, "it is told when it begins");
    let id = all[0].get_object_id("_id").unwrap();
    assert_eq!(app.post(&format!("/notifications/{id}/read")).token(&bea.token).send().status, 200);
    message(&app, &ada, &bea);
    settle(&app);
    assert!(texts(&stored(&app, &bea)).contains(&"Ada sent you a message"), "what was read counts no more");
}

#[test]
fn who_is_there_gets_them_at_once_and_messages_none() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    comes(&app, &bea);
    message(&app, &ada, &bea);
    connection(&app, "CONNECTION_REQUEST", "interested", &ada, &bea);
    settle(&app);
    let [emit] = &emitted(&app)[..] else { panic!("one emit") };
    assert_eq!((emit.event.as_str(), &emit.targets[..]), ("notification", &[Target::User(bea.id.to_hex())][..]));
    let stored = stored(&app, &bea);
    assert_eq!(stored.len(), 1);
    let expected = json!({
        "_id": stored[0].get_object_id("_id").unwrap().to_hex(), "type": "CONNECTION_REQUEST", "fromUserId": ada.id.to_hex(),
        "message": "Ada sent you a connection request", "count": 1, "createdAt": "2026-01-15T12:00:00.000Z",
    });
    assert_eq!(emit.payload, expected);
}

#[test]
fn what_was_missed_is_sent_once_when_the_member_comes() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    connection(&app, "CONNECTION_REQUEST", "interested", &ada, &bea);
    message(&app, &ada, &bea);
    settle(&app);
    assert!(emitted(&app).is_empty());
    online(&app, &bea);
    settle(&app);
    assert_eq!(emitted(&app).len(), 2);
    online(&app, &bea);
    settle(&app);
    assert!(emitted(&app).is_empty());
}

#[test]
fn an_operator_s_word_is_stored_and_sent() {
    let app = app();
    let bea = member(&app, "Bea");
    let id = ObjectId::new().to_hex();
    let data = json!({ "userId": bea.id.to_hex(), "message": "Back at noon", "notificationId": id });
    comes(&app, &bea);
    let value = envelope("SYSTEM_NOTIFICATION", bea.id, data);
    let event = app.publish(TOLD, &bea.id.to_hex(), "SYSTEM_NOTIFICATION", value.clone());
    app.publish_again(&event, TOLD, &bea.id.to_hex(), "SYSTEM_NOTIFICATION", value);
    settle(&app);
    assert_eq!(texts(&stored(&app, &bea)), ["Back at noon"]);
    assert_eq!(emitted(&app).len(), 1);
}

#[test]
fn the_list_goes_on_page_by_page_newest_first() {
    let app = app();
    let bea = member(&app, "Bea");
    let insert = |n: i64| {
        let at = DateTime::from_millis(START.cast_signed() + n / 2);
        doc! { "_id": ObjectId::new(), "userId": bea.id, "type": "T", "message": n.to_string(), "count": 1, "createdAt": at, "deliveredAt": at }
    };
    app.insert_all("notifications", (0..45).map(insert));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/notifications?cursor={cursor}")).token(&bea.token).send().json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 20 && data.iter().all(|found| found.get("deliveredAt").is_none()));
        seen.extend(data.iter().map(|found| found["message"].as_str().unwrap().parse::<i64>().unwrap()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, (0..45).rev().collect::<Vec<_>>());
    let few = app.get("/notifications?limit=3").token(&bea.token).send().json();
    assert_eq!(few["data"].as_array().unwrap().len(), 3);
    for bad in ["limit=0", "limit=x", "cursor=x", "cursor=1-2", "cursor=-"] {
        assert_eq!(app.get(&format!("/notifications?{bad}")).token(&bea.token).send().status, 400, "{bad}");
    }
}

/// Attack (API1): marking another member's notification as read. Outcome: 403, and it stays unread.
#[test]
fn only_the_own_ones_are_read_and_once() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    connection(&app, "CONNECTION_REQUEST", "interested", &ada, &bea);
    settle(&app);
    let path = format!("/notifications/{}/read", stored(&app, &bea)[0].get_object_id("_id").unwrap());
    assert_eq!(app.post(&path).send().status, 401);
    assert_eq!(app.post(&path).token(&ada.token).send().status, 403);
    for path in ["/notifications/nonsense/read".to_owned(), format!("/notifications/{}/read", ObjectId::new())] {
        assert_eq!(app.post(&path).token(&bea.token).send().status, 404);
    }
    assert_eq!(app.post(&path).token(&bea.token).send().json(), json!({ "success": true }));
    app.clock().advance(5_000);
    assert_eq!(app.post(&path).token(&bea.token).send().status, 200);
    let listed = app.get("/notifications").token(&bea.token).send().json();
    assert_eq!(listed["data"][0]["readAt"], "2026-01-15T12:00:00.000Z");
    assert_eq!(app.get("/notifications").token(&ada.token).send().json(), json!({ "data": [] }));
}

#[test]
fn every_type_of_its_topics_is_told_or_is_none_of_its_business() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    for (topic, kinds) in TOPICS {
        for kind in kinds {
            let (from, to) = (ada.id.to_hex(), bea.id.to_hex());
            let data = json!({
                "requestId": ObjectId::new().to_hex(), "status": "interested", "messageId": ObjectId::new().to_hex(),
                "fromUserId": from, "toUserId": to, "text": "hi", "socketId": "s", "skills": ["rust"],
                "userId": to, "message": "hi", "notificationId": ObjectId::new().to_hex(),
            });
            app.publish(topic, &from, kind, envelope(kind, ada.id, data));
        }
    }
    settle(&app);
    for (topic, _) in TOPICS {
        assert_eq!(app.dead_letters(topic), []);
    }
    for failure in FAILURES {
        assert_eq!(app.count("notifications", failure), 0, "{failure}");
    }
    assert!(app.count("notifications", "answered") > 0);
}

/// The first page is asked for once, until something comes or is read.
#[test]
fn a_page_that_did_not_change_costs_no_question() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    connection(&app, "CONNECTION_REQUEST", "interested", &ada, &bea);
    settle(&app);
    let page = || {
        let reply = app.get("/notifications").token(&bea.token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["data"].as_array().unwrap().clone()
    };
    let [first] = &page()[..] else { panic!("one notification") };
    let id = first["_id"].as_str().unwrap().to_owned();
    assert_eq!(app.questions(|| (0..3).for_each(|_| assert_eq!(page().len(), 1))), 0);
    let read = app.post(&format!("/notifications/{id}/read")).token(&bea.token).send();
    assert_eq!(read.status, 200, "{}", read.text());
    assert!(page()[0]["readAt"].is_string(), "what was read is seen to be read");
    app.clock().advance(1_000);
    for count in [1, 2] {
        message(&app, &ada, &bea);
        settle(&app);
        assert_eq!(page()[0]["count"], count, "what comes, and what counts on, is seen");
    }
    assert_eq!(app.questions(|| (0..3).for_each(|_| assert_eq!(page().len(), 2))), 0);
}
