//! All that is held of a member, in one answer or in several, and nothing that is a secret or another one's.

use harness::{App, DateTime, Document, ObjectId, START, Value, doc, json};

use crate::{Member, again, app, member};

fn at(seconds: u64) -> DateTime {
    DateTime::from_millis((START + seconds * 1_000).cast_signed())
}

fn message(from: ObjectId, to: ObjectId, text: &str) -> Document {
    let pair = format!("{}:{}", from.min(to), from.max(to));
    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": text, "ts": at(0), "pair": pair, "seq": 1_i64 }
}

fn request(from: ObjectId, to: ObjectId, status: &str) -> Document {
    let pair = format!("{}:{}", from.min(to), from.max(to));
    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "createdAt": at(0), "pair": pair }
}

fn notification(of: ObjectId, text: &str) -> Document {
    doc! { "_id": ObjectId::new(), "userId": of, "type": "SYSTEM_NOTIFICATION", "message": text, "count": 1, "createdAt": at(0) }
}

fn export(app: &App, member: &Member, query: &str) -> Value {
    let reply = app.get(&format!("/account/export{query}")).token(&member.token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// A field of each row of a list.
fn each<'a>(exported: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    exported[list].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[test]
fn one_answer_has_all_of_a_member_who_has_little() {
    let app = app();
    let (ada, bea, cyd) = (member(&app, "Ada"), member(&app, "Bea"), ObjectId::new());
    again(&app, &ada);
    app.insert_all(
        "messages",
        [message(ada.id, bea.id, "hello"), message(bea.id, ada.id, "hello back"), message(bea.id, cyd, "about Ada")],
    );
    app.insert_all(
        "connectionrequests",
        [
            request(ada.id, bea.id, "accepted"),
            request(cyd, ada.id, "interested"),
            request(ObjectId::new(), ada.id, "ignore"),
            request(cyd, bea.id, "interested"),
        ],
    );
    app.insert_all("notifications", [notification(ada.id, "for Ada"), notification(bea.id, "for Bea")]);
    for (of, day) in [(ada.id, "2026-01-15"), (bea.id, "2026-01-15")] {
        app.insert("requestcounters", doc! { "_id": format!("{of}:{day}"), "used": 3, "expiresAt": at(9) });
        app.insert("useractivity", doc! { "_id": format!("{of}/{day}"), "userId": of, "day": day, "logins": 2 });
        app.insert("mailsuggestions", doc! { "_id": of, "at": at(0) });
        for state in ["done", "pending"] {
            let id = format!("{of}-{state}");
            app.insert("payments", doc! { "_id": id, "userId": of, "membershipTier": "gold", "state": state });
        }
    }
    let reply = app.get("/account/export").token(&ada.token).send();
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"devconnect-account.json\""));
    let all = reply.json();
    assert_eq!((&all["exportedAt"], all.get("next")), (&json!("2026-01-15T12:00:00.000Z"), None));
    assert_eq!((&all["profile"]["_id"], &all["profile"]["emailId"]), (&json!(ada.id.to_hex()), &json!(ada.email)));
    assert!(all["profile"]["emailPreferences"]["welcomeEmail"].is_boolean());
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(
        (each(&all, "messagesSent", "text"), each(&all, "messagesReceived", "text")),
        (vec!["hello"], vec!["hello back"])
    );
    assert_eq!(each(&all, "requestsSent", "status"), ["accepted"]);
    assert_eq!(each(&all, "requestsReceived", "status"), ["interested"], "who ignores a member is not told");
    assert_eq!(each(&all, "notifications", "message"), ["for Ada"]);
    assert_eq!(each(&all, "activity", "day"), ["2026-01-15"]);
    assert_eq!(each(&all, "requestCounters", "_id"), [format!("{}:2026-01-15", ada.id)]);
    assert_eq!(each(&all, "mailSuggestions", "_id"), [ada.id.to_hex()]);
    assert_eq!(each(&all, "payments", "_id"), [format!("{}-done", ada.id)]);
    let text = reply.text();
    for secret in ["\"password\"", "argon2", "emailKey", "tokenHash", "about Ada", "for Bea", "\"pair\""] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn what_does_not_fit_into_an_answer_is_in_the_next_ones_and_each_comes_once() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), ObjectId::new());
    // About 16 MiB of messages, of which one answer has 12.
    let long = "x".repeat(20_000);
    let sent: Vec<Document> = (0..550).map(|number| message(ada.id, bea, &format!("{number:04} {long}"))).collect();
    app.insert_all("messages", sent);
    let received: Vec<Document> = (0..250).map(|number| message(bea, ada.id, &format!("{number:04} {long}"))).collect();
    app.insert_all("messages", received);
    let (mut query, mut answers, mut came) = (String::new(), 0, [Vec::new(), Vec::new()]);
    loop {
        let reply = app.get(&format!("/account/export{query}")).token(&ada.token).send();
        assert!(reply.status == 200 && reply.text().len() <= (12 << 20) + 1_024, "{} bytes", reply.text().len());
        let part = reply.json();
        assert_eq!(part.get("profile").is_some(), answers == 0);
        for (list, came) in ["messagesSent", "messagesReceived"].iter().zip(&mut came) {
            let rows = part.get(*list).and_then(Value::as_array).into_iter().flatten();
            came.extend(rows.map(|row| row["text"].as_str().unwrap()[..4].to_owned()));
        }
        answers += 1;
        let Some(next) = part["next"].as_str() else { break };
        query = format!("?cursor={next}");
    }
    assert_eq!(answers, 2);
    for (came, count) in came.into_iter().zip([550, 250]) {
        assert_eq!(came, (0..count).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    }
    assert_eq!(app.count("account", "memory"), 0);
}

