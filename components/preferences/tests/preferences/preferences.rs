//! Seeing and choosing which mails one wants.

use harness::{App, DateTime, Document, ObjectId, START, doc, json};

const PATH: &str = "/email-preferences";

/// A user as a sign-up stores it, in so far as it matters here, and the token of a session.
fn ada(app: &App) -> (ObjectId, String) {
    let id = ObjectId::new();
    app.insert("users", user(id));
    (id, app.log_in(id))
}

fn user(id: ObjectId) -> Document {
    doc! {
        "_id": id,
        "firstName": "Ada",
        "emailId": "ada@example.com",
        "emailKey": "ada@example.com",
        "password": "the hash",
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
        "membershipTier": "free",
        "updatedAt": DateTime::from_millis(0),
    }
}

fn stored(app: &App, id: ObjectId) -> Document {
    app.find("users", doc! { "_id": id }).into_iter().next().unwrap_or_default()
}

#[test]
fn a_user_sees_the_own_choices_and_nothing_else() {
    let app = App::with(&["preferences"]);
    let (id, token) = ada(&app);
    let reply = app.get(PATH).token(&token).send();
    let expected = json!({
        "success": true,
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
    });
    assert_eq!((reply.status, reply.json()), (200, expected));
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(stored(&app, id), user(id), "looking changes nothing");
}

