//! A profile, seen and changed by its owner: the built component in the real engine.

use harness::{App, DateTime, Document, ObjectId, Reply, Value, doc, json};

const START: &str = "2026-01-15T12:00:00.000Z";
const CREATED: i64 = 1_700_000_000_000;

/// A member as one is stored after signing up.
struct Member {
    id: ObjectId,
    token: String,
}

fn stored(id: ObjectId, first_name: &str, email: &str) -> Document {
    doc! {
        "_id": id,
        "firstName": first_name,
        "lastName": "Lovelace",
        "emailId": email,
        "emailKey": email,
        "password": "$argon2id$the-hash",
        "skills": ["math"],
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": false, "loginSuggestions": true, "marketingEmails": true },
        "isPremium": true,
        "membershipTier": "silver",
        "createdAt": DateTime::from_millis(CREATED),
        "updatedAt": DateTime::from_millis(CREATED),
        "__v": 0,
    }
}

fn member(app: &App, first_name: &str, email: &str) -> Member {
    let id = ObjectId::new();
    app.insert("users", stored(id, first_name, email));
    Member { id, token: app.log_in(id) }
}

fn of_ada() -> (App, Member) {
    let app = App::with(&["profile"]);
    let ada = member(&app, "Ada", "ada@example.com");
    (app, ada)
}

fn document(app: &App, id: ObjectId) -> Document {
    let mut found = app.find("users", doc! { "_id": id });
    assert_eq!(found.len(), 1);
    found.remove(0)
}

impl Member {
    fn edit(&self, app: &App, body: &Value) -> Reply {
        app.patch("/profile/edit").token(&self.token).json(body).send()
    }

    fn post_form(&self, app: &App, body: &Value) -> Reply {
        app.patch(&format!("/user/{}", self.id)).token(&self.token).json(body).send()
    }
}

/// Refused with 400 by words that begin with `words`, and nothing is changed.
fn assert_refused(app: &App, ada: &Member, before: &Document, body: &Value, words: &str, reply: &Reply) {
    assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    assert!(reply.message().contains(words), "{body}: {:?} has no {words:?}", reply.message());
    assert_eq!(&document(app, ada.id), before, "{body}");
}

#[test]
fn the_owner_sees_the_whole_profile_but_no_secret() {
    let (app, ada) = of_ada();
    let reply = app.get("/profile/view").token(&ada.token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = json!({
        "_id": ada.id.to_hex(),
        "firstName": "Ada",
        "lastName": "Lovelace",
        "emailId": "ada@example.com",
        "skills": ["math"],
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": false, "loginSuggestions": true, "marketingEmails": true },
        "isPremium": true,
        "membershipTier": "silver",
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
    });
    assert_eq!(reply.json(), expected);
}

#[test]
fn a_bearer_token_is_as_good_as_the_cookie() {
    let (app, ada) = of_ada();
    let reply = app.get("/profile/view").header("authorization", &format!("Bearer {}", ada.token)).send();
    assert_eq!((reply.status, &reply.json()["firstName"]), (200, &json!("Ada")));
}

#[test]
fn an_old_document_is_seen_with_the_defaults_of_what_it_lacks() {
    let app = App::with(&["profile"]);
    let id = ObjectId::new();
    app.insert("users", doc! { "_id": id, "firstName": "Old", "lastName": "Timer", "emailId": "Old@Example.com", "password": "$2b$10$x", "__v": 3 });
    let reply = app.get("/profile/view").token(&app.log_in(id)).send();
    let expected = json!({
        "_id": id.to_hex(),
        "firstName": "Old",
        "lastName": "Timer",
        "emailId": "Old@Example.com",
        "skills": [],
        "isPremium": false,
        "membershipTier": "free",
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
    });
    assert_eq!((reply.status, reply.json()), (200, expected));
}

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
fn without_a_session_every_route_says_please_login() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let form = format!("/user/{}", ada.id);
    for (method, path) in [("GET", "/profile/view"), ("PATCH", "/profile/edit"), ("PATCH", form.as_str())] {
        for token in [None, Some("nonsense"), Some("eyJhbGciOiJub25lIn0.e30.")] {
            let request = app.request(method, path).json(&json!({ "firstName": "Eve" }));
            let reply = token.map_or_else(
                || app.request(method, path).json(&json!({ "firstName": "Eve" })).send(),
                |token| request.token(token).send(),
            );
            assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{method} {path} {token:?}");
        }
    }
    assert_eq!(document(&app, ada.id), before);
}

