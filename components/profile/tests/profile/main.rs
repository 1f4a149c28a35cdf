//! A profile, seen and changed by its owner: the built component in the real engine. A file a route; here is what is
//! true of several.

mod edit;
mod email;
mod form;
mod member;
mod old;
mod rate;
mod view;

use harness::{App, ObjectId, doc, json};

use member::*;

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
