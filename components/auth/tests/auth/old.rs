//! Documents of an earlier database: whatever is in a field, the member logs in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, Document, ODD_NAMES, ObjectId, doc, json, odd_values};

const PASSWORD: &str = "Passw0rd!";
const FIELDS: [&str; 13] = [
    "firstName",
    "lastName",
    "photoUrl",
    "age",
    "gender",
    "about",
    "skills",
    "emailPreferences",
    "isPremium",
    "membershipTier",
    "premiumActivatedAt",
    "createdAt",
    "hobbies",
];

/// An app, and a hash of the password as it is stored.
fn app() -> (App, String) {
    let app = App::with(&["auth"]);
    let form =
        json!({ "firstName": "Ada", "lastName": "Lovelace", "emailId": "ada@example.com", "password": PASSWORD });
    assert_eq!(app.post("/signup").json(&form).send().status, 200);
    let hash = app.find("users", doc! {})[0].get_str("password").unwrap().to_owned();
    (app, hash)
}

fn logs_in(app: &App, what: &str, hash: &str, odd: Document) {
    let id = ObjectId::new();
    let email = format!("{id}@example.com");
    let mut stored = doc! { "_id": id, "emailId": &email, "password": hash };
    stored.extend(odd);
    app.insert("users", stored.clone());
    let reply = app.post("/login").json(&json!({ "emailId": email, "password": PASSWORD })).send();
    assert_eq!((reply.status, &reply.json()["_id"]), (200, &json!(id.to_hex())), "{what}: {}", reply.text());
    assert!(!reply.text().contains("argon2"), "{what}");
    let after = &app.find("users", doc! { "_id": id })[0];
    assert_eq!(format!("{after:?}"), format!("{stored:?}"), "{what}: it stays as it is");
}

#[test]
fn no_value_in_any_field_locks_a_member_out() {
    let (app, hash) = app();
    for (kind, value) in odd_values() {
        for field in FIELDS {
            logs_in(&app, &format!("{kind} as {field}"), &hash, doc! { field: value.clone() });
        }
    }
}

#[test]
fn no_name_of_a_field_locks_a_member_out() {
    let (app, hash) = app();
    for name in ODD_NAMES {
        logs_in(&app, name, &hash, doc! { name: "odd" });
    }
}

/// An old hash is renewed at log-in: the one write of a log-in that changes the document.
#[test]
fn a_hash_is_renewed_beside_whatever_there_is() {
    let (app, _) = app();
    let hash = bcrypt::hash("weak", 4).unwrap();
    for (kind, value) in odd_values() {
        let id = ObjectId::new();
        let email = format!("{id}@example.com");
        app.insert("users", doc! { "_id": id, "emailId": &email, "password": &hash, "$odd": 1, "odd": value.clone() });
        let reply = app.post("/login").json(&json!({ "emailId": email, "password": "weak" })).send();
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
        let after = &app.find("users", doc! { "_id": id })[0];
        assert!(after.get_str("password").unwrap().starts_with("$argon2id$"), "{kind}");
        assert_eq!(format!("{:?}", after.get("odd")), format!("{:?}", Some(&value)), "{kind}");
    }
}
