//! Seeing the own profile: `GET /profile/view`.

use harness::{App, ObjectId, doc, json};

use crate::member::*;

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

/// Neither the session nor the profile is asked for again, until it changes; and a change is seen at once, however soon.
#[test]
fn a_profile_that_did_not_change_costs_no_question() {
    let (app, ada) = of_ada();
    let view = || app.get("/profile/view").token(&ada.token).send().json()["firstName"].clone();
    assert_eq!(view(), "Ada");
    assert_eq!(app.questions(|| (0..5).for_each(|_| assert_eq!(view(), "Ada"))), 0);
    for name in ["Augusta", "Byron"] {
        let edit = app.patch("/profile/edit").token(&ada.token).json(&json!({ "firstName": name })).send();
        assert_eq!(edit.status, 200, "{}", edit.text());
        assert_eq!(app.questions(|| assert_eq!(view(), name)), 1, "it is read again at once, and not after a while");
        assert_eq!(app.questions(|| (0..5).for_each(|_| assert_eq!(view(), name))), 0);
    }
}
