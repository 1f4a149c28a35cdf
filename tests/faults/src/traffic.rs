//! Members who do things again and again until they are told that they are done, whatever happens to the hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Member, PASSWORD, Value, email};
use reqwest::StatusCode;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::chat::{Chat, Talk};
use crate::load::befriend;

/// How many members come at the same time, one after the other.
const DOORS: usize = 2;
/// Between an answer and the next message, and between one member and the next.
const PACE: Duration = Duration::from_millis(150);
/// Before something is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// What members were told is done.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Users, by their ids.
    pub users: Vec<String>,
    /// Connection requests, by their ids.
    pub requests: Vec<String>,
    /// Messages, by their ids.
    pub messages: Vec<String>,
}

/// Traffic that goes on.
pub struct Traffic {
    stopped: Arc<AtomicBool>,
    coming: Vec<JoinHandle<Acknowledged>>,
    talks: Arc<[Talk]>,
    chat: Chat,
}

impl Traffic {
    /// Members come, ask each other to be connected, and write to each other. Everything goes to one of `urls`, which are
    /// to be there in the beginning.
    pub async fn begin(urls: &[String]) -> Self {
        let mut talks = Vec::new();
        for (number, url) in urls.iter().cycle().take(4).enumerate() {
            let name = |side: char| format!("Talk{}{side}", letters(number));
            let [one, other] = [Member::sign_up(url, &name('a')).await, Member::sign_up(url, &name('b')).await];
            befriend(&one, &other).await;
            talks.push(Talk::new(url, &one, &other, true));
        }
        let talks: Arc<[Talk]> = talks.into();
        let chat = {
            let talks = talks.clone();
            spawn_blocking(move || Chat::begin(talks, PACE, |_, _| {})).await.expect("a chat that begins")
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let door = |door: usize| {
            let url = urls.get(door % urls.len()).expect("a host").clone();
            tokio::spawn(come(url, letters(door), stopped.clone()))
        };
        Self { coming: (0..DOORS).map(door).collect(), stopped, talks, chat }
    }

    /// Has everybody finish what they do, which needs every host, and end.
    pub async fn end(self) -> Acknowledged {
        self.stopped.store(true, Ordering::SeqCst);
        let mut all = Acknowledged::default();
        for coming in self.coming {
            let some = coming.await.expect("members that come");
            all.users.extend(some.users);
            all.requests.extend(some.requests);
        }
        let chat = self.chat;
        spawn_blocking(move || chat.end()).await.expect("a chat that ends");
        all.messages = self.talks.iter().flat_map(Talk::taken).map(|taken| taken.id).collect();
        all
    }
}

/// Members come through one door: each signs up and asks the one before.
async fn come(url: String, door: String, stopped: Arc<AtomicBool>) -> Acknowledged {
    let mut done = Acknowledged::default();
    let mut before: Option<Member> = None;
    for number in 0.. {
        if stopped.load(Ordering::SeqCst) {
            break;
        }
        let member = enter(&url, &format!("Come{door}z{}", letters(number))).await;
        done.users.push(member.id.clone());
        if let Some(before) = &before {
            done.requests.extend(ask(&member, before).await);
        }
        before = Some(member);
        tokio::time::sleep(PACE).await;
    }
    done
}

/// Signs up; who finds that it has happened already logs in.
async fn enter(url: &str, name: &str) -> Member {
    loop {
        match Member::try_sign_up(url, name).await {
            Ok(member) => return member,
            Err(Some(StatusCode::BAD_REQUEST)) => break,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
    loop {
        match Member::try_log_in(url, &email(name), PASSWORD).await {
            Ok(member) => return member,
            Err(Some(status)) if status.is_client_error() => panic!("{name} exists and can't log in: {status}"),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// The request's id; none when it was there already, from a time that was not answered.
async fn ask(member: &Member, other: &Member) -> Option<String> {
    loop {
        let asked = member.post(&format!("/request/send/interested/{}", other.id)).send().await;
        match asked {
            Ok(answer) if answer.status() == StatusCode::OK => {
                // An answer that breaks off has been given all the same; its request is looked for like the others.
                let body: Value = answer.json().await.ok()?;
                return Some(body["data"]["_id"].as_str().expect("a request's id").to_owned());
            }
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => return None,
            Ok(answer) if answer.status().is_client_error() => panic!("nobody may ask: {}", answer.status()),
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// A number as a name's letters.
fn letters(mut number: usize) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number /= 26;
        if number == 0 {
            return text;
        }
    }
}
