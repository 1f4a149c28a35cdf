//! Changing it: `PATCH /profile/edit`.

use harness::{App, DateTime, ObjectId, doc, json};

use crate::member::*;

#[test]
fn an_old_document_can_be_edited() {
    let app = App::with(&["profile"]);
    let id = ObjectId::new();
    app.insert("users", doc! { "_id": id, "firstName": "Old", "lastName": "Timer", "emailId": "Old@Example.com", "password": "$2b$10$x", "__v": 3 });
    let reply = app.patch("/profile/edit").token(&app.log_in(id)).json(&json!({ "about": "Still here" })).send();
    assert_eq!((reply.status, &reply.json()["data"]["about"]), (200, &json!("Still here")));
    let stored = document(&app, id);
    assert_eq!(stored.get_str("emailId").unwrap(), "Old@Example.com", "what was not sent stays");
    assert_eq!(stored.get_str("password").unwrap(), "$2b$10$x");
}

#[test]
fn one_edit_changes_every_field_and_says_so_by_the_new_name() {
    let (app, ada) = of_ada();
    let body = json!({
        "firstName": " Augusta ", "lastName": "King", "emailId": " Augusta@Example.COM ", "photoUrl": "https://example.com/a.png?s=1",
        "gender": "female", "age": 36, "about": "Line one\nline two", "skills": ["rust", " wasm ", "rust"],
    });
    let reply = ada.edit(&app, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.message(), "Augusta, your profile updated successfully");
    let expected = json!({
        "_id": ada.id.to_hex(), "firstName": "Augusta", "lastName": "King", "emailId": "augusta@example.com",
        "photoUrl": "https://example.com/a.png?s=1", "gender": "female", "age": 36, "about": "Line one\nline two", "skills": ["rust", "wasm"],
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": false, "loginSuggestions": true, "marketingEmails": true },
        "isPremium": true, "membershipTier": "silver", "createdAt": "2023-11-14T22:13:20.000Z", "updatedAt": START,
    });
    assert_eq!(reply.json()["data"], expected);
    assert_eq!(app.get("/profile/view").token(&ada.token).send().json(), expected, "the next view is of the new one");
    let stored = document(&app, ada.id);
    assert_eq!(stored.get_str("emailKey").unwrap(), "augusta@example.com");
    assert_eq!(stored.get_str("password").unwrap(), "$argon2id$the-hash");
}

#[test]
fn good_values_of_each_field_are_stored() {
    let (app, ada) = of_ada();
    let fifty: Vec<String> = (0..50).map(|number| format!("skill {number}")).collect();
    let good = [
        ("firstName", json!("Bo")),
        ("firstName", json!("x".repeat(50))),
        ("lastName", json!("Žofie")),
        ("emailId", json!("a.b+c@sub.example.org")),
        ("photoUrl", json!("http://localhost:3000/a")),
        ("gender", json!("male")),
        ("gender", json!("female")),
        ("gender", json!("others")),
        ("age", json!(18)),
        ("age", json!(120)),
        ("about", json!("")),
        ("about", json!("y".repeat(1_000))),
        ("skills", json!([])),
        ("skills", json!(fifty)),
    ];
    for (field, value) in good {
        let reply = ada.edit(&app, &json!({ field: value }));
        assert_eq!(reply.status, 200, "{field} {value}: {}", reply.text());
        assert_eq!(reply.json()["data"][field], value, "{field}");
        assert_eq!(app.get("/profile/view").token(&ada.token).send().json()[field], value, "{field}");
    }
}

#[test]
fn an_edit_leaves_other_fields_and_other_users_alone() {
    let (app, ada) = of_ada();
    let bob = member(&app, "Bob", "bob@example.com");
    let (mut expected, of_bob) = (document(&app, ada.id), document(&app, bob.id));
    assert_eq!(ada.edit(&app, &json!({ "about": "Hello" })).status, 200);
    expected.insert("about", "Hello");
    expected.insert("updatedAt", DateTime::from_millis(1_768_478_400_000));
    assert_eq!(document(&app, ada.id), expected);
    assert_eq!(document(&app, bob.id), of_bob);
}

#[test]
fn an_empty_edit_changes_nothing_and_is_no_error() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let reply = ada.edit(&app, &json!({}));
    assert_eq!((reply.status, reply.message().as_str()), (200, "Ada, your profile updated successfully"));
    assert_eq!(document(&app, ada.id), before);
}

#[test]
fn the_time_of_the_change_is_stored() {
    let (app, ada) = of_ada();
    app.clock().advance(90_061_001);
    let reply = ada.edit(&app, &json!({ "firstName": "Augusta" }));
    assert_eq!(reply.json()["data"]["updatedAt"], "2026-01-16T13:01:01.001Z");
    assert_eq!(reply.json()["data"]["createdAt"], "2023-11-14T22:13:20.000Z");
}