#[test]
fn an_old_user_who_never_chose_sees_the_defaults() {
    let app = App::with(&["preferences"]);
    let defaults =
        json!({ "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false });
    for mut old in [doc! {}, doc! { "emailPreferences": {} }, doc! { "emailPreferences": null }] {
        let id = ObjectId::new();
        old.insert("_id", id);
        old.insert("emailId", id.to_hex());
        app.insert("users", old.clone());
        let reply = app.get(PATH).token(&app.log_in(id)).send();
        assert_eq!((reply.status, &reply.json()["emailPreferences"]), (200, &defaults), "{old}");
    }
}

#[test]
fn each_choice_can_be_changed_by_itself() {
    let app = App::with(&["preferences"]);
    let (id, token) = ada(&app);
    let mut expected =
        json!({ "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false });
    let changes = [
        ("welcomeEmail", false),
        ("connectionRequests", false),
        ("loginSuggestions", false),
        ("marketingEmails", true),
        ("welcomeEmail", true),
    ];
    for (kind, wanted) in changes {
        app.clock().advance(1_000);
        expected[kind] = wanted.into();
        let reply = app.patch(PATH).token(&token).json(&json!({ (kind): wanted })).send();
        assert_eq!(
            (reply.status, reply.json()),
            (200, json!({ "success": true, "emailPreferences": expected })),
            "{kind}"
        );
        assert_eq!(app.get(PATH).token(&token).send().json()["emailPreferences"], expected, "{kind}");
    }
    let mut document = user(id);
    document.insert(
        "emailPreferences",
        doc! { "welcomeEmail": true, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": true },
    );
    document.insert("updatedAt", DateTime::from_millis(START as i64 + 5_000));
    assert_eq!(stored(&app, id), document, "all else is as it was");
}

#[test]
fn several_choices_can_be_changed_in_one_go() {
    let app = App::with(&["preferences"]);
    let (_, token) = ada(&app);
    let all = json!({ "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": true });
    let reply = app.patch(PATH).token(&token).json(&all).send();
    assert_eq!((reply.status, &reply.json()["emailPreferences"]), (200, &all));
}

#[test]
fn an_old_user_can_choose_too() {
    let app = App::with(&["preferences"]);
    for mut old in [doc! {}, doc! { "emailPreferences": {} }, doc! { "emailPreferences": null }] {
        let id = ObjectId::new();
        old.insert("_id", id);
        old.insert("emailId", id.to_hex());
        app.insert("users", old.clone());
        let reply = app.patch(PATH).token(&app.log_in(id)).json(&json!({ "marketingEmails": true })).send();
        let chosen = json!({ "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": true });
        assert_eq!((reply.status, &reply.json()["emailPreferences"]), (200, &chosen), "{old}");
    }
}

#[test]
fn an_old_user_with_something_else_in_the_field_can_choose_too() {
    let app = App::with(&["preferences"]);
    let others = [
        doc! { "v": "yes" },
        doc! { "v": "" },
        doc! { "v": true },
        doc! { "v": 5 },
        doc! { "v": 0.5 },
        doc! { "v": DateTime::from_millis(0) },
        doc! { "v": ObjectId::new() },
        doc! { "v": [] },
        doc! { "v": ["welcomeEmail"] },
        doc! { "v": [{ "welcomeEmail": false }] },
        doc! { "v": ["x", {}] },
        doc! { "v": [[{}]] },
    ];
    for other in others {
        let (id, value) = (ObjectId::new(), other["v"].clone());
        app.insert("users", doc! { "_id": id, "emailId": id.to_hex(), "emailPreferences": value });
        let token = app.log_in(id);
        let defaults = app.get(PATH).token(&token).send().json()["emailPreferences"].clone();
        let reply = app.patch(PATH).token(&token).json(&json!({ "marketingEmails": true })).send();
        let mut chosen = json!({ "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false });
        assert_eq!(defaults, chosen, "{other}");
        chosen["marketingEmails"] = true.into();
        assert_eq!((reply.status, &reply.json()["emailPreferences"]), (200, &chosen), "{other}");
        let stored = stored(&app, id);
        assert_eq!(stored.get_document("emailPreferences").unwrap(), &doc! { "marketingEmails": true }, "{other}");
    }
}

#[test]
fn an_object_keeps_what_it_has_whatever_is_in_it() {
    let app = App::with(&["preferences"]);
    for mut before in [doc! {}, doc! { "0": {} }, doc! { "welcomeEmail": [{}], "more": { "x": [{}] } }] {
        let id = ObjectId::new();
        app.insert("users", doc! { "_id": id, "emailId": id.to_hex(), "emailPreferences": before.clone() });
        let reply = app.patch(PATH).token(&app.log_in(id)).json(&json!({ "marketingEmails": true })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        before.insert("marketingEmails", true);
        assert_eq!(stored(&app, id).get_document("emailPreferences").unwrap(), &before);
    }
}

#[test]
fn choosing_nothing_changes_nothing_and_answers_what_there_is() {
    let app = App::with(&["preferences"]);
    let (id, token) = ada(&app);
    let reply = app.patch(PATH).token(&token).json(&json!({})).send();
    assert_eq!((reply.status, &reply.json()["emailPreferences"]["welcomeEmail"]), (200, &json!(true)));
    assert_eq!(stored(&app, id), user(id));
}

#[test]
fn one_wrong_field_refuses_all_by_name_and_changes_nothing() {
    let app = App::with(&["preferences"]);
    let (id, token) = ada(&app);
    let bodies = [
        (json!({ "welcomeEmail": false, "marketingEmails": "yes" }), "marketingEmails must be true or false"),
        (json!({ "welcomeEmail": null }), "welcomeEmail must be true or false"),
        (json!({ "welcomeEmail": 0 }), "welcomeEmail must be true or false"),
        (json!({ "welcomeEmail": { "$set": false } }), "welcomeEmail must be true or false"),
        (json!({ "welcomeEmail": false, "isPremium": true }), "isPremium is not a known field"),
        (json!({ "emailPreferences.welcomeEmail": false }), "emailPreferences.welcomeEmail is not a known field"),
        (json!({ "emailPreferences": { "welcomeEmail": false } }), "emailPreferences is not a known field"),
        (json!({ "$set": { "password": "x" } }), "$set is not a known field"),
        (
            json!({ "welcomeEmail": 1, "loginSuggestions": [] }),
            "welcomeEmail must be true or false; loginSuggestions must be true or false",
        ),
    ];
    for (body, message) in bodies {
        let reply = app.patch(PATH).token(&token).json(&body).send();
        assert_eq!((reply.status, reply.message().as_str()), (400, message), "{body}");
    }
    assert_eq!(stored(&app, id), user(id));
}

#[test]
fn what_is_no_json_object_of_a_decent_size_is_refused() {
    let app = App::with(&["preferences"]);
    let (id, token) = ada(&app);
    let patch = |kind: &str, body: String| app.patch(PATH).token(&token).header("content-type", kind).body(body).send();
    let deep = format!("{{\"welcomeEmail\":{}{}}}", "[".repeat(32), "]".repeat(32));
    for body in [" ".to_owned(), "[]".into(), "null".into(), "{\"welcomeEmail\":".into(), "{} {}".into(), deep] {
        let reply = patch("application/json", body.clone());
        assert_eq!(reply.status, 400, "{body}");
        assert!(!reply.message().is_empty(), "{body}");
    }
    assert_eq!(patch("text/plain", "{\"welcomeEmail\":false}".into()).status, 415);
    // Nothing is sent, and nothing is chosen.
    assert_eq!(patch("application/json", String::new()).status, 200);
    assert_eq!(patch("application/json", format!("{{\"x\":\"{}\"}}", "x".repeat(16 * 1024))).status, 413);
    assert_eq!(stored(&app, id), user(id));
}

#[test]
fn without_a_session_nothing_is_seen_or_chosen() {
    let app = App::with(&["preferences"]);
    let (id, _) = ada(&app);
    let seen = app.get(PATH).send();
    assert_eq!((seen.status, seen.text().as_str()), (401, "Please login"));
    let chosen = app.patch(PATH).token("forged").json(&json!({ "welcomeEmail": false })).send();
    assert_eq!((chosen.status, chosen.text().as_str()), (401, "Please login"));
    assert_eq!(stored(&app, id), user(id));
}

#[test]
fn one_user_s_choice_is_not_another_s() {
    let app = App::with(&["preferences"]);
    let (id, _) = ada(&app);
    let other = ObjectId::new();
    app.insert("users", doc! { "_id": other, "emailId": "bo@example.com" });
    assert_eq!(app.patch(PATH).token(&app.log_in(other)).json(&json!({ "welcomeEmail": false })).send().status, 200);
    assert_eq!(stored(&app, id), user(id));
}

#[test]
fn a_user_who_is_gone_has_no_choices() {
    let app = App::with(&["preferences"]);
    let token = app.log_in(ObjectId::new());
    let replies = [
        app.get(PATH).token(&token).send(),
        app.patch(PATH).token(&token).json(&json!({ "welcomeEmail": false })).send(),
        app.patch(PATH).token(&token).json(&json!({})).send(),
    ];
    for reply in replies {
        assert_eq!((reply.status, reply.message().as_str()), (404, "User not found"));
    }
    assert_eq!(app.find("users", doc! {}), [], "and none is made");
}

#[test]
fn changes_of_different_choices_at_once_all_last() {
    let app = App::with(&["preferences"]);
    let (_, token) = ada(&app);
    let changes = [
        ("welcomeEmail", false),
        ("connectionRequests", false),
        ("loginSuggestions", false),
        ("marketingEmails", true),
    ];
    let choose = |(kind, wanted): (&str, bool)| app.patch(PATH).token(&token).json(&json!({ (kind): wanted })).begin();
    let replies = harness::all(changes.map(choose));
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200; 4]);
    let expected = json!({ "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": true });
    assert_eq!(app.get(PATH).token(&token).send().json()["emailPreferences"], expected);
}
