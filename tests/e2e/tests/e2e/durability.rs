//! What was acknowledged is there: after Ctrl-C, and after a kill in the middle of everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Member, PASSWORD, Server, ServerOptions, Stack, json};
use reqwest::StatusCode;
use tokio::task::spawn_blocking;

e2e::on_both_stacks! {
    data_and_sessions_are_there_after_an_interrupt,
    nothing_acknowledged_is_missing_after_a_kill_under_load,
}

/// The first start is an operator's: on an empty folder. The second one finds what the first one compiled.
async fn data_and_sessions_are_there_after_an_interrupt(stack: Stack) {
    let stack = stack.cold();
    let server = stack.start("host").await;
    let mut ada = Member::sign_up(&server.url, "Ada").await;
    let gone = Member::log_in(&server.url, &ada.email, PASSWORD).await;
    assert_eq!(gone.post("/logout").send().await.unwrap().status(), StatusCode::OK);
    assert!(spawn_blocking(move || server.interrupt()).await.unwrap(), "it drains and says so");

    let server = stack.start("host").await;
    ada = ada.at(&server.url);
    assert_eq!(ada.read("/profile/view").await["firstName"], "Ada");
    assert_eq!(gone.at(&server.url).get("/profile/view").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_at_a_time_has_the_data() {
    let stack = Stack::embedded();
    let _first = stack.start("host").await;
    let folder = stack.data("host");
    let second = spawn_blocking(move || std::panic::catch_unwind(|| Server::start(&folder)).is_err()).await.unwrap();
    assert!(second, "a second host on the same folder does not start");
}

/// Members keep writing while the host is killed; whatever was answered with 200 is there afterwards.
async fn nothing_acknowledged_is_missing_after_a_kill_under_load(stack: Stack) {
    // Each writes as fast as it is answered.
    let config = Some("[settings]\n\"limits.edits\" = \"off\"\n");
    for round in 0..3 {
        let server = stack.start_with("host", ServerOptions { config, ..ServerOptions::default() }).await;
        let mut members = Vec::new();
        for n in 0..4_u8 {
            let letter = |n: u8| char::from(b'a' + n);
            members.push(Member::sign_up(&server.url, &format!("Round{}{}", letter(round), letter(n))).await);
        }
        let enough = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            members.into_iter().map(|member| tokio::spawn(write_until_it_breaks(member, enough.clone()))).collect();
        while !enough.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        spawn_blocking(move || server.kill()).await.unwrap();
        let mut written = Vec::new();
        for writer in writers {
            written.push(writer.await.unwrap());
        }
        let server = stack.start("host").await;
        for (member, acknowledged, tried) in written {
            let about = member.at(&server.url).read("/profile/view").await["about"].clone();
            let stored: u64 = about.as_str().unwrap_or("0").parse().unwrap();
            assert!(
                (acknowledged..=tried).contains(&stored),
                "{acknowledged} acknowledged, {stored} stored, {tried} tried"
            );
        }
        assert!(spawn_blocking(move || server.interrupt()).await.unwrap());
    }
}

/// Writes 1, 2, 3… into the member's profile. Answers the last number acknowledged and the last one tried.
async fn write_until_it_breaks(member: Member, enough: Arc<AtomicBool>) -> (Member, u64, u64) {
    let mut acknowledged = 0;
    loop {
        let next = acknowledged + 1;
        let edit = member.patch("/profile/edit").json(&json!({ "about": next.to_string() })).send().await;
        match edit {
            Ok(answer) if answer.status() == StatusCode::OK => acknowledged = next,
            Ok(answer) => panic!("an edit was answered with {}", answer.status()),
            Err(_) => return (member, acknowledged, next),
        }
        if acknowledged >= 50 {
            enough.store(true, Ordering::SeqCst);
        }
    }
}
