//! A new password: the old one is asked for, guesses are slowed, and all other sessions end.

use harness::{App, ObjectId, Sessions, doc, json};

use crate::{NEW, PASSWORD, again, app, change, delete, listed, lives, log_in, member, stored_hash};

#[test]
fn the_new_password_logs_in_and_the_old_one_does_not() {
    let app = app();
    let ada = member(&app, "Ada");
    app.clock().advance(1_000);
    let reply = change(&app, &ada.token, PASSWORD, NEW);
    assert_eq!((reply.status, reply.json()), (200, json!({ "message": "Password changed successfully" })));
    assert_eq!(reply.token(), None, "the session stays as it is");
    let user = &app.find("users", doc! { "_id": ada.id })[0];
    assert!(user.get_str("password").unwrap().starts_with("$argon2id$"));
    assert!(user.get_datetime("updatedAt").unwrap() > user.get_datetime("createdAt").unwrap());
    assert_eq!((log_in(&app, &ada.email, PASSWORD).status, log_in(&app, &ada.email, NEW).status), (400, 200));
}

/// Attack (API2): a stolen session, after its member has changed the password. Outcome: it is dead at once, and its sockets are
/// closed; the one that changed it stays.
#[test]
fn all_other_sessions_end_and_their_sockets_close() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    let others = [again(&app, &ada), again(&app, &ada)];
    let own = listed(&app, &ada.token).iter().find(|one| one["current"] == true).unwrap()["id"].clone();
    assert_eq!(change(&app, &ada.token, PASSWORD, NEW).status, 200);
    assert!(lives(&app, &ada.token) && lives(&app, &bea.token));
    assert!(others.iter().all(|token| !lives(&app, token)));
    let [ended] = <[_; 1]>::try_from(app.sockets().ended()).unwrap();
    assert_eq!((ended.user, ended.sessions), (ada.id.to_hex(), Sessions::Others(own.as_str().unwrap().to_owned())));
}

#[test]
fn a_wrong_password_changes_nothing() {
    let app = app();
    let ada = member(&app, "Ada");
    let other = again(&app, &ada);
    let before = stored_hash(&app, &ada);
    for wrong in ["passw0rd!", " Passw0rd!", "Passw0rd", NEW] {
        let reply = change(&app, &ada.token, wrong, NEW);
        assert_eq!((reply.status, reply.message().as_str()), (400, "The password is wrong"), "{wrong}");
    }
    assert_eq!(stored_hash(&app, &ada), before);
    assert!(lives(&app, &other) && app.sockets().ended().is_empty());
}

/// Attack (API3, injection): passwords that are none, are weak, too long, operators or lists, and fields that are not asked for.
/// Outcome: 400 in words, nothing is changed.
#[test]
fn what_is_no_new_password_is_refused() {
    let app = app();
    let ada = member(&app, "Ada");
    let before = stored_hash(&app, &ada);
    let long = format!("Aa1!{}", "x".repeat(1_021));
    for (body, word) in [
        (json!({}), "currentPassword is required"),
        (json!({ "currentPassword": PASSWORD }), "newPassword is required"),
        (json!({ "newPassword": NEW }), "currentPassword is required"),
        (json!({ "currentPassword": "", "newPassword": NEW }), "currentPassword must have"),
        (json!({ "currentPassword": long, "newPassword": NEW }), "currentPassword must have"),
        (json!({ "currentPassword": { "$ne": null }, "newPassword": NEW }), "currentPassword must be a text"),
        (json!({ "currentPassword": [PASSWORD], "newPassword": NEW }), "currentPassword must be a text"),
        (json!({ "currentPassword": PASSWORD, "newPassword": 12_345_678 }), "newPassword must be a text"),
        (json!({ "currentPassword": PASSWORD, "newPassword": { "$set": NEW } }), "newPassword must be a text"),
        (json!({ "currentPassword": PASSWORD, "newPassword": "weakpassword" }), "newPassword is not strong enough"),
        (json!({ "currentPassword": PASSWORD, "newPassword": long }), "newPassword must have at most"),
        (json!({ "currentPassword": PASSWORD, "newPassword": NEW, "userId": "1" }), "userId is not a known field"),
        (json!({ "currentPassword": PASSWORD, "newPassword": NEW, "isPremium": true }), "isPremium is not"),
    ] {
        let reply = app.post("/profile/password").token(&ada.token).json(&body).send();
        assert!(reply.status == 400 && reply.message().contains(word), "{body}: {} {}", reply.status, reply.text());
    }
    for body in ["[]", "null", "{\"currentPassword\":"] {
        let reply = app.post("/profile/password").token(&ada.token).header("content-type", "application/json");
        assert_eq!(reply.body(body).send().status, 400, "{body}");
    }
    assert_eq!(app.post("/profile/password").json(&json!({})).send().status, 401);
    assert_eq!(stored_hash(&app, &ada), before);
}

