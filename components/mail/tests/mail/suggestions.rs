//! Whom one may want to know, at log-in.

use harness::{App, DateTime, Mail, ObjectId, START, doc};

use crate::{DAY, address, app, html, logs_in, mails, member, no_dead_letters, request, unsubscribe_path, wanting};

fn knowing(app: &App, first_name: &str, skills: &[&str]) -> ObjectId {
    member(app, first_name, doc! { "skills": skills.to_vec() })
}

/// The items of a mail's list.
fn listed(mail: &Mail) -> Vec<&str> {
    mail.text.lines().filter_map(|line| line.strip_prefix("- ")).collect()
}

#[test]
fn they_share_skills_and_no_request_exists_with_them() {
    let app = app();
    let ada = knowing(&app, "Ada", &["Rust", "WebAssembly", "SQL"]);
    knowing(&app, "Bea", &["rust", "WEBASSEMBLY "]);
    knowing(&app, "Cobol", &["COBOL"]);
    member(&app, "Old", doc! { "skills": "Rust" });
    for (name, status) in [("Asked", "interested"), ("Declined", "rejected"), ("Friend", "accepted")] {
        request(&app, ada, knowing(&app, name, &["Rust", "SQL"]), status);
        request(&app, knowing(&app, name, &["Rust", "SQL"]), ada, status);
    }
    request(&app, ada, knowing(&app, "Ignored", &["Rust", "SQL"]), "ignore");
    knowing(&app, "<i>Dora</i>", &["SQL"]);
    logs_in(&app, ada);
    let [mail] = &mails(&app)[..] else { panic!("one mail") };
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), (address(ada).as_str(), "Developers who know what you know"));
    assert_eq!(listed(mail), ["Bea Test: Rust, WebAssembly", "<i>Dora</i> Test: SQL", "Old Test: Rust"]);
    assert!(html(mail).contains("<li>&lt;i&gt;Dora&lt;/i&gt; Test: SQL</li>"), "{}", html(mail));
    assert!(unsubscribe_path(mail).starts_with(&format!("/unsubscribe/{ada}?token=")));
    no_dead_letters(&app);
}

#[test]
fn there_are_three_at_most_the_newest_of_those_who_share_as_much() {
    let app = app();
    let ada = knowing(&app, "Ada", &["Go", "Rust", "SQL", "Zig"]);
    knowing(&app, "Best", &["zig", "sql", "rust", "go"]);
    for name in ["First", "Second", "Third"] {
        knowing(&app, name, &["Go"]);
    }
    logs_in(&app, ada);
    let [mail] = &mails(&app)[..] else { panic!("one mail") };
    assert_eq!(listed(mail), ["Best Test: Go, Rust, SQL and 1 more", "Third Test: Go", "Second Test: Go"]);
}

#[test]
fn they_come_once_in_a_week() {
    let app = app();
    let ada = knowing(&app, "Ada", &["Rust"]);
    knowing(&app, "Bea", &["Rust"]);
    logs_in(&app, ada);
    logs_in(&app, ada);
    assert_eq!(mails(&app).len(), 1);
    let [last] = &app.find("mailsuggestions", doc! {})[..] else { panic!("one document") };
    assert_eq!(last, &doc! { "_id": ada, "at": DateTime::from_millis(START.cast_signed()) });
    app.clock().advance(7 * DAY - 1);
    logs_in(&app, ada);
    assert_eq!(mails(&app).len(), 1);
    app.clock().advance(1);
    logs_in(&app, ada);
    logs_in(&app, ada);
    assert_eq!(mails(&app).len(), 2);
    assert_eq!(app.find("mailsuggestions", doc! {}).len(), 1);
    no_dead_letters(&app);
}

#[test]
fn without_anybody_to_suggest_there_is_no_mail_and_the_next_log_in_looks_again() {
    let app = app();
    let ada = knowing(&app, "Ada", &["Rust"]);
    let none = knowing(&app, "None", &[]);
    member(&app, "Off", doc! { "skills": ["COBOL"], "emailPreferences": wanting(&[("loginSuggestions", false)]) });
    logs_in(&app, ada);
    logs_in(&app, none);
    assert_eq!(mails(&app).len(), 0);
    assert_eq!(app.find("mailsuggestions", doc! {}).len(), 0);
    knowing(&app, "Bea", &["Rust"]);
    logs_in(&app, ada);
    assert_eq!(mails(&app).len(), 1);
}
