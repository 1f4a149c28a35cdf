//! Mails leave through a real mail server: also when it refuses them at first, and when the host dies on the way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::time::Duration;

use e2e::mailbox::{Mailbox, Received};
use e2e::{Expected, Member, ServerOptions, Stack, email};

/// A mail comes within this time: also one whose host has died, when its claim is over.
const COMES: Duration = Duration::from_secs(90);

fn smtp(mailbox: &Mailbox) -> ServerOptions {
    let from = "DevConnect <no-reply@devconnect.example>".to_owned();
    let environment =
        vec![("SMTP_URL", mailbox.url()), ("MAIL_FROM", from), ("PUBLIC_URL", "https://devconnect.example".to_owned())];
    ServerOptions { environment, ..ServerOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_now_comes_later_and_one_refused_for_ever_keeps_nobody() {
    let (stack, mailbox) = (Stack::embedded(), Mailbox::start(1));
    let server = stack.start_with("host", smtp(&mailbox)).await;
    server.expect(Expected::Warning("a mail is tried again later"));
    server.expect(Expected::Warning("a mail is given up"));
    Member::sign_up(&server.url, "Nobody").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let mail = tokio::task::block_in_place(|| mailbox.next(COMES)).unwrap();
    assert_eq!(mail.to, ada.email);
    assert_eq!(mail.header("From"), Some("DevConnect <no-reply@devconnect.example>"));
    assert_eq!(mail.header("Subject"), Some("Welcome to DevConnect"));
    let link = mail.header("List-Unsubscribe").unwrap();
    assert!(link.starts_with("<https://devconnect.example/unsubscribe/"), "{link}");
    assert_eq!(mail.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    assert!(mail.text.contains("multipart/alternative"), "{}", mail.text);
    assert_eq!(tokio::task::block_in_place(|| mailbox.next(Duration::from_secs(3))), None, "each comes once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_after_it_sent_a_mail_sends_the_same_mail_again_and_no_other() {
    let (stack, mailbox) = (Stack::embedded(), Mailbox::start(0));
    let mut options = smtp(&mailbox);
    options.environment.push(("DEVCONNECT_TEST_ABORT", "mailed:1".to_owned()));
    let mut server = stack.start_with("host", options).await;
    // The host may die before it has answered.
    let _ = Member::try_sign_up(&server.url, "Ada").await;
    while server.runs() {
        tokio::task::yield_now().await;
    }
    drop(server);
    let _server = stack.start_with("host", smtp(&mailbox)).await;
    let [first, again] = [(); 2].map(|()| tokio::task::block_in_place(|| mailbox.next(COMES)).unwrap());
    let id = |mail: &Received| mail.header("Message-ID").unwrap().to_owned();
    assert_eq!((id(&first), &first.to), (id(&again), &again.to));
    assert_eq!(first.to, email("Ada"));
    assert_eq!(tokio::task::block_in_place(|| mailbox.next(Duration::from_secs(3))), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_mails_are_files() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let folder = stack.data("host").join("mails");
    let files = loop {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let files: Vec<_> = entries.filter(|file| file.extension().is_some_and(|name| name == "eml")).collect();
        if !files.is_empty() {
            break files;
        }
        tokio::task::yield_now().await;
    };
    let [file] = &files[..] else { panic!("{files:?}") };
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(&format!("To: {}\r\n", ada.email)), "{text}");
}
