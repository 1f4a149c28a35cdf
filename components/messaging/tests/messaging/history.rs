//! The history over HTTP: pages, order, what is shown, and that the cache never makes it wrong.

use crate::members::{Member, connect, member, pair};
use harness::{App, DateTime, ObjectId, Value, doc, json};

fn app() -> App {
    App::with(&["messaging"])
}

fn send(app: &App, from: &Member, to: &Member, text: &str) -> String {
    let ack = app.socket(from.id).ask("private-message", &json!({ "toUserId": to.hex(), "message": text }));
    ack["_id"].as_str().unwrap_or_else(|| panic!("{ack}")).to_owned()
}

fn history(app: &App, me: &Member, other: &Member, query: &str) -> Vec<Value> {
    let reply = app.get(&format!("/chat/{}/history{query}", other.hex())).token(&me.token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"].as_array().unwrap().clone()
}

fn texts(page: &[Value]) -> Vec<&str> {
    page.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

/// A message as the earlier database has it, with what is filled in at start.
fn old(app: &App, from: &Member, to: &Member, text: &str, at: i64) -> ObjectId {
    let id = ObjectId::new();
    let pair = format!("{}:{}", from.id.min(to.id), from.id.max(to.id));
    let ts = DateTime::from_millis(at);
    app.insert(
        "messages",
        doc! { "_id": id, "fromUserId": from.id, "toUserId": to.id, "text": text, "ts": ts, "createdAt": ts, "updatedAt": ts, "pair": pair, "__v": 0 },
    );
    id
}

#[test]
fn it_is_oldest_first_and_the_same_for_both() {
    let app = app();
    let (ada, bob) = pair(&app);
    let first = send(&app, &ada, &bob, "one");
    app.clock().advance(1_500);
    send(&app, &bob, &ada, "two");
    let page = history(&app, &ada, &bob, "");
    assert_eq!(page, history(&app, &bob, &ada, ""));
    let expected = json!({
        "_id": first, "fromUserId": ada.hex(), "toUserId": bob.hex(), "text": "one", "ts": "2026-01-15T12:00:00.000Z",
    });
    assert_eq!(page[0], expected);
    assert_eq!(page[1]["ts"], "2026-01-15T12:00:01.500Z");
    assert!(history(&app, &ada, &member(&app, "Eve"), "").is_empty());
}

#[test]
fn pages_have_every_message_once() {
    let app = app();
    let (ada, bob) = pair(&app);
    // Many share a moment, and the oldest are of the earlier database.
    let base = harness::START as i64;
    let mut expected: Vec<String> = (0..30).map(|n| format!("old {n}")).collect();
    for (n, text) in expected.iter().enumerate() {
        old(&app, &ada, &bob, text, base - 10 + n as i64 / 4);
    }
    for n in 0..70 {
        let text = format!("new {n}");
        send(&app, if n % 2 == 0 { &ada } else { &bob }, if n % 2 == 0 { &bob } else { &ada }, &text);
        expected.push(text);
        app.clock().advance(u64::from(n % 5 == 0));
    }
    for limit in [1, 7, 50, 200] {
        let (mut all, mut before) = (Vec::new(), String::new());
        loop {
            let page = history(&app, &ada, &bob, &format!("?limit={limit}{before}"));
            let Some(oldest) = page.first() else { break };
            before = format!("&before={}", oldest["_id"].as_str().unwrap());
            all.splice(0..0, page.iter().map(|message| message["text"].as_str().unwrap().to_owned()));
        }
        assert_eq!(all, expected, "pages of {limit}");
    }
}

#[test]
fn bad_questions_are_refused_in_words() {
    let app = app();
    let (ada, bob) = pair(&app);
    let eve = member(&app, "Eve");
    let foreign = old(&app, &eve, &bob, "secret", 1).to_hex();
    for query in [
        "?limit=x",
        "?limit=0",
        "?limit=-1",
        "?before=x",
        &format!("?before={}", ObjectId::new()),
        &format!("?before={foreign}"),
    ] {
        let reply = app.get(&format!("/chat/{}/history{query}", bob.hex())).token(&ada.token).send();
        assert_eq!(reply.status, 400, "{query}");
        assert!(!reply.message().is_empty());
    }
    assert_eq!(app.get("/chat/nobody/history").token(&ada.token).send().status, 404);
    let nobody = app.get(&format!("/chat/{}/history", bob.hex())).send();
    assert_eq!((nobody.status, nobody.text().as_str()), (401, "Please login"));
    assert_eq!(history(&app, &ada, &bob, "?limit=100000").len(), 0, "a larger limit is the largest one");
}

#[test]
fn what_is_cached_is_never_old() {
    let app = app();
    let (ada, bob) = pair(&app);
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(send(&app, &ada, &bob, &n.to_string()));
        // Asked again and again, so that the list is there and grows with each message.
        let page = history(&app, &bob, &ada, "?limit=5");
        let newest: Vec<String> = (n.max(4) - 4..=n).map(|n| n.to_string()).collect();
        assert_eq!(texts(&page), newest);
    }
    assert_eq!(history(&app, &bob, &ada, "").len(), 50);
    let stamp = app.socket(bob.id).ask("message:read", &json!({ "_id": ids[59] }));
    assert_eq!(stamp["ok"], true);
    let page = history(&app, &ada, &bob, "");
    assert!(page[49]["readAt"].is_string() && page[48].get("readAt").is_none());
    assert_eq!(history(&app, &bob, &ada, "?limit=3"), page[47..]);
}

/// History, sending, typing and whether somebody is there: once it was asked, the documents are asked for nothing that did not
/// change.
#[test]
fn what_is_asked_again_costs_no_question() {
    let app = app();
    let (ada, bob) = pair(&app);
    let cy = member(&app, "Cy");
    connect(&app, cy.id, ada.id, "accepted");
    for n in 0..30 {
        old(&app, &ada, &bob, &format!("old {n}"), harness::START as i64 - 1_000 + n);
    }
    let sent = send(&app, &ada, &bob, "new");
    app.socket(bob.id).appear();
    let ask = || {
        for (me, other) in [(&ada, &bob), (&bob, &ada), (&ada, &cy)] {
            history(&app, me, other, "");
            history(&app, me, other, "?limit=50");
            history(&app, me, other, "?limit=7");
            assert_eq!(app.socket(me.id).ask("presence:query", &json!({ "userId": other.hex() }))["ok"], true);
            assert_eq!(app.socket(me.id).send("typing", &json!({ "toUserId": other.hex() })), None);
        }
        app.tell_presence(ada.id, true, "s").unwrap();
    };
    ask();
    assert_eq!(app.questions(ask), 0);
    // What it costs behind each kind of change, and what is found then.
    app.socket(bob.id).ask("message:read", &json!({ "_id": sent }));
    assert_eq!(app.questions(ask), 1, "the history of one pair is read again");
    assert_eq!(app.questions(ask), 0);
    let page = history(&app, &ada, &bob, "?limit=1");
    assert!(page[0]["readAt"].is_string(), "{page:?}");
    send(&app, &bob, &ada, "newer");
    assert_eq!(texts(&history(&app, &ada, &bob, "?limit=2")), ["new", "newer"]);
    assert_eq!(app.questions(ask), 0);
}
