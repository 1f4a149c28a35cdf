//! The link that ends a user's mails.

use harness::{App, DateTime, Document, ObjectId, Reply, START, doc};

fn user(id: ObjectId) -> Document {
    doc! {
        "_id": id,
        "firstName": "Ada",
        "emailId": id.to_hex(),
        "password": "the hash",
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": true },
        "membershipTier": "gold",
        "isPremium": true,
        "updatedAt": DateTime::from_millis(0),
    }
}

fn ada(app: &App) -> ObjectId {
    let id = ObjectId::new();
    app.insert("users", user(id));
    id
}

fn stored(app: &App, id: ObjectId) -> Document {
    app.find("users", doc! { "_id": id }).into_iter().next().unwrap_or_default()
}

/// As the mail component makes it.
fn token(app: &App, id: ObjectId) -> String {
    app.sign("unsubscribe", &format!("unsubscribe:{id}"))
}

fn is_page(reply: &Reply) -> bool {
    reply.header("content-type") == Some("text/html; charset=utf-8")
        && reply.header("cache-control") == Some("no-store")
        && reply.header("referrer-policy") == Some("same-origin")
        && reply
            .all("content-security-policy")
            .eq(["default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"])
        && reply.text().starts_with("<!doctype html>")
}

#[test]
fn the_right_link_ends_all_mails_without_a_session() {
    let app = App::with(&["preferences"]);
    let (id, other) = (ada(&app), ada(&app));
    let path = format!("/unsubscribe/{id}?token={}", token(&app, id));
    let reply = app.post(&path).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(is_page(&reply) && reply.text().contains("You are unsubscribed"), "{}", reply.text());
    let mut expected = user(id);
    let none = doc! { "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": false };
    expected.insert("emailPreferences", none);
    expected.insert("updatedAt", DateTime::from_millis(START as i64));
    assert_eq!(stored(&app, id), expected, "all else is as it was");
    assert_eq!(stored(&app, other), user(other));
    assert_eq!(app.post(&path).send().status, 200, "once more does no harm");
}

#[test]
fn an_old_user_without_choices_can_end_mails() {
    let app = App::with(&["preferences"]);
    let none = doc! { "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": false };
    for mut old in [doc! {}, doc! { "emailPreferences": {} }, doc! { "emailPreferences": null }] {
        let id = ObjectId::new();
        old.insert("_id", id);
        old.insert("emailId", id.to_hex());
        app.insert("users", old.clone());
        let reply = app.post(&format!("/unsubscribe/{id}?token={}", token(&app, id))).send();
        assert_eq!(reply.status, 200, "{old}: {}", reply.text());
        assert_eq!(stored(&app, id).get_document("emailPreferences").unwrap(), &none, "{old}");
    }
}

#[test]
fn a_mail_scanner_that_follows_the_link_changes_nothing() {
    let app = App::with(&["preferences"]);
    let id = ada(&app);
    for method in ["GET", "HEAD"] {
        for path in [format!("/unsubscribe/{id}?token="), format!("/unsubscribe/{id}/?token=")] {
            let reply = app.request(method, &format!("{path}{}", token(&app, id))).send();
            assert_eq!(reply.status, 200, "{method} {path}");
            let wrong = app.request(method, &format!("{path}{}", "0".repeat(64))).send();
            assert_eq!(wrong.status, 403, "{method} {path}");
        }
    }
    assert_eq!(stored(&app, id), user(id));
    let page = app.get(&format!("/unsubscribe/{id}?token={}", token(&app, id))).send();
    assert!(
        is_page(&page) && page.text().contains("<form method=\"post\"><button type=\"submit\">"),
        "{}",
        page.text()
    );
}

#[test]
fn the_button_and_a_mail_programs_own_end_all_mails() {
    let none = doc! { "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": false };
    for (kind, body, origin) in [
        // A browser's form, from the page itself.
        ("application/x-www-form-urlencoded", "", Some("http://devconnect.test")),
        // RFC 8058, in both of its forms.
        ("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click", None),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n",
            None,
        ),
    ] {
        let app = App::with(&["preferences"]);
        let id = ada(&app);
        let mut request = app.post(&format!("/unsubscribe/{id}?token={}", token(&app, id)));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let reply = request.header("content-type", kind).body(body).send();
        assert_eq!(reply.status, 200, "{kind} {body}: {}", reply.text());
        assert_eq!(stored(&app, id).get_document("emailPreferences").unwrap(), &none, "{kind} {body}");
    }
}

/// Attack (API2): links to unsubscribe somebody with tokens that are made up. Outcome: 403, nothing changes.
#[test]
fn a_link_that_is_not_genuine_changes_nothing() {
    let app = App::with(&["preferences"]);
    let (id, other) = (ada(&app), ada(&app));
    let right = token(&app, id);
    let last = if right.ends_with('0') { "1" } else { "0" };
    let (shorter, longer) = (&right[..62], format!("{right}00"));
    let queries = [
        String::new(),
        "?token=".into(),
        "?token".into(),
        format!("?Token={right}"),
        format!("?token={}", "0".repeat(64)),
        format!("?token={}{last}", &right[..63]),
        format!("?token={shorter}"),
        format!("?token={longer}"),
        format!("?token={}", "g".repeat(64)),
        format!("?token={}", "%C3%A9".repeat(32)),
        format!("?token={}", "%FF".repeat(64)),
        format!("?token={shorter}%00%00"),
        format!("?token=x&token={right}"),
        format!("?token={}", token(&app, other)),
        format!("?token={}", app.sign("unsubscribe", &id.to_hex())),
        format!("?token={}", app.sign("unsubscribe", &format!("unsubscribe:{}", id.to_hex().to_uppercase()))),
    ];
    for query in queries {
        for method in ["GET", "POST"] {
            let reply = app.request(method, &format!("/unsubscribe/{id}{query}")).send();
            assert_eq!(reply.status, 403, "{method} {query}: {}", reply.text());
            assert!(is_page(&reply) && reply.text().contains("This link is not valid"), "{method} {query}");
        }
    }
    assert_eq!((stored(&app, id), stored(&app, other)), (user(id), user(other)));
}

#[test]
fn a_link_about_no_id_is_not_valid_and_says_nothing_back() {
    let app = App::with(&["preferences"]);
    for id in ["1", "everybody", "%3Cscript%3E", "64f00000000000000000000g", "$ne"] {
        let signed = app.sign("unsubscribe", &format!("unsubscribe:{id}"));
        let reply = app.post(&format!("/unsubscribe/{id}?token={signed}")).send();
        assert_eq!(reply.status, 403, "{id}: {}", reply.text());
        assert!(!reply.text().contains("script"), "{id}");
    }
}

#[test]
fn the_hex_digits_of_a_link_may_be_upper_case() {
    let app = App::with(&["preferences"]);
    let id = ada(&app);
    let path = format!("/unsubscribe/{}?token={}", id.to_hex().to_uppercase(), token(&app, id).to_uppercase());
    assert_eq!(app.post(&path).send().status, 200);
    assert!(!stored(&app, id).get_document("emailPreferences").unwrap().get_bool("welcomeEmail").unwrap());
}

#[test]
fn the_right_link_of_a_user_who_is_gone_says_so_and_makes_nobody() {
    let app = App::with(&["preferences"]);
    let id = ObjectId::new();
    let reply = app.post(&format!("/unsubscribe/{id}?token={}", token(&app, id))).send();
    assert_eq!(reply.status, 404);
    assert!(is_page(&reply) && reply.text().contains("There is no such account"));
    assert_eq!(app.find("users", doc! {}), []);
}
