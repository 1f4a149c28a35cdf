//! The password, the sessions, the export and the end of an account: the built component in the real engine, beside the one that
//! logs in. What all files have in common is here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod deletion;
mod erasure;
mod export;
mod password;
mod sessions;

use harness::{App, ObjectId, Reply, Value, doc, json};

const PASSWORD: &str = "Passw0rd!";
const NEW: &str = "Other-Passw0rd!";
/// Milliseconds.
const DAY: u64 = 86_400_000;

fn app() -> App {
    App::with(&["account", "auth"])
}

/// Somebody who signed up.
struct Member {
    id: ObjectId,
    email: String,
    token: String,
}

fn member(app: &App, name: &str) -> Member {
    let email = format!("{}@example.com", name.to_lowercase());
    let form = json!({ "firstName": name, "lastName": "Test", "emailId": email, "password": PASSWORD });
    let reply = app.post("/signup").json(&form).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.json()["data"]["_id"].as_str().unwrap().parse().unwrap();
    Member { id, email, token: reply.token().unwrap() }
}

fn log_in(app: &App, email: &str, password: &str) -> Reply {
    app.post("/login").json(&json!({ "emailId": email, "password": password })).send()
}

/// One more session of a member, as its token.
fn again(app: &App, member: &Member) -> String {
    log_in(app, &member.email, PASSWORD).token().unwrap()
}

fn change(app: &App, token: &str, current: &str, new: &str) -> Reply {
    let body = json!({ "currentPassword": current, "newPassword": new });
    app.post("/profile/password").token(token).json(&body).send()
}

fn delete(app: &App, token: &str, password: &str) -> Reply {
    app.request("DELETE", "/account").token(token).json(&json!({ "password": password })).send()
}

/// The ids of the sessions of who asks, newest first.
fn listed(app: &App, token: &str) -> Vec<Value> {
    let reply = app.get("/sessions").token(token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"].as_array().unwrap().clone()
}

/// Whether a token opens anything.
fn lives(app: &App, token: &str) -> bool {
    match app.get("/sessions").token(token).send().status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

fn stored_hash(app: &App, member: &Member) -> String {
    app.find("users", doc! { "_id": member.id })[0].get_str("password").unwrap().to_owned()
}
