//! Documents of an earlier database: whatever is in a field, its owner sees the profile and changes it, and what the change does
//! not name stays.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{App, Bson, Document, ODD_NAMES, ObjectId, Value, doc, json, odd_values};

use crate::member::*;

/// The fields that mongoose's schema had, and one that it had not.
const FIELDS: [&str; 14] = [
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
    "updatedAt",
    "hobbies",
];

/// Whoever is stored like this sees the profile and changes it.
fn is_seen_and_changed(app: &App, what: &str, stored: Document) {
    let id = stored.get_object_id("_id").unwrap();
    app.insert("users", stored.clone());
    let token = app.log_in(id);
    let view = app.get("/profile/view").token(&token).send();
    assert_eq!((view.status, &view.json()["_id"]), (200, &json!(id.to_hex())), "{what}: {}", view.text());
    let edit = app.patch("/profile/edit").token(&token).json(&json!({ "gender": "others" })).send();
    assert_eq!((edit.status, &edit.json()["data"]["gender"]), (200, &json!("others")), "{what}: {}", edit.text());
    let after = document(app, id);
    for (field, value) in &stored {
        if !["gender", "updatedAt"].contains(&field.as_str()) {
            assert_eq!(format!("{:?}", after.get(field)), format!("{:?}", Some(value)), "{what}: {field} stays");
        }
    }
}

#[test]
fn no_value_in_any_field_keeps_its_owner_from_the_profile() {
    let app = App::with(&["profile"]);
    for (kind, value) in odd_values() {
        for field in FIELDS {
            let id = ObjectId::new();
            let mut user = stored(id, "Ada", &format!("{id}@example.com"));
            user.insert(field, value.clone());
            is_seen_and_changed(&app, &format!("{kind} as {field}"), user);
        }
    }
}

#[test]
fn no_name_of_a_field_keeps_its_owner_from_the_profile() {
    let app = App::with(&["profile"]);
    for name in ODD_NAMES {
        let id = ObjectId::new();
        let mut user = stored(id, "Ada", &format!("{id}@example.com"));
        user.insert(name, "odd");
        is_seen_and_changed(&app, name, user);
    }
}

#[test]
fn each_field_is_seen_as_mongoose_cast_it() {
    let app = App::with(&["profile"]);
    let cases: [(&str, Bson, Value); 16] = [
        ("skills", "rust".into(), json!(["rust"])),
        ("skills", 5.into(), json!(["5"])),
        ("skills", Bson::Null, json!([])),
        (
            "skills",
            vec![Bson::Decimal128("1.50".parse().unwrap()), Bson::Symbol("s".into())].into(),
            json!(["1.50", "s"]),
        ),
        ("age", "33".into(), json!(33)),
        ("age", Bson::Decimal128("33".parse().unwrap()), json!(33)),
        ("age", "old".into(), json!(null)),
        ("firstName", 7.into(), json!("7")),
        ("firstName", Bson::Symbol("Ada".into()), json!("Ada")),
        ("isPremium", "true".into(), json!(true)),
        ("isPremium", 0.into(), json!(false)),
        ("membershipTier", doc! { "a": 1 }.into(), json!("free")),
        ("createdAt", "2024-02-29".into(), json!("2024-02-29T00:00:00.000Z")),
        ("createdAt", 0_i64.into(), json!("1970-01-01T00:00:00.000Z")),
        ("photoUrl", true.into(), json!("true")),
        ("about", doc! { "a": 1 }.into(), json!(null)),
    ];
    for (field, value, expected) in cases {
        let id = ObjectId::new();
        let mut user = stored(id, "Ada", &format!("{id}@example.com"));
        user.insert(field, value.clone());
        app.insert("users", user);
        let view = app.get("/profile/view").token(&app.log_in(id)).send().json();
        assert_eq!(view[field], expected, "{field} of {value:?}: {view}");
    }
}
