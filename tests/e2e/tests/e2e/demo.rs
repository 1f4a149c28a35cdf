//! The people of `cargo xtask run --demo`, a few of them: they come once, also when a run was interrupted, and those
//! who are shown have what is said of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::time::Duration;

use ::demo::network::{Fate, Request, requests};
use ::demo::people::{BUSY, NEW, Person, people};
use ::demo::talk::conversations;
use ::demo::{Options, Outcome, Portraits, Progress, run};
use e2e::{Member, Server, ServerOptions, Stack, built};

const PEOPLE: usize = 12;

fn options(server: &Server, portraits: Option<Portraits>) -> Options {
    Options { url: server.url.clone(), public_url: server.url.clone(), people: PEOPLE, portraits }
}

/// The members of those who are shown.
async fn shown(server: &Server, outcome: &Outcome) -> Vec<Member> {
    let mut members = Vec::new();
    for log_in in &outcome.log_ins {
        assert!(log_in.works, "{log_in:?}");
        members.push(Member::log_in(&server.url, &log_in.email, log_in.password).await);
    }
    assert_eq!(members.len(), 3);
    members
}

/// Everybody's connections, and what each has to answer, are those of the plan, and so is every conversation of the
/// busy one.
async fn is_complete(server: &Server) {
    let all: Vec<Person> = people(PEOPLE);
    let planned = requests(&all);
    let mut members = Vec::new();
    for person in &all {
        members.push(Member::log_in(&server.url, &person.email, ::demo::people::PASSWORD).await);
    }
    let count = |of: &dyn Fn(&Request) -> bool| planned.iter().filter(|request| of(request)).count();
    for (number, member) in members.iter().enumerate() {
        let connections = member.read("/user/connections").await;
        let expected = count(&|one| one.fate == Fate::Accepted && (one.from == number || one.to == number));
        assert_eq!(connections["data"].as_array().unwrap().len(), expected, "connections of {number}");
        let received = member.read("/user/requests/received").await;
        let expected = count(&|one| one.fate == Fate::Waiting && one.to == number);
        assert_eq!(received["data"].as_array().unwrap().len(), expected, "requests to {number}");
        let own = member.read("/profile/view").await;
        assert_eq!(own["skills"].as_array().unwrap().len(), all[number].skills.len(), "skills of {number}");
    }
    for talk in conversations(&all, &planned) {
        let [one, other] = talk.between;
        let history = members[one].read(&format!("/chat/{}/history?limit=200", members[other].id)).await;
        let history = history["data"].as_array().unwrap();
        let texts: Vec<&str> = history.iter().map(|message| message["text"].as_str().unwrap()).collect();
        let expected: Vec<&str> = talk.said.iter().chain(&talk.unread).map(|said| said.text.as_str()).collect();
        assert_eq!(texts, expected, "between {one} and {other}");
        let is_read: Vec<bool> = history.iter().map(|message| message["readAt"].is_string()).collect();
        assert_eq!(is_read.iter().filter(|read| **read).count(), talk.said.len(), "between {one} and {other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_once_and_those_who_are_shown_can_log_in() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let (data, folder) = (stack.data("host"), stack.data("demo"));
    let portraits = Portraits { devconnect: built("devconnect"), admin_url: server.admin.clone(), data, folder };
    let options = options(&server, Some(portraits));
    let first = run(&options, Progress::Silent).await.unwrap();
    assert_eq!((first.was_there, first.people), (false, PEOPLE));
    let members = shown(&server, &first).await;
    is_complete(&server).await;
    // The busy one has something unread.
    let notifications = members[BUSY].read("/notifications").await;
    let unread = |kind: &str| {
        let all = notifications["data"].as_array().unwrap().iter();
        all.filter(|one| one["type"] == kind && !one["readAt"].is_string()).count()
    };
    assert!(unread("CONNECTION_REQUEST") > 0, "{notifications}");
    // Nobody is there twice: of all, the new one sees everybody but those who have asked.
    let feed = members[NEW].read("/feed").await;
    let expected = PEOPLE - 1 - requests(&people(PEOPLE)).iter().filter(|request| request.to == NEW).count();
    assert_eq!(feed["data"].as_array().unwrap().len(), expected);
    // Every picture is one of the host's files, or nobody has one.
    for person in feed["data"].as_array().unwrap() {
        match (person["photoUrl"].as_str(), &first.without_pictures) {
            (Some(url), None) => {
                let answer = reqwest::get(url).await.unwrap();
                assert_eq!(answer.status(), 200, "{url}");
                assert_eq!(answer.headers()["content-type"], "image/svg+xml");
            }
            (None, Some(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let again = run(&options, Progress::Silent).await.unwrap();
    assert!(again.was_there && again.log_ins == first.log_ins, "{again:?}");
    assert_eq!(members[NEW].read("/feed").await["data"].as_array().unwrap().len(), expected);
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// Wherever it is cut: each run may go on a little longer, so that each phase is cut somewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_interrupted_is_completed_by_the_next() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let options = options(&server, None);
    let mut time = Duration::from_millis(100);
    let outcome = loop {
        match tokio::time::timeout(time, run(&options, Progress::Silent)).await {
            Ok(outcome) => break outcome.unwrap(),
            Err(_) => time = time * 3 / 2,
        }
    };
    shown(&server, &outcome).await;
    is_complete(&server).await;
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_up_is_told_with_what_to_do() {
    let stack = Stack::embedded();
    let config = "[settings]\n\"limits.loopback\" = \"on\"\n\"limits.signups-per-address\" = \"3\"\n";
    let server = stack.start_with("host", ServerOptions { config: Some(config), ..ServerOptions::default() }).await;
    let refused = run(&options(&server, None), Progress::Silent).await.unwrap_err().to_string();
    assert!(refused.contains("can't sign up: Too many sign-ups"), "{refused}");
    assert!(refused.contains("limits per address"), "{refused}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
