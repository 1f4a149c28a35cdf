//! Changing it by the whole form of the earlier front end: `PATCH /user/{userId}`.

use harness::{ObjectId, json};

use crate::member::*;

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