#[test]
fn bad_values_of_each_field_are_refused_and_change_nothing() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let too_many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
    let bad = [
        (
            "firstName",
            vec![json!(" "), json!("\u{200b}"), json!(""), json!("x".repeat(51)), json!("A\u{0}da"), json!("A\nda")],
        ),
        ("lastName", vec![json!("\u{3164}"), json!(""), json!("x".repeat(51))]),
        (
            "emailId",
            vec![
                json!(""),
                json!("ada"),
                json!("ada@"),
                json!("@example.com"),
                json!("a b@example.com"),
                json!("ada@example"),
            ],
        ),
        (
            "photoUrl",
            vec![
                json!(""),
                json!("photo.png"),
                json!("javascript:alert(1)"),
                json!("data:image/png;base64,AA"),
                json!("ftp://a.b/c"),
                json!("https://"),
                json!("https://a.b/\"onload=\"x"),
                json!(format!("https://a.b/{}", "c".repeat(2_048))),
            ],
        ),
        ("gender", vec![json!(""), json!("Male"), json!("robot")]),
        ("age", vec![json!(17), json!(121), json!(-20), json!(33.5), json!("33"), json!(""), json!(1e300)]),
        ("about", vec![json!("x".repeat(1_001)), json!("bell \u{7}")]),
        (
            "skills",
            vec![
                json!("rust"),
                json!([""]),
                json!([" "]),
                json!(["x".repeat(51)]),
                json!([5]),
                json!([null]),
                json!([["rust"]]),
                json!(too_many),
            ],
        ),
    ];
    for (field, values) in bad {
        for value in values {
            let body = json!({ field: value });
            assert_refused(&app, &ada, &before, &body, field, &ada.edit(&app, &body));
        }
    }
}

#[test]
fn one_bad_value_refuses_the_good_ones_and_every_problem_is_named() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let body = json!({ "firstName": "Augusta", "age": 5, "gender": "x", "admin": true });
    let reply = ada.edit(&app, &body);
    for words in ["age must be", "gender must be", "admin is not a known field"] {
        assert_refused(&app, &ada, &before, &body, words, &reply);
    }
    assert!(!reply.message().contains("firstName"), "{}", reply.message());
}

#[test]
fn what_is_no_json_object_is_refused() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    for body in [" ", "[]", "null", "\"x\"", "5", "{", "{\"firstName\":", "{\"firstName\":\"Eve\"} x", "\u{0}"] {
        let reply = app
            .patch("/profile/edit")
            .token(&ada.token)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send();
        assert_refused(&app, &ada, &before, &json!(body), "", &reply);
        assert!(!reply.message().is_empty(), "{body}");
    }
    let deep = format!("{{\"skills\":{}{}}}", "[".repeat(60), "]".repeat(60));
    let reply =
        app.patch("/profile/edit").token(&ada.token).header("content-type", "application/json").body(deep).send();
    assert_refused(&app, &ada, &before, &json!("deep"), "nested", &reply);
}

#[test]
fn a_body_of_another_kind_or_too_large_is_refused() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let form = app
        .patch("/profile/edit")
        .token(&ada.token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("firstName=Eve")
        .send();
    assert_eq!(form.status, 415);
    let large = ada.edit(&app, &json!({ "about": "x".repeat(70_000) }));
    assert_eq!(large.status, 413);
    assert_eq!(document(&app, ada.id), before);
}

#[test]
fn edits_of_different_fields_at_once_are_all_kept() {
    let (app, ada) = of_ada();
    let bodies = [
        json!({ "firstName": "Augusta" }),
        json!({ "about": "Hello" }),
        json!({ "age": 36 }),
        json!({ "skills": ["rust"] }),
    ];
    let edits = bodies.iter().map(|body| app.patch("/profile/edit").token(&ada.token).json(body).begin());
    let replies = harness::all(edits);
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let seen = app.get("/profile/view").token(&ada.token).send().json();
    assert_eq!((&seen["firstName"], &seen["about"], &seen["age"]), (&json!("Augusta"), &json!("Hello"), &json!(36)));
    assert_eq!(seen["skills"], json!(["rust"]));
}

#[test]
fn which_skills_a_member_has_is_told_with_the_change() {
    let (app, ada) = of_ada();
    let edit = |body| app.patch("/profile/edit").token(&ada.token).json(&body).send();
    assert_eq!(edit(json!({ "about": "Hello" })).status, 200);
    assert_eq!(edit(json!({ "skills": ["rust"], "age": 5 })).status, 400);
    assert!(app.events("user-events").is_empty(), "nothing is told that did not happen");
    assert_eq!(edit(json!({ "skills": ["rust", " wasm "], "about": "Hello" })).status, 200);
    let [told] = &app.events("user-events")[..] else { panic!("one event") };
    assert_eq!((told.kind.as_str(), told.key.clone()), ("USER_SKILLS", ada.id.to_hex()));
    assert_eq!(told.value["data"], json!({ "skills": ["rust", "wasm"] }));
}