#[test]
fn a_user_who_is_gone_is_not_found() {
    let app = App::with(&["profile"]);
    let gone = ObjectId::new();
    let token = app.log_in(gone);
    let view = app.get("/profile/view").token(&token).send();
    let edit = app.patch("/profile/edit").token(&token).json(&json!({ "firstName": "Eve" })).send();
    for reply in [view, edit] {
        assert_eq!((reply.status, reply.message().as_str()), (404, "User not found"));
    }
    assert!(app.find("users", doc! {}).is_empty(), "an edit makes no user");
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
            vec![json!("A"), json!(" A "), json!(""), json!("x".repeat(51)), json!("A\u{0}da"), json!("A\nda")],
        ),
        ("lastName", vec![json!("L"), json!(""), json!("x".repeat(51))]),
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
fn values_of_the_wrong_type_are_refused() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    for field in ["firstName", "lastName", "emailId", "photoUrl", "gender", "age", "about", "skills"] {
        for value in [json!(null), json!(true), json!({ "$ne": null }), json!([1]), json!({})] {
            let body = json!({ field: value });
            assert_refused(&app, &ada, &before, &body, field, &ada.edit(&app, &body));
            assert_refused(&app, &ada, &before, &body, field, &ada.post_form(&app, &body));
        }
    }
}

#[test]
fn a_field_that_is_not_the_owners_to_change_is_refused() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let unknown = [
        "_id",
        "password",
        "emailKey",
        "isPremium",
        "membershipTier",
        "premiumActivatedAt",
        "emailPreferences",
        "createdAt",
        "updatedAt",
        "__v",
        "__proto__",
        "$set",
        "emailPreferences.welcomeEmail",
        "firstname",
        "",
    ];
    for field in unknown {
        let body = json!({ "firstName": "Eve", field: "gold" });
        let words = format!("{field} is not a known field");
        assert_refused(&app, &ada, &before, &body, &words, &ada.edit(&app, &body));
        assert_refused(&app, &ada, &before, &body, &words, &ada.post_form(&app, &body));
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
    for body in ["", "[]", "null", "\"x\"", "5", "{", "{\"firstName\":", "{\"firstName\":\"Eve\"} x", "\u{0}"] {
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
fn an_email_that_somebody_has_is_refused() {
    let (app, ada) = of_ada();
    member(&app, "Bob", "bob@example.com");
    let before = document(&app, ada.id);
    for taken in ["bob@example.com", " BOB@Example.com "] {
        let body = json!({ "firstName": "Eve", "emailId": taken });
        for reply in [ada.edit(&app, &body), ada.post_form(&app, &body)] {
            assert_refused(&app, &ada, &before, &body, "An account with this emailId already exists", &reply);
        }
    }
}

#[test]
fn an_email_that_an_old_account_has_is_refused() {
    let (app, ada) = of_ada();
    app.insert("users", doc! { "_id": ObjectId::new(), "firstName": "Old", "emailId": "old@example.com" });
    let before = document(&app, ada.id);
    let body = json!({ "emailId": "Old@example.com" });
    assert_refused(&app, &ada, &before, &body, "An account with this emailId already exists", &ada.edit(&app, &body));
}

#[test]
fn the_own_email_is_not_taken() {
    let (app, ada) = of_ada();
    let reply = ada.edit(&app, &json!({ "emailId": "ADA@example.com" }));
    assert_eq!((reply.status, &reply.json()["data"]["emailId"]), (200, &json!("ada@example.com")));
}

#[test]
fn two_old_accounts_whose_emails_differ_in_case_both_stay_usable() {
    for own in ["ADA@example.com", "ada@example.com"] {
        let ids = [ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12])];
        let old = |id: ObjectId, email: &str| doc! { "_id": id, "firstName": "Old", "emailId": email };
        let app = App::setup(&["profile"])
            .document("users", old(ids[0], "Ada@example.com"))
            .document("users", old(ids[1], own))
            .start();
        assert!(document(&app, ids[0]).contains_key("emailKey") && !document(&app, ids[1]).contains_key("emailKey"));
        let second = Member { id: ids[1], token: app.log_in(ids[1]) };
        let reply = second.edit(&app, &json!({ "about": "Still here", "emailId": own }));
        assert_eq!((reply.status, &reply.json()["data"]["emailId"]), (200, &json!(own)), "{}", reply.text());
        assert_eq!(document(&app, ids[1]).get_str("about").unwrap(), "Still here");
        let reply = second.edit(&app, &json!({ "emailId": "augusta@example.com" }));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(document(&app, ids[1]).get_str("emailKey").unwrap(), "augusta@example.com");
    }
}

