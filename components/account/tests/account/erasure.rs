//! What a deleted account leaves: erased by a first pass within minutes, and by a second one a day later; what is somebody else's
//! stays.

use harness::{App, DateTime, Document, ObjectId, START, doc};

use crate::{DAY, PASSWORD, app, delete, member};

const CRON: &str = "*/5 * * * *";
/// Milliseconds.
const TICK: u64 = 300_000;

fn ticked(app: &App, at: u64) {
    app.clock().set(at);
    app.until_ticked("account", CRON, at);
}

fn message(from: ObjectId, to: ObjectId, text: &str) -> Document {
    let ts = DateTime::from_millis(START.cast_signed());
    let pair = format!("{}:{}", from.min(to), from.max(to));
    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": text, "ts": ts, "pair": pair, "seq": 1_i64 }
}

fn request(from: ObjectId, to: ObjectId, status: &str) -> Document {
    let pair = format!("{}:{}", from.min(to), from.max(to));
    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "pair": pair }
}

fn notification(of: ObjectId, from: Option<ObjectId>) -> Document {
    let mut document =
        doc! { "_id": ObjectId::new(), "userId": of, "type": "MESSAGE_SENT", "message": "Ada sent you a message" };
    if let Some(from) = from {
        document.insert("fromUserId", from);
    }
    document
}

fn count(app: &App, collection: &str) -> usize {
    app.find(collection, doc! {}).len()
}

#[test]
fn a_pass_erases_what_is_the_members_and_leaves_what_is_others() {
    let app = app();
    let (ada, bea, cyd) = (member(&app, "Ada"), member(&app, "Bea"), member(&app, "Cyd"));
    let kept = [message(bea.id, ada.id, "Bea's own"), message(bea.id, cyd.id, "not about Ada")];
    app.insert_all("messages", kept.clone());
    app.insert_all("messages", [message(ada.id, bea.id, "Ada's"), message(ada.id, cyd.id, "Ada's")]);
    let between = request(bea.id, cyd.id, "accepted");
    app.insert_all(
        "connectionrequests",
        [between.clone(), request(ada.id, bea.id, "accepted"), request(cyd.id, ada.id, "ignore")],
    );
    let of_bea = notification(bea.id, Some(cyd.id));
    app.insert_all(
        "notifications",
        [
            of_bea.clone(),
            notification(bea.id, Some(ada.id)),
            notification(ada.id, Some(bea.id)),
            notification(ada.id, None),
        ],
    );
    let ends = DateTime::from_millis((START + DAY).cast_signed());
    for of in [ada.id, bea.id] {
        app.insert("requestcounters", doc! { "_id": format!("{of}:2026-01-15"), "used": 1, "expiresAt": ends });
        app.insert("mailsuggestions", doc! { "_id": of });
    }
    let conversation = doc! { "_id": format!("{}:{}", ada.id.min(bea.id), ada.id.max(bea.id)), "seq": 2_i64 };
    app.insert("conversations", conversation);
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    ticked(&app, START + TICK);

    let texts = |collection: &str| -> Vec<Document> { app.find(collection, doc! {}) };
    assert_eq!(texts("messages"), kept);
    assert_eq!(texts("connectionrequests"), [between]);
    assert_eq!(texts("notifications"), [of_bea]);
    assert_eq!(app.find("requestcounters", doc! {})[0].get_str("_id").unwrap(), format!("{}:2026-01-15", bea.id));
    assert_eq!(app.find("mailsuggestions", doc! {})[0].get_object_id("_id").unwrap(), bea.id);
    assert_eq!(count(&app, "conversations"), 1, "it numbers Bea's messages");
    // Nobody but the note and the sessions, which the host deletes, knows of the member.
    assert_eq!(app.find("accountdeletions", doc! {})[0].get_object_id("_id").unwrap(), ada.id);
}

