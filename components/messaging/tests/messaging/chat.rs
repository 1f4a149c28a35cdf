//! Messages over sockets, and what becomes of them.

use crate::members::{Member, connect, member, pair};
use harness::{App, Document, Emitted, Target, Value, doc, json};

fn app() -> App {
    App::with(&["messaging"])
}

fn messages(app: &App) -> Vec<Document> {
    app.find("messages", doc! {})
}

fn conversations(app: &App) -> Vec<Document> {
    app.find("conversations", doc! {})
}

fn refusal(app: &App, from: &Member, event: &str, payload: &Value) -> String {
    let ack = app.socket(from.id).ask(event, payload);
    assert_eq!(ack["ok"], false, "{event} {payload}: {ack}");
    ack["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_is_stored_told_and_shown_to_both() {
    let app = app();
    let (ada, bob) = pair(&app);
    let payload = json!({ "toUserId": bob.hex(), "message": "  hello  ", "fromUserId": bob.hex(), "clientId": "c1" });
    let ack = app.socket(ada.id).ask("private-message", &payload);

    let stored = messages(&app);
    assert_eq!(stored.len(), 1);
    let id = stored[0].get_object_id("_id").unwrap();
    assert_eq!(stored[0].get_str("text").unwrap(), "hello");
    assert_eq!(stored[0].get_object_id("fromUserId").unwrap(), ada.id, "whatever the payload says");
    assert_eq!(stored[0].get_i64("seq").unwrap(), 1);
    assert_eq!(stored[0].get_datetime("ts").unwrap().timestamp_millis() as u64, harness::START);
    assert_eq!(conversations(&app)[0].get_i64("seq").unwrap(), 1);
    assert_eq!(ack, json!({ "ok": true, "_id": id.to_hex(), "ts": harness::START }));

    let live = json!({
        "message": "hello", "fromUserId": ada.hex(), "toUserId": bob.hex(), "ts": harness::START, "_id": id.to_hex(), "clientId": "c1",
    });
    let targets = vec![Target::User(ada.hex()), Target::User(bob.hex())];
    assert_eq!(app.sockets().take(), [Emitted { targets, event: "private-message".into(), payload: live }]);

    let told = app.events("message-events");
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].kind.as_str(), told[0].value["userId"].as_str()), ("MESSAGE_SENT", Some(&*ada.hex())));
    assert_eq!(told[0].key, format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id)));
    let data = json!({
        "messageId": id.to_hex(), "fromUserId": ada.hex(), "toUserId": bob.hex(), "text": "hello", "ts": "2026-01-15T12:00:00.000Z",
    });
    assert_eq!(told[0].value["data"], data);
}

/// Attack (API1): messages to strangers. Outcome: refused, nothing is stored or sent.
#[test]
fn only_connected_members_write_to_each_other() {
    let app = app();
    let (ada, bob, eve) = (member(&app, "Ada"), member(&app, "Bob"), member(&app, "Eve"));
    connect(&app, ada.id, bob.id, "interested");
    connect(&app, eve.id, ada.id, "rejected");
    for to in [bob.hex(), eve.hex(), ada.hex(), harness::ObjectId::new().to_hex()] {
        let said = refusal(&app, &ada, "private-message", &json!({ "toUserId": to, "message": "hi" }));
        assert_eq!(said, "You are not connected with this user");
        assert_eq!(refusal(&app, &ada, "typing", &json!({ "toUserId": to })), said);
    }
    assert!(messages(&app).is_empty() && app.sockets().take().is_empty() && app.events("message-events").is_empty());
}

