//! A welcome, and connection requests.

use harness::{App, ObjectId, doc};

use crate::{
    CONNECTIONS, DAY, USERS, address, app, asks, html, logs_in, mails, member, no_dead_letters, receivers, signs_up,
    signup, unsubscribe_path, wanting,
};

#[test]
fn a_new_member_is_welcome_once_also_when_the_event_comes_twice() {
    let app = app();
    let ada = member(&app, "Ada", doc! {});
    let event = signs_up(&app, ada);
    app.publish_again(&event, USERS, &ada.to_hex(), "USER_SIGNUP", signup(ada));
    let [mail] = &mails(&app)[..] else { panic!("one mail") };
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), (address(ada).as_str(), "Welcome to DevConnect"));
    assert!(mail.text.starts_with("Hello Ada,\n\n"), "{}", mail.text);
    assert!(html(mail).starts_with("<!doctype html>\n") && html(mail).contains("<p>Hello Ada,</p>"));
    let token = app.sign("unsubscribe", &format!("unsubscribe:{ada}"));
    assert_eq!(unsubscribe_path(mail), format!("/unsubscribe/{ada}?token={token}"));
    app.publish_again(&event, USERS, &ada.to_hex(), "USER_SIGNUP", signup(ada));
    assert_eq!(mails(&app).len(), 1);
    no_dead_letters(&app);
}

#[test]
fn a_request_is_told_to_whom_it_went_and_to_be_ignored_to_nobody() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada", doc! { "lastName": "Lovelace" }), member(&app, "Bea", doc! {}));
    asks(&app, ada, bea, "ignore");
    assert_eq!(mails(&app).len(), 0);
    asks(&app, ada, bea, "interested");
    let [mail] = &mails(&app)[..] else { panic!("one mail") };
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        (address(bea).as_str(), "Ada Lovelace wants to connect with you")
    );
    assert!(
        mail.text.starts_with("Hello Bea,\n\nAda Lovelace wants to connect with you on DevConnect.\n"),
        "{}",
        mail.text
    );
    assert!(unsubscribe_path(mail).starts_with(&format!("/unsubscribe/{bea}?token=")));
    no_dead_letters(&app);
}

#[test]
fn who_does_not_want_a_kind_of_mail_gets_the_others() {
    let app = app();
    let skills = doc! { "skills": ["rust"] };
    let other = member(&app, "Bea", skills.clone());
    for (kind, subjects) in [
        ("welcomeEmail", ["Bea Test wants to connect with you", "Developers who know what you know"]),
        ("connectionRequests", ["Developers who know what you know", "Welcome to DevConnect"]),
        ("loginSuggestions", ["Bea Test wants to connect with you", "Welcome to DevConnect"]),
    ] {
        let mut fields = skills.clone();
        fields.insert("emailPreferences", wanting(&[(kind, false)]));
        let ada = member(&app, "Ada", fields);
        signs_up(&app, ada);
        logs_in(&app, ada);
        asks(&app, other, ada, "interested");
        let mut told: Vec<_> = mails(&app).into_iter().filter(|mail| mail.to == address(ada)).collect();
        told.sort_by(|one, other| one.subject.cmp(&other.subject));
        assert_eq!(told.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(), subjects, "{kind}");
    }
    no_dead_letters(&app);
}

/// Attack (injection): markup, line ends and headers in a name that mails show. Outcome: text, in one line of the
/// subject.
#[test]
fn a_hostile_name_is_no_markup_and_no_header() {
    let app = app();
    let (first, last) = ("<script>alert(\"1\")</script>", "Eve\r\nBcc: everybody@example.com\u{2028}x");
    let eve = member(&app, first, doc! { "lastName": last });
    let ada = member(&app, "Ada", doc! {});
    asks(&app, eve, ada, "interested");
    signs_up(&app, eve);
    let all = mails(&app);
    assert_eq!(receivers(&all).len(), 2);
    for mail in &all {
        assert!(
            !mail.subject.chars().any(char::is_control) && mail.subject.chars().count() < 200,
            "{:?}",
            mail.subject
        );
        assert!(!mail.text.lines().any(|line| line.starts_with("Bcc:")), "{}", mail.text);
        assert!(!html(mail).contains("<script"), "{}", html(mail));
    }
    let request = all.iter().find(|mail| mail.to == address(ada)).unwrap();
    assert!(request.subject.ends_with("</script> Eve Bcc: x wants to connect with you"), "{}", request.subject);
    assert!(
        html(request).contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; Eve Bcc: x"),
        "{}",
        html(request)
    );
}

