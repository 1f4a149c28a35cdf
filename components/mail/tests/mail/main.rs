//! Events and Mondays in, mails out: the built component in the real engine. What all files have in common is here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod digest;
mod suggestions;
mod told;
mod types;

use harness::{App, DateTime, Document, Mail, ObjectId, Value, doc, json};

const USERS: &str = "user-events";
const CONNECTIONS: &str = "connection-events";
/// Milliseconds.
const DAY: u64 = 86_400_000;

fn app() -> App {
    App::with(&["mail"])
}

/// A member as sign-up stores one; `fields` are put over it.
fn member(app: &App, first_name: &str, fields: Document) -> ObjectId {
    let id = ObjectId::new();
    let email = address(id);
    let mut user = doc! {
        "_id": id, "firstName": first_name, "lastName": "Test", "emailId": &email, "emailKey": &email,
        "password": "the hash", "skills": [], "emailPreferences": wanting(&[]), "isPremium": false,
        "membershipTier": "free",
    };
    user.extend(fields);
    app.insert("users", user);
    id
}

/// The choices of a new member, but for these.
fn wanting(others: &[(&str, bool)]) -> Document {
    let mut choices =
        doc! { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false };
    for (kind, wanted) in others {
        choices.insert(*kind, *wanted);
    }
    choices
}

fn address(id: ObjectId) -> String {
    format!("{id}@example.com")
}

fn request(app: &App, from: ObjectId, to: ObjectId, status: &str) {
    app.insert(
        "connectionrequests",
        doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status },
    );
}

fn envelope(kind: &str, by: ObjectId, data: Value) -> String {
    envelope_at("2026-01-15T12:00:00.000Z", kind, by, data)
}

fn envelope_at(at: &str, kind: &str, by: ObjectId, data: Value) -> String {
    json!({ "eventType": kind, "userId": by.to_hex(), "timestamp": at, "data": data }).to_string()
}

fn signup(id: ObjectId) -> String {
    let at = "2026-01-15T12:00:00.000Z";
    let data = json!({ "firstName": "Then", "lastName": "Then", "emailId": "then@example.com", "signupTime": at });
    envelope("USER_SIGNUP", id, data)
}

/// Somebody signs up; answers the event's id.
fn signs_up(app: &App, id: ObjectId) -> String {
    app.publish(USERS, &id.to_hex(), "USER_SIGNUP", signup(id))
}

fn logs_in(app: &App, id: ObjectId) {
    let at = DateTime::from_millis(app.clock().now().cast_signed()).try_to_rfc3339_string().unwrap();
    let data = json!({ "emailId": "then@example.com", "loginTime": at, "ipAddress": "127.0.0.1" });
    app.publish(USERS, &id.to_hex(), "USER_LOGIN", envelope_at(&at, "USER_LOGIN", id, data));
}

/// Somebody looks at another one's profile and says so.
fn asks(app: &App, from: ObjectId, to: ObjectId, status: &str) {
    let data = json!({
        "requestId": ObjectId::new().to_hex(), "fromUserId": from.to_hex(), "toUserId": to.to_hex(), "status": status,
        "timestamp": "2026-01-15T12:00:00.000Z",
    });
    app.publish(CONNECTIONS, &from.to_hex(), "CONNECTION_REQUEST", envelope("CONNECTION_REQUEST", from, data));
}

/// The mails once everything that was published is told.
fn mails(app: &App) -> Vec<Mail> {
    app.until_consumed("mail");
    app.mails()
}

/// To whom they went, in no order.
fn receivers(mails: &[Mail]) -> Vec<String> {
    let mut to: Vec<String> = mails.iter().map(|mail| mail.to.clone()).collect();
    to.sort_unstable();
    to
}

fn html(mail: &Mail) -> &str {
    mail.html.as_deref().unwrap()
}

/// The path of the link that ends a member's mails, which each part of a mail has.
fn unsubscribe_path(mail: &Mail) -> String {
    let link = mail.unsubscribe.as_deref().unwrap();
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert!(html(mail).contains(&format!("<a href=\"{link}\">")), "{}", html(mail));
    link[link.find("/unsubscribe/").unwrap()..].to_owned()
}

fn no_dead_letters(app: &App) {
    for topic in [USERS, CONNECTIONS] {
        assert_eq!(app.dead_letters(topic), []);
    }
}