#[test]
fn a_bad_payload_is_refused_in_words_and_does_nothing() {
    let app = app();
    let (ada, bob) = pair(&app);
    let to = bob.hex();
    for payload in [
        json!(null),
        json!(5),
        json!("text"),
        json!([]),
        json!({}),
        json!({ "toUserId": &to }),
        json!({ "message": "hi" }),
        json!({ "toUserId": { "$ne": null }, "message": "hi" }),
        json!({ "toUserId": "nobody", "message": "hi" }),
        json!({ "toUserId": [&to], "message": "hi" }),
        json!({ "toUserId": &to, "message": 5 }),
        json!({ "toUserId": &to, "message": null }),
        json!({ "toUserId": &to, "message": { "a": 1 } }),
        json!({ "toUserId": &to, "message": "" }),
        json!({ "toUserId": &to, "message": " \n " }),
        json!({ "toUserId": &to, "message": "x".repeat(5_001) }),
        json!({ "toUserId": &to, "message": "hi", "clientId": 5 }),
        json!({ "toUserId": &to, "message": "hi", "clientId": "" }),
        json!({ "toUserId": &to, "message": "hi", "clientId": "x".repeat(129) }),
    ] {
        let said = refusal(&app, &ada, "private-message", &payload);
        assert!(!said.is_empty() && !said.contains("wrong on our side"), "{payload}: {said}");
        let error = app.socket(ada.id).send("private-message", &payload).unwrap();
        assert_eq!((&error["event"], &error["message"]), (&json!("private-message"), &json!(said)));
    }
    assert!(messages(&app).is_empty() && app.sockets().take().is_empty());
    let longest = json!({ "toUserId": &to, "message": "é".repeat(5_000) });
    assert_eq!(app.socket(ada.id).ask("private-message", &longest)["ok"], true);
    assert_eq!(app.socket(ada.id).send("private-message", &longest), None);
    let unknown = app.socket(ada.id).ask("no-such-event", &json!(null));
    assert_eq!(unknown["message"], "There is no event \"no-such-event\" here");
}

#[test]
fn the_same_client_id_twice_is_one_message() {
    let app = app();
    let (ada, bob) = pair(&app);
    let payload = json!({ "toUserId": bob.hex(), "message": "once", "clientId": "c1" });
    let first = app.socket(ada.id).ask("private-message", &payload);
    app.clock().advance(60_000);
    let second = app.socket(ada.id).ask("private-message", &payload);
    assert_eq!(first, second);
    assert_eq!((messages(&app).len(), app.sockets().take().len(), app.events("message-events").len()), (1, 1, 1));
    assert_eq!(conversations(&app)[0].get_i64("seq").unwrap(), 1);
    // It is the sender's own name: another one may have the same.
    let other = json!({ "toUserId": ada.hex(), "message": "mine", "clientId": "c1" });
    assert_eq!(app.socket(bob.id).ask("private-message", &other)["ok"], true);
    assert_eq!(messages(&app).len(), 2);
}

#[test]
fn racing_messages_of_both_each_get_a_place() {
    let app = app();
    let (ada, bob) = pair(&app);
    let sockets = [(app.socket(ada.id), &bob), (app.socket(bob.id), &ada)];
    let payload = |to: &Member| json!({ "toUserId": to.hex(), "message": "hi" });
    let payloads: Vec<Value> = sockets.iter().map(|(_, to)| payload(to)).collect();
    let all = (0..10).flat_map(|_| sockets.iter().zip(&payloads));
    for ack in harness::all(all.map(|((socket, _), payload)| socket.begin("private-message", payload))) {
        assert_eq!(ack["ok"], true);
    }
    let mut places: Vec<i64> = messages(&app).iter().map(|message| message.get_i64("seq").unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=20).collect::<Vec<i64>>());
    assert_eq!(conversations(&app)[0].get_i64("seq").unwrap(), 20);
}