/// Attack (46): a name or a skill that is a message, with a link, in a mail to somebody else. Outcome: the mail has no link
/// and no message.
#[test]
fn a_name_says_nothing_to_whom_it_is_not() {
    let app = app();
    for name in [
        "Claim your prize at https://evil.example/prize",
        "Your account is locked: www.evil.example/unlock",
        "pay@evil.example",
        "evil\u{3002}example",
        "evil\u{200b}.example",
    ] {
        let eve = member(&app, name, doc! { "lastName": name, "skills": ["rust", "evil.example"] });
        let ada = member(&app, "Ada", doc! { "skills": ["rust", "evil.example"] });
        asks(&app, eve, ada, "interested");
        signs_up(&app, eve);
        logs_in(&app, eve);
        let all: Vec<_> =
            mails(&app).into_iter().filter(|mail| [address(ada), address(eve)].contains(&mail.to)).collect();
        assert_eq!(all.len(), 3, "{name}");
        for mail in &all {
            for text in [mail.subject.as_str(), mail.text.as_str(), html(mail)] {
                for link in ["evil.example", "https://evil", "pay@", "evil\u{3002}example"] {
                    assert!(!text.contains(link), "{name}: {text}");
                }
            }
        }
    }
    no_dead_letters(&app);
}

#[test]
fn what_is_older_than_three_days_is_no_news() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada", doc! {}), member(&app, "Bea", doc! {}));
    app.clock().advance(3 * DAY);
    signs_up(&app, ada);
    assert_eq!(mails(&app).len(), 1);
    app.clock().advance(1);
    signs_up(&app, bea);
    asks(&app, bea, ada, "interested");
    assert_eq!(mails(&app).len(), 1);
    no_dead_letters(&app);
}

#[test]
fn who_is_gone_gets_no_mail_and_causes_none() {
    let app = app();
    let (gone, ada) = (ObjectId::new(), member(&app, "Ada", doc! {}));
    signs_up(&app, gone);
    logs_in(&app, gone);
    asks(&app, ada, gone, "interested");
    asks(&app, gone, ada, "interested");
    assert_eq!(mails(&app).len(), 0);
    no_dead_letters(&app);
}

#[test]
fn an_address_that_is_none_is_no_reason_to_try_again() {
    let app = app();
    let old = member(&app, "Old", doc! { "emailId": "no address", "skills": ["rust"] });
    let without = member(&app, "Older", doc! { "emailId": null, "skills": ["rust"] });
    for id in [old, without] {
        signs_up(&app, id);
        logs_in(&app, id);
    }
    assert_eq!(mails(&app).len(), 0);
    assert_eq!(app.find("mailsuggestions", doc! {}).len(), 0, "what was not sent does not count");
    no_dead_letters(&app);
}

#[test]
fn an_event_that_says_nothing_is_a_dead_letter() {
    let app = app();
    let lacking = |kind: &str| {
        format!(r#"{{ "eventType": "{kind}", "userId": "x", "timestamp": "2026-01-15T12:00:00.000Z", "data": {{}} }}"#)
    };
    app.publish(USERS, "x", "USER_SIGNUP", lacking("USER_SIGNUP"));
    app.publish(CONNECTIONS, "x", "CONNECTION_REQUEST", lacking("CONNECTION_REQUEST"));
    assert_eq!(mails(&app).len(), 0);
    assert_eq!((app.dead_letters(USERS).len(), app.dead_letters(CONNECTIONS).len()), (1, 1));
}

#[test]
fn after_its_link_was_followed_no_mail_comes() {
    let app = App::with(&["mail", "preferences"]);
    let fields = doc! { "skills": ["rust"] };
    let (ada, bea) = (member(&app, "Ada", fields.clone()), member(&app, "Bea", fields));
    signs_up(&app, ada);
    let [welcome] = &mails(&app)[..] else { panic!("one mail") };
    let reply = app.post(&unsubscribe_path(welcome)).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    asks(&app, bea, ada, "interested");
    logs_in(&app, ada);
    signs_up(&app, ada);
    assert_eq!(mails(&app).len(), 1);
    asks(&app, ada, bea, "interested");
    assert_eq!(receivers(&mails(&app)).len(), 2, "others still get theirs");
}
