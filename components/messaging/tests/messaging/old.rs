//! Messages of an earlier database: whatever is in one, the history comes, with every other message in it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use crate::members::pair;
use harness::{App, DateTime, ObjectId, doc, json, odd_values};

#[test]
fn one_odd_message_breaks_no_page() {
    let app = App::with(&["messaging"]);
    let (ada, bob) = pair(&app);
    let pair = format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
    let mut expected = Vec::new();
    for (number, (kind, value)) in (0_i64..).zip(odd_values()) {
        for field in ["text", "deliveredAt", "readAt", "createdAt", "odd"] {
            let (id, ts) = (ObjectId::new(), DateTime::from_millis(1_700_000_000_000 + number));
            let mut message =
                doc! { "_id": id, "fromUserId": ada.id, "toUserId": bob.id, "text": kind, "ts": ts, "pair": &pair };
            message.insert(field, value.clone());
            app.insert("messages", message);
            expected.push(id.to_hex());
        }
    }
    for limit in [200, 7] {
        let (mut all, mut before) = (Vec::<String>::new(), String::new());
        loop {
            let reply = app.get(&format!("/chat/{}/history?limit={limit}{before}", bob.hex())).token(&ada.token).send();
            assert_eq!(reply.status, 200, "{}", reply.text());
            let page = reply.json()["data"].as_array().unwrap().clone();
            let Some(oldest) = page.first() else { break };
            before = format!("&before={}", oldest["_id"].as_str().unwrap());
            assert!(page.iter().all(|message| message["text"].is_string()), "each has a text");
            all.splice(0..0, page.iter().map(|message| message["_id"].as_str().unwrap().to_owned()));
        }
        all.sort_unstable();
        expected.sort_unstable();
        assert_eq!(all, expected, "pages of {limit}");
    }
    // And a message follows.
    let ack = app.socket(ada.id).ask("private-message", &json!({ "toUserId": bob.hex(), "message": "new" }));
    assert_eq!(ack["ok"], true, "{ack}");
}

#[test]
fn a_conversation_goes_on_behind_a_moment_that_is_none() {
    let app = App::with(&["messaging"]);
    for (kind, value) in odd_values() {
        let (ada, bob) = pair(&app);
        let pair = format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
        let message = doc! { "_id": ObjectId::new(), "fromUserId": ada.id, "toUserId": bob.id, "text": "old", "ts": value, "pair": pair };
        app.insert("messages", message);
        let ack = app.socket(ada.id).ask("private-message", &json!({ "toUserId": bob.hex(), "message": "new" }));
        assert_eq!(ack["ok"], true, "{kind}: {ack}");
        let reply = app.get(&format!("/chat/{}/history", bob.hex())).token(&ada.token).send();
        assert_eq!((reply.status, reply.json()["data"].as_array().map(Vec::len)), (200, Some(2)), "{kind}");
    }
}

/// Two hundred of the longest messages are one page.
#[test]
fn a_page_of_the_longest_messages_comes() {
    let app = App::with(&["messaging"]);
    let (ada, bob) = pair(&app);
    let pair = format!("{}:{}", ada.id.min(bob.id), ada.id.max(bob.id));
    let text = "\u{1f642}".repeat(5_000);
    let message = |n: i64| {
        let ts = DateTime::from_millis(1_700_000_000_000 + n);
        doc! { "_id": ObjectId::new(), "fromUserId": ada.id, "toUserId": bob.id, "text": &text, "ts": ts, "pair": &pair }
    };
    (0..200).for_each(|n| app.insert("messages", message(n)));
    let reply = app.get(&format!("/chat/{}/history?limit=200", bob.hex())).token(&ada.token).send();
    assert_eq!(reply.status, 200, "{}", reply.text().chars().take(300).collect::<String>());
    let page = reply.json()["data"].as_array().unwrap().clone();
    assert!(page.len() == 200 && page.iter().all(|message| message["text"] == text));
}
