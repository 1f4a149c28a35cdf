//! Memory: what a host takes stays where it was, however many passwords it hashes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails where it stands, and says what it saw")]

use e2e::{Member, PASSWORD, Site, Stack, memory};

/// Those who log in: each may do so a hundred times an hour.
const MEMBERS: usize = 20;
/// How many log in at once.
const AT_ONCE: usize = 8;
/// How much more may be resident at the end, in KiB. One hash takes 19 MiB while it runs.
const MORE: u64 = 30 << 10;

/// Each of them logs in so many times.
async fn log_in(url: &str, emails: &[String], times: usize) {
    let all: Vec<String> = (0..times).flat_map(|_| emails.iter().cloned()).collect();
    for some in all.chunks(AT_ONCE) {
        let entering: Vec<_> = some
            .iter()
            .map(|email| {
                let (url, email) = (url.to_owned(), email.clone());
                tokio::spawn(async move { Member::log_in(&url, &email, PASSWORD).await.token })
            })
            .collect();
        for entered in entering {
            assert!(!entered.await.unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_leave_no_memory_behind() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let mut emails = Vec::new();
    for number in 0..MEMBERS {
        emails.push(Member::sign_up(&server.url, &format!("Memory{number}")).await.email);
    }
    log_in(&server.url, &emails, 1).await;
    let before = memory::resident(server.id());
    let times = if std::env::var_os("DEVCONNECT_FULL").is_some() { 50 } else { 10 };
    log_in(&server.url, &emails, times).await;
    let after = memory::resident(server.id());
    println!("{} log-ins: {} MB, then {} MB resident", MEMBERS * times, before >> 10, after >> 10);
    assert!(after <= before + MORE, "{before} KiB, then {after} KiB");
    // Nor do those whose password is wrong, which cost a hash of the old kind as well.
    for email in emails.iter().take(5) {
        assert!(Member::try_log_in(&server.url, email, "Wr0ng!Pass").await.is_err());
    }
    let last = memory::resident(server.id());
    assert!(last <= before + MORE, "{before} KiB, then {last} KiB");
}