#[test]
fn an_old_document_of_any_size_is_there_without_its_largest_fields() {
    let app = app();
    let ada = member(&app, "Ada");
    let mut old = message(ada.id, ObjectId::new(), &"x".repeat(1 << 20));
    old.insert("odd", doc! { "deep": [1, { "er": null }] });
    old.remove("pair");
    app.insert("messages", old);
    let all = export(&app, &ada, "");
    let row = &all["messagesSent"][0];
    assert_eq!((row.get("text"), &row["odd"]["deep"][0]), (None, &json!(1)));
}

/// Attack (API1, injection): cursors that are none, or name what no list is. Outcome: 400, or what there is of one's own.
#[test]
fn a_cursor_opens_nothing_else() {
    let app = app();
    let (ada, eve) = (member(&app, "Ada"), member(&app, "Eve"));
    app.insert("messages", message(ada.id, ObjectId::new(), "for one alone"));
    let zero = "0".repeat(24);
    for garbage in
        ["x", "-", "messagesSent", "messagesSent-", "users-1", "profile-1", "messagesSent-%24ne", "messagesSent-1-2"]
    {
        let reply = app.get(&format!("/account/export?cursor={garbage}")).token(&eve.token).send();
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (400, "cursor must be the `next` of an export"),
            "{garbage}"
        );
    }
    let part = export(&app, &eve, &format!("?cursor=messagesSent-{zero}&userId={}", ada.id));
    assert_eq!((&part["messagesSent"], part.get("profile")), (&json!([]), None));
    assert_eq!(app.get("/account/export").send().status, 401);
    let gone = app.log_in(ObjectId::new());
    assert_eq!(app.get("/account/export").token(&gone).send().status, 404);
}

#[test]
fn a_member_exports_so_often() {
    let app = App::with_config(&["account", "auth"], "[settings]\n\"limits.exports\" = \"2\"");
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    let statuses = |member: &Member| [0; 3].map(|_| app.get("/account/export").token(&member.token).send().status);
    assert_eq!((statuses(&ada), statuses(&bea)), ([200, 200, 429], [200, 200, 429]));
    app.clock().advance(3_600_000);
    assert_eq!(statuses(&ada), [200, 200, 429]);
}
