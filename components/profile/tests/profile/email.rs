//! Changing the e-mail, which nobody else may have.

use harness::{App, ObjectId, doc, json};

use crate::member::*;

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
    let body = json!({ "emailId": "wanted@example.com" });
    let edits = members.iter().map(|member| app.patch("/profile/edit").token(&member.token).json(&body).begin());
    let replies = harness::all(edits);
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!(app.find("users", doc! { "emailId": "wanted@example.com" }).len(), 1);
}