/// Attack (API2): guesses of a password by who has a stolen session. Outcome: they count with those of log-ins, and from the tenth on
/// each waits, for the change as for the deletion.
#[test]
fn guesses_are_slowed_as_those_of_log_ins_are() {
    let app = app();
    let ada = member(&app, "Ada");
    for number in 0..9 {
        let status = match number % 3 {
            0 => change(&app, &ada.token, "wrong", NEW).status,
            1 => delete(&app, &ada.token, "wrong").status,
            _ => log_in(&app, &ada.email, "wrong").status,
        };
        assert_eq!(status, 400, "{number}");
    }
    assert_eq!(change(&app, &ada.token, "wrong", NEW).status, 400, "the tenth");
    for reply in [change(&app, &ada.token, PASSWORD, NEW), delete(&app, &ada.token, PASSWORD)] {
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("10")), "{}", reply.text());
    }
    assert_eq!(log_in(&app, &ada.email, PASSWORD).status, 429);
    app.clock().advance(10_000);
    assert_eq!(change(&app, &ada.token, PASSWORD, NEW).status, 200);
    assert_eq!(log_in(&app, &ada.email, NEW).status, 200, "and all is forgotten");
}

#[test]
fn of_changes_at_once_one_wins() {
    let app = app();
    let ada = member(&app, "Ada");
    let tokens: Vec<String> = (0..4).map(|_| again(&app, &ada)).collect();
    let new: Vec<String> = (0..4).map(|number| format!("{NEW}{number}")).collect();
    let replies = harness::all(tokens.iter().zip(&new).map(|(token, new)| {
        let body = json!({ "currentPassword": PASSWORD, "newPassword": new });
        app.post("/profile/password").token(token).json(&body).begin()
    }));
    let won: Vec<usize> = (0..4).filter(|number| replies[*number].status == 200).collect();
    let [won] = <[_; 1]>::try_from(won).unwrap_or_else(|won| panic!("{won:?} of {replies:?}"));
    // The others are told that it is wrong by now, or their session was over before they asked.
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 400 | 401)), "{replies:?}");
    let living: Vec<bool> = tokens.iter().map(|token| lives(&app, token)).collect();
    let expected: Vec<bool> = (0..4).map(|number| number == won).collect();
    assert_eq!(living, expected);
    assert_eq!(log_in(&app, &ada.email, &new[won]).status, 200);
}

#[test]
fn who_has_no_usable_hash_or_no_account_changes_nothing() {
    let app = app();
    let id = ObjectId::new();
    let old = doc! { "_id": id, "emailId": "Old@example.com", "password": PASSWORD, "hobby": 7 };
    app.insert("users", old);
    let token = app.log_in(id);
    assert_eq!(change(&app, &token, PASSWORD, NEW).message(), "The password is wrong", "a text is no hash");
    let gone = app.log_in(ObjectId::new());
    let reply = change(&app, &gone, PASSWORD, NEW);
    assert_eq!((reply.status, reply.message().as_str()), (404, "User not found"));
}

#[test]
fn a_member_changes_it_so_often() {
    let app = App::with_config(&["account", "auth"], "[settings]\n\"limits.edits\" = \"2\"");
    let ada = member(&app, "Ada");
    for (current, new) in [(PASSWORD, NEW), (NEW, PASSWORD)] {
        assert_eq!(change(&app, &ada.token, current, new).status, 200);
    }
    let reply = change(&app, &ada.token, PASSWORD, NEW);
    assert_eq!(reply.status, 429);
    assert!(reply.message().starts_with("You are changing things too often"), "{}", reply.message());
    assert_eq!(change(&app, &ada.token, "wrong", NEW).status, 400, "who does not know the password learns nothing");
}
