//! The end of an account: at once nobody finds it, no session of it lives, and its e-mail is free.

use harness::{ObjectId, Sessions, doc, json};

use crate::{NEW, PASSWORD, again, app, change, delete, lives, log_in, member};

#[test]
fn the_member_is_gone_at_once_and_the_e_mail_is_free_again() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    let other = again(&app, &ada);
    let reply = delete(&app, &ada.token, PASSWORD);
    assert_eq!((reply.status, reply.json()), (200, json!({ "message": "Account deleted successfully" })));
    assert_eq!(reply.token().as_deref(), Some(""), "the cookie is cleared");
    assert!(!lives(&app, &ada.token) && !lives(&app, &other) && lives(&app, &bea.token));
    let [ended] = <[_; 1]>::try_from(app.sockets().ended()).unwrap();
    assert_eq!((ended.user, ended.sessions), (ada.id.to_hex(), Sessions::All));
    assert_eq!(app.find("users", doc! {}).len(), 1);
    assert_eq!(log_in(&app, &ada.email, PASSWORD).message(), "Invalid credentials");
    let anew = member(&app, "Ada");
    assert_ne!(anew.id, ada.id);
    assert_eq!(log_in(&app, &ada.email, PASSWORD).json()["_id"], anew.id.to_hex());
}

#[test]
fn one_event_tells_of_it_and_says_nothing_of_the_member_but_the_id() {
    let app = app();
    let ada = member(&app, "Ada");
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    let events = app.events("user-events");
    let told = events.last().unwrap();
    assert_eq!((told.kind.as_str(), &told.key), ("USER_DELETED", &ada.id.to_hex()));
    let at = "2026-01-15T12:00:00.000Z";
    let expected = json!({ "eventType": "USER_DELETED", "userId": ada.id.to_hex(), "timestamp": at, "data": {} });
    assert_eq!(told.value, expected);
}

/// Attack (API2, API3): deleting without the password, with a wrong one, or somebody else. Outcome: 400, nothing is changed.
#[test]
fn without_the_password_nothing_is_deleted() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    for body in [
        json!({}),
        json!({ "password": "" }),
        json!({ "password": "wrong" }),
        json!({ "password": null }),
        json!({ "password": { "$ne": null } }),
        json!({ "password": [PASSWORD] }),
        json!({ "password": "x".repeat(1_025) }),
        json!({ "password": PASSWORD, "_id": bea.id.to_hex() }),
        json!({ "password": PASSWORD, "userId": bea.id.to_hex() }),
        json!({ "currentPassword": PASSWORD }),
    ] {
        let reply = app.request("DELETE", "/account").token(&ada.token).json(&body).send();
        assert!(reply.status == 400 && reply.token().is_none(), "{body}: {} {}", reply.status, reply.text());
    }
    assert_eq!(app.request("DELETE", "/account").token(&ada.token).send().status, 400, "no body");
    let form = app.request("DELETE", "/account").token(&ada.token).header("content-type", "text/plain").body("x");
    assert_eq!(form.send().status, 415);
    assert_eq!(app.request("DELETE", "/account").json(&json!({ "password": PASSWORD })).send().status, 401);
    assert_eq!((app.find("users", doc! {}).len(), app.find("accountdeletions", doc! {}).len()), (2, 0));
    assert!(lives(&app, &ada.token) && app.sockets().ended().is_empty());
}

#[test]
fn of_several_at_once_one_deletes_it() {
    let app = app();
    let ada = member(&app, "Ada");
    let tokens = [ada.token.clone(), again(&app, &ada), again(&app, &ada)];
    let replies =
        harness::all(tokens.iter().map(|token| {
            app.request("DELETE", "/account").token(token).json(&json!({ "password": PASSWORD })).begin()
        }));
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert!(statuses[0] == 200 && statuses[1..].iter().all(|status| matches!(status, 401 | 404)), "{statuses:?}");
    let told = app.events("user-events").iter().filter(|event| event.kind == "USER_DELETED").count();
    assert_eq!((told, app.find("accountdeletions", doc! {}).len()), (1, 1));
}

#[test]
fn of_a_change_of_the_password_and_a_deletion_at_once_one_wins() {
    let app = app();
    let ada = member(&app, "Ada");
    let other = again(&app, &ada);
    let change = app.post("/profile/password").token(&ada.token);
    let change = change.json(&json!({ "currentPassword": PASSWORD, "newPassword": NEW })).begin();
    let gone = app.request("DELETE", "/account").token(&other).json(&json!({ "password": PASSWORD })).begin();
    let (change, gone) = (change.wait().status, gone.wait().status);
    let left = app.find("users", doc! {}).len();
    match (change, gone) {
        (200, 400 | 401) => assert_eq!(left, 1),
        (401 | 404, 200) => assert_eq!(left, 0),
        both => panic!("{both:?}"),
    }
}

#[test]
fn nothing_of_the_address_is_remembered() {
    let app = app();
    let ada = member(&app, "Ada");
    let known = format!("login:known:{}:127.0.0.1", hex(&ada.email));
    assert!(app.cached(&known).is_some(), "the sign-up's");
    assert_eq!(change(&app, &ada.token, "wrong", NEW).status, 400);
    assert_eq!(delete(&app, &ada.token, PASSWORD).status, 200);
    assert_eq!(app.cached(&known), None);
    assert_eq!(app.cached(&format!("login:failed:pair:{}:127.0.0.1", hex(&ada.email))), None);
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn who_is_gone_already_is_not_there() {
    let app = app();
    let token = app.log_in(ObjectId::new());
    let reply = delete(&app, &token, PASSWORD);
    assert_eq!((reply.status, reply.message().as_str()), (404, "User not found"));
}