#[test]
fn the_cache_knows_the_newest_place_of_a_conversation_and_is_not_needed() {
    let app = app();
    let (ada, bob) = pair(&app);
    let key = format!("conversation:{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
    let known = || -> Value { serde_json::from_slice(&app.cached(&key).unwrap()).unwrap() };
    let send = |from: &Member, to: &Member| {
        app.socket(from.id).ask("private-message", &json!({ "toUserId": to.hex(), "message": "hi" }))
    };
    assert_eq!((send(&ada, &bob)["ok"].clone(), send(&bob, &ada)["ok"].clone()), (json!(true), json!(true)));
    assert_eq!(send(&ada, &bob)["ok"], true);
    assert_eq!(known()["seq"], 3);
    // Something else is under its key.
    app.set_recent(&key, [b"odd".to_vec()]);
    assert_eq!(send(&bob, &ada)["ok"], true);
    assert_eq!(send(&bob, &ada)["ok"], true);
    let mut places: Vec<i64> = messages(&app).iter().map(|message| message.get_i64("seq").unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, [1, 2, 3, 4, 5]);
    assert_eq!(conversations(&app)[0].get_i64("seq").unwrap(), 5);
    assert_eq!(known()["seq"], 5);
}

#[test]
fn time_never_goes_back_in_a_conversation() {
    let app = app();
    let (ada, bob) = pair(&app);
    let later = harness::DateTime::from_millis(harness::START as i64 + 5_000);
    let named = format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
    app.insert(
        "messages",
        doc! { "_id": harness::ObjectId::new(), "fromUserId": bob.id, "toUserId": ada.id, "text": "old", "ts": later, "pair": named },
    );
    let ack = app.socket(ada.id).ask("private-message", &json!({ "toUserId": bob.hex(), "message": "new" }));
    assert_eq!(ack["ts"], later.timestamp_millis());
    let ack = app.socket(bob.id).ask("private-message", &json!({ "toUserId": ada.hex(), "message": "newer" }));
    assert_eq!(ack["ts"], later.timestamp_millis());
    app.clock().advance(10_000);
    let ack = app.socket(bob.id).ask("private-message", &json!({ "toUserId": ada.hex(), "message": "newest" }));
    assert_eq!(ack["ts"], harness::START + 10_000);
}

#[test]
fn a_stamp_is_put_once_by_who_the_message_went_to() {
    let app = app();
    let (ada, bob) = pair(&app);
    let eve = member(&app, "Eve");
    let sent = app.socket(ada.id).ask("private-message", &json!({ "toUserId": bob.hex(), "message": "hi" }));
    let stamp = json!({ "_id": sent["_id"] });
    app.sockets().take();
    for (event, field, kind) in
        [("message:delivered", "deliveredAt", "MESSAGE_DELIVERED"), ("message:read", "readAt", "MESSAGE_READ")]
    {
        for stranger in [&ada, &eve] {
            assert_eq!(refusal(&app, stranger, event, &stamp), "Message not found");
        }
        app.clock().advance(1_000);
        let first = app.socket(bob.id).ask(event, &stamp);
        app.clock().advance(1_000);
        let second = app.socket(bob.id).ask(event, &stamp);
        assert_eq!(first, second, "the first one holds");
        let at = messages(&app)[0].get_datetime(field).unwrap().timestamp_millis();
        assert_eq!(first, json!({ "ok": true, "_id": sent["_id"], "at": at }));
        let targets = vec![Target::User(ada.hex())];
        let payload = json!({ "_id": sent["_id"], "at": at });
        assert_eq!(app.sockets().take(), [Emitted { targets, event: event.into(), payload }]);
        let told: Vec<_> = app.events("message-events").into_iter().filter(|told| told.kind == kind).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].value["userId"], bob.hex());
        assert_eq!(told[0].value["data"]["messageId"], sent["_id"]);
        assert!(told[0].value["data"]["at"].is_string());
    }
    for payload in
        [json!(null), json!({}), json!({ "_id": 5 }), json!({ "_id": { "$ne": null } }), json!({ "_id": "x" })]
    {
        assert!(!refusal(&app, &bob, "message:read", &payload).is_empty());
    }
}

#[test]
fn typing_is_shown_and_not_stored() {
    let app = app();
    let (ada, bob) = pair(&app);
    assert_eq!(app.socket(ada.id).send("typing", &json!({ "toUserId": bob.hex() })), None);
    let targets = vec![Target::User(bob.hex())];
    let payload = json!({ "fromUserId": ada.hex() });
    assert_eq!(app.sockets().take(), [Emitted { targets, event: "typing".into(), payload }]);
    assert!(messages(&app).is_empty() && app.events("message-events").is_empty());
}