#[test]
fn of_many_who_want_one_email_at_once_one_gets_it() {
    let app = App::with(&["profile"]);
    let members: Vec<Member> = (0..8).map(|number| member(&app, "Ada", &format!("ada{number}@example.com"))).collect();
    let replies = app.runtime().block_on(async {
        let body = json!({ "emailId": "wanted@example.com" });
        let edits = members.iter().map(|member| app.patch("/profile/edit").token(&member.token).json(&body).dispatch());
        futures_util::future::join_all(edits).await
    });
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!(app.find("users", doc! { "emailId": "wanted@example.com" }).len(), 1);
}

#[test]
fn the_form_of_the_earlier_front_end_is_taken_whole() {
    let (app, ada) = of_ada();
    assert_eq!(
        ada.edit(&app, &json!({ "gender": "female", "about": "Before", "photoUrl": "https://example.com/a.png" }))
            .status,
        200
    );
    let body = json!({
        "firstName": "Augusta", "lastName": "King", "photoUrl": "", "age": "33", "gender": "", "about": " ", "skills": ["rust"],
    });
    let reply = ada.post_form(&app, &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.message(), "Augusta, your profile updated successfully");
    let data = &reply.json()["data"];
    assert_eq!((&data["age"], &data["lastName"], &data["skills"]), (&json!(33), &json!("King"), &json!(["rust"])));
    assert_eq!((&data["gender"], &data["about"]), (&json!("female"), &json!("Before")), "an empty input is not meant");
    assert_eq!(data["photoUrl"], "https://example.com/a.png");
    assert!(data.get("password").is_none() && data.get("emailKey").is_none() && data.get("__v").is_none());
    assert_eq!(document(&app, ada.id).get_i32("age").unwrap(), 33, "an age is stored as a number");
    let number = ada.post_form(&app, &json!({ "age": 34 }));
    assert_eq!((number.status, &number.json()["data"]["age"]), (200, &json!(34)));
    let empty = ada.post_form(&app, &json!({ "age": "" }));
    assert_eq!((empty.status, &empty.json()["data"]["age"]), (200, &json!(34)));
}

#[test]
fn a_form_follows_the_rules_of_the_edit() {
    let (app, ada) = of_ada();
    let before = document(&app, ada.id);
    let too_many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
    let bad = [
        ("firstName", json!("")),
        ("lastName", json!(" ")),
        ("emailId", json!("")),
        ("age", json!("17")),
        ("age", json!("thirty")),
        ("age", json!("33 years")),
        ("age", json!("33.5")),
        ("gender", json!("robot")),
        ("photoUrl", json!("javascript:alert(1)")),
        ("about", json!("x".repeat(1_001))),
        ("skills", json!("")),
        ("skills", json!(too_many)),
    ];
    for (field, value) in bad {
        let body = json!({ field: value });
        assert_refused(&app, &ada, &before, &body, field, &ada.post_form(&app, &body));
    }
}

#[test]
fn the_profile_of_somebody_else_is_forbidden() {
    let (app, ada) = of_ada();
    let bob = member(&app, "Bob", "bob@example.com");
    let (of_ada, of_bob) = (document(&app, ada.id), document(&app, bob.id));
    for id in [bob.id.to_hex(), ObjectId::new().to_hex(), "nonsense".to_owned(), format!("{}0", ada.id)] {
        let reply = app.patch(&format!("/user/{id}")).token(&ada.token).json(&json!({ "firstName": "Eve" })).send();
        assert_eq!((reply.status, reply.message().as_str()), (403, "You can only change your own profile"), "{id}");
    }
    assert_eq!(document(&app, ada.id), of_ada);
    assert_eq!(document(&app, bob.id), of_bob);
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
    let replies = app.runtime().block_on(async {
        let edits = bodies.iter().map(|body| app.patch("/profile/edit").token(&ada.token).json(body).dispatch());
        futures_util::future::join_all(edits).await
    });
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let seen = app.get("/profile/view").token(&ada.token).send().json();
    assert_eq!((&seen["firstName"], &seen["about"], &seen["age"]), (&json!("Augusta"), &json!("Hello"), &json!(36)));
    assert_eq!(seen["skills"], json!(["rust"]));
}