#[test]
fn what_comes_late_is_erased_a_day_later_and_then_nothing_is_left() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    ticked(&app, START + TICK);
    // What was on its way when the account was deleted.
    app.insert("messages", message(ada.id, bea.id, "late"));
    app.insert("connectionrequests", request(bea.id, ada.id, "interested"));
    app.insert("notifications", notification(ada.id, Some(bea.id)));
    ticked(&app, START + DAY);
    assert_eq!((count(&app, "messages"), count(&app, "accountdeletions")), (1, 1), "a day after the first pass");
    ticked(&app, START + DAY + TICK);
    for collection in ["messages", "connectionrequests", "notifications", "accountdeletions"] {
        assert_eq!(count(&app, collection), 0, "{collection}");
    }
    // Those of one key are in their order.
    let events = app.events("user-events").into_iter().filter(|event| event.key == ada.id.to_hex());
    let kinds: Vec<String> = events.map(|event| event.kind).collect();
    assert_eq!(kinds, ["USER_SIGNUP", "USER_DELETED", "USER_ERASED"]);
    // And the passes of other days have nothing to do.
    ticked(&app, START + 3 * DAY);
    assert_eq!(app.events("user-events").len(), 4);
    for failure in harness::FAILURES {
        assert_eq!(app.count("account", failure), 0, "{failure}");
    }
}

#[test]
fn a_pass_goes_page_by_page_and_account_by_account() {
    let app = app();
    let (ada, bea, cyd) = (member(&app, "Ada"), member(&app, "Bea"), member(&app, "Cyd"));
    for of in [&ada, &bea] {
        app.insert_all("messages", (0..250).map(|number| message(of.id, cyd.id, &number.to_string())));
        app.insert_all("connectionrequests", (0..201).map(|_| request(ObjectId::new(), of.id, "interested")));
        app.insert_all("notifications", (0..100).map(|_| notification(of.id, Some(cyd.id))));
        assert_eq!(delete(&app, &of.token, PASSWORD).status, 200);
    }
    app.insert_all("messages", (0..3).map(|number| message(cyd.id, ada.id, &number.to_string())));
    ticked(&app, START + TICK);
    let left = ["messages", "connectionrequests", "notifications"].map(|collection| count(&app, collection));
    assert_eq!(left, [3, 0, 0]);
    assert!(app.find("accountdeletions", doc! {}).iter().all(|one| one.get_i32("passes").unwrap() == 1));
}

#[test]
fn old_and_odd_documents_keep_no_pass_from_its_end() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    let mut without_pair = message(ada.id, bea.id, "old");
    without_pair.remove("pair");
    let mut odd_pair = message(ada.id, bea.id, "odd");
    odd_pair.insert("pair", doc! { "a": [1] });
    app.insert_all("messages", [without_pair, odd_pair, message(ada.id, bea.id, "today's")]);
    let mut to_nobody = request(ada.id, bea.id, "interested");
    to_nobody.remove("toUserId");
    app.insert("connectionrequests", to_nobody);
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    ticked(&app, START + TICK);
    let left: Vec<String> =
        app.find("messages", doc! {}).iter().map(|one| one.get_str("text").unwrap().to_owned()).collect();
    assert_eq!((left, count(&app, "connectionrequests")), (vec!["odd".to_owned()], 0));
    ticked(&app, START + DAY + 2 * TICK);
    assert_eq!(count(&app, "accountdeletions"), 0);
}

#[test]
fn what_others_have_cached_of_the_member_is_over() {
    let app = App::with(&["account", "auth", "connections", "messaging"]);
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    app.insert("connectionrequests", request(ada.id, bea.id, "accepted"));
    app.insert("messages", message(ada.id, bea.id, "Ada's"));
    let connections = || app.get("/user/connections").token(&bea.token).send().json()["data"].as_array().unwrap().len();
    let history = || {
        let reply = app.get(&format!("/chat/{}/history", ada.id)).token(&bea.token).send();
        reply.json()["data"].as_array().unwrap().len()
    };
    assert_eq!((connections(), history()), (1, 1));
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    assert_eq!(connections(), 0, "at once: the account is gone");
    ticked(&app, START + TICK);
    assert_eq!((connections(), history()), (0, 0));
    let ack = app
        .socket(bea.id)
        .ask("private-message", &harness::json!({ "toUserId": ada.id.to_hex(), "message": "hello?" }));
    assert_eq!(ack["ok"], false, "{ack}");
}
