//! Who is there: registering, asking, and who is told.

use crate::members::{connect, member, pair};
use harness::{App, Emitted, ObjectId, Target, json};

fn app() -> App {
    App::with(&["messaging"])
}

/// Attack (API1): registering a socket as somebody else. Outcome: refused, nobody comes online.
#[test]
fn a_member_registers_as_nobody_else() {
    let app = app();
    let (ada, bob) = pair(&app);
    let socket = app.socket(ada.id);
    for spoofed in
        [json!(bob.hex()), json!(null), json!({ "userId": ada.hex() }), json!(5), json!("x"), json!([ada.hex()])]
    {
        let error = socket.send("register", &spoofed).unwrap();
        assert_eq!(error, json!({ "event": "register", "message": "You can only register as yourself" }));
    }
    assert!(app.sockets().present(ada.id).is_empty() && app.sockets().present(bob.id).is_empty());
    assert_eq!(socket.ask("register", &json!(ada.hex())), json!({ "ok": true }));
    assert_eq!(app.sockets().present(ada.id), [socket.id()]);
}

#[test]
fn connections_learn_who_is_there_and_strangers_do_not() {
    let app = app();
    let (ada, bob) = pair(&app);
    let eve = member(&app, "Eve");
    app.socket(ada.id).ask("register", &json!(ada.hex()));
    for (who, online) in [(&bob, true), (&ada, true), (&eve, false)] {
        let socket = app.socket(who.id);
        assert_eq!(socket.send("presence:query", &json!({ "userId": ada.hex() })), None);
        let payload = json!({ "userId": ada.hex(), "online": online });
        let targets = vec![Target::Socket(socket.id().into())];
        assert_eq!(app.sockets().take(), [Emitted { targets, event: "presence:state".into(), payload }]);
    }
    let ack = app.socket(ada.id).ask("presence:query", &json!({ "userId": bob.hex() }));
    assert_eq!(ack, json!({ "ok": true, "userId": bob.hex(), "online": false }));
    for bad in [json!(null), json!({}), json!({ "userId": 5 }), json!({ "userId": { "$gt": "" } })] {
        assert_eq!(app.socket(ada.id).ask("presence:query", &bad)["ok"], false);
    }
}

#[test]
fn accepted_connections_are_told_and_the_event_is_published() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cem, dan, eve) = (member(&app, "Cem"), member(&app, "Dan"), member(&app, "Eve"));
    connect(&app, cem.id, ada.id, "accepted");
    connect(&app, ada.id, dan.id, "interested");
    connect(&app, eve.id, ada.id, "rejected");
    app.tell_presence(ada.id, true, "s1").unwrap();
    let told = app.sockets().take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].event, "presence");
    assert_eq!(told[0].payload, json!({ "userId": ada.hex(), "online": true }));
    let mut targets = told[0].targets.clone();
    targets.sort();
    let mut expected = vec![Target::User(bob.hex()), Target::User(cem.hex())];
    expected.sort();
    assert_eq!(targets, expected);
    app.tell_presence(ada.id, false, "s2").unwrap();
    assert_eq!(app.sockets().take()[0].payload, json!({ "userId": ada.hex(), "online": false }));
    let events = app.events("user-events");
    let seen: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.value["data"].clone())).collect();
    assert_eq!(seen, [("USER_ONLINE", json!({ "socketId": "s1" })), ("USER_OFFLINE", json!({ "socketId": "s2" }))]);
    assert!(events.iter().all(|event| event.key == ada.hex() && event.value["userId"] == ada.hex()));
}

#[test]
fn a_member_with_thousands_of_connections_has_all_of_them_told() {
    let app = app();
    let ada = member(&app, "Ada");
    let others: Vec<ObjectId> = (0..2_100).map(|_| ObjectId::new()).collect();
    for (at, other) in others.iter().enumerate() {
        let (from, to) = if at % 3 == 0 { (*other, ada.id) } else { (ada.id, *other) };
        connect(&app, from, to, "accepted");
    }
    app.tell_presence(ada.id, true, "s1").unwrap();
    let mut told: Vec<Target> = app.sockets().take().into_iter().flat_map(|emitted| emitted.targets).collect();
    told.sort();
    let mut expected: Vec<Target> = others.iter().map(|other| Target::User(other.to_hex())).collect();
    expected.sort();
    assert_eq!(told, expected);
}
