//! How often a profile is changed.

use harness::{App, json};

use crate::member::*;

const REFUSAL: &str = "You are changing things too often, please slow down";

/// Attack (50): edits as fast as they go, to fill the disk. Outcome: sixty a minute, then 429 with `Retry-After`.
#[test]
fn a_member_changes_things_so_often_in_a_minute() {
    let app = App::with(&["profile", "preferences"]);
    let (ada, bob) = (member(&app, "Ada", "ada@example.com"), member(&app, "Bob", "bob@example.com"));
    let choose = || {
        let choice = json!({ "marketingEmails": true });
        app.patch("/email-preferences").token(&ada.token).json(&choice).send()
    };
    for edit in 0..20 {
        assert_eq!(ada.edit(&app, &json!({ "about": edit.to_string() })).status, 200);
        assert_eq!(ada.post_form(&app, &json!({ "about": edit.to_string() })).status, 200);
        assert_eq!(choose().status, 200);
    }
    let before = document(&app, ada.id);
    for reply in [ada.edit(&app, &json!({ "about": "more" })), ada.post_form(&app, &json!({ "age": 36 })), choose()] {
        assert_eq!((reply.status, reply.message().as_str()), (429, REFUSAL));
        assert_eq!(reply.header("retry-after"), Some("60"));
    }
    assert_eq!(document(&app, ada.id), before, "what is refused changes nothing");
    assert!(app.events("user-events").is_empty(), "and is told to nobody");
    assert_eq!(app.get("/profile/view").token(&ada.token).send().status, 200, "looking is no change");
    assert_eq!(bob.edit(&app, &json!({ "about": "Hello" })).status, 200, "others have their own");
    app.clock().advance(60_000);
    assert_eq!(ada.edit(&app, &json!({ "about": "more" })).status, 200);
}

#[test]
fn what_changes_nothing_does_not_count() {
    let app = App::with_config(&["profile"], "[settings]\n\"limits.edits\" = \"2\"");
    let ada = member(&app, "Ada", "ada@example.com");
    for _ in 0..5 {
        assert_eq!(ada.edit(&app, &json!({ "age": 5 })).status, 400);
        assert_eq!(ada.edit(&app, &json!({})).status, 200);
    }
    let statuses = [1, 2, 3].map(|age| ada.edit(&app, &json!({ "age": 20 + age })).status);
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn an_operator_lifts_the_limit() {
    let app = App::with_config(&["profile"], "[settings]\n\"limits.edits\" = \"off\"");
    let ada = member(&app, "Ada", "ada@example.com");
    assert!((0..80).all(|edit| ada.edit(&app, &json!({ "about": edit.to_string() })).status == 200));
}

#[test]
fn an_email_is_changed_so_often_in_an_hour_also_to_one_that_is_taken() {
    let app = App::with(&["profile"]);
    let ada = member(&app, "Ada", "ada@example.com");
    member(&app, "Bob", "bob@example.com");
    let change = |email: String| ada.edit(&app, &json!({ "emailId": email }));
    // A form may send the one that there is, each time.
    for n in 0..25 {
        assert_eq!(change("ADA@example.com".into()).status, 200, "{n}");
    }
    for n in 0..10 {
        assert_eq!(change("bob@example.com".into()).status, 400, "{n}: asking who has an account counts");
        assert_eq!(change(format!("ada{n}@example.com")).status, 200, "{n}");
    }
    for email in ["bob@example.com", "new@example.com"] {
        let reply = change(email.into());
        let words = (reply.status, reply.message());
        assert_eq!(words, (429, "You have changed your e-mail address too often, please try again later".to_owned()));
        assert_eq!(reply.header("retry-after"), Some("3600"));
    }
    assert_eq!(ada.edit(&app, &json!({ "about": "Hello" })).status, 200, "all else can be changed");
}
