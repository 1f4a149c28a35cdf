//! Members at work: they read, edit and write messages, and compare every answer with what they know.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::{Member, Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::chat::{Chat, Talk};
use crate::servers::lock;
use crate::tally::{Answer, Tally};
use e2e::until_ok;

/// Pairs of members; of each, one is at host `a` and one at host `b`.
pub const PAIRS: usize = 4;
/// Between an answer and the next message.
const PACE: Duration = Duration::from_millis(60);
/// Between a member's rounds.
const PAUSE: Duration = Duration::from_millis(40);
/// What was done at one host holds at the other "at once", which is 100 ms; more for machines that are busy.
pub const AT_ONCE: Duration = Duration::from_secs(1);
/// Everybody is answered again so soon after a store came back.
const HEALING: Duration = Duration::from_secs(30);

/// A member at work.
pub struct Worker {
    /// The member at its own host.
    pub member: Member,
    /// The other one of the pair.
    pub peer: usize,
    /// This one changes its profile.
    pub edits: bool,
    /// The highest number that was tried as a profile's text, and those that were acknowledged.
    tried: Mutex<u64>,
    acknowledged: Mutex<Vec<(Instant, u64)>>,
    /// When the last round began all of whose answers were right.
    round: Mutex<Option<Instant>>,
    profile: Value,
    connections: Value,
}

impl Worker {
    /// The number that was acknowledged last before a time.
    pub fn acknowledged(&self, before: Instant) -> u64 {
        lock(&self.acknowledged).iter().rev().find(|(at, _)| *at <= before).map_or(0, |(_, number)| *number)
    }

    fn tried(&self) -> u64 {
        *lock(&self.tried)
    }
}

/// A network's members at work.
pub struct Load {
    shared: Arc<Shared>,
    working: Vec<JoinHandle<()>>,
    chat: Chat,
}

/// What all members of a load know.
pub struct Shared {
    /// Two of a pair are neighbours.
    pub workers: Vec<Worker>,
    /// One of each pair: its place is the pair's.
    pub talks: Arc<[Talk]>,
    /// How everybody was answered.
    pub tally: Mutex<Tally>,
    stopped: AtomicBool,
    away: AtomicBool,
}

impl Load {
    /// Signs members up at two hosts, connects them and has them work. `name` makes them this load's.
    pub async fn begin(urls: [&str; 2], name: &str) -> Self {
        let mut members = Vec::new();
        for (number, letter) in ('a'..).take(2 * PAIRS).enumerate() {
            let url = if number % 2 == 0 { urls[0] } else { urls[1] };
            members.push(Member::sign_up(url, &format!("{name}{letter}")).await);
        }
        let (mut workers, mut talks) = (Vec::new(), Vec::new());
        for (pair, two) in members.chunks_exact(2).enumerate() {
            let [one, other] = two else { continue };
            befriend(one, other).await;
            let from_a = pair % 2 == 0;
            let (from, to, url) = if from_a { (one, other, urls[0]) } else { (other, one, urls[1]) };
            talks.push(Talk::new(url, from, to, pair < PAIRS / 2));
            // A profile that was just changed is not cached for a while: one that never was is.
            let edits = pair + 1 < PAIRS;
            for member in two.iter().filter(|_| edits) {
                edit(member, 0).await;
            }
            for (place, member) in two.iter().enumerate() {
                workers.push(Worker {
                    member: member.clone(),
                    peer: 2 * pair + 1 - place,
                    edits,
                    tried: Mutex::new(0),
                    acknowledged: Mutex::default(),
                    round: Mutex::default(),
                    profile: member.read("/profile/view").await,
                    connections: member.read("/user/connections").await,
                });
            }
        }
        let shared = Arc::new(Shared {
            workers,
            talks: talks.into(),
            tally: Mutex::default(),
            stopped: AtomicBool::new(false),
            away: AtomicBool::new(false),
        });
        let chat = {
            let (talks, shared) = (shared.talks.clone(), shared.clone());
            let heard = move |answer: Answer, took| {
                lock(&shared.tally).add("message", shared.away(), took, &answer);
            };
            spawn_blocking(move || Chat::begin(talks, PACE, heard)).await.expect("a chat that begins")
        };
        let worker = |at| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.work(at).await })
        };
        let working = (0..shared.workers.len()).map(worker).collect();
        Self { shared, working, chat }
    }

    /// What all members know.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// From now on a store is away, or no longer.
    pub fn away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }

    /// Waits until every member had a round that was right and every talk an acknowledgement, all begun from now on.
    pub async fn until_all_answered(&self) {
        let now = Instant::now();
        let after = |at: Option<Instant>| at.is_some_and(|at| at > now);
        until_ok(HEALING, async || {
            let workers: Vec<bool> = self.shared.workers.iter().map(|worker| after(*lock(&worker.round))).collect();
            let talks: Vec<bool> = self.shared.talks.iter().map(|talk| after(talk.last())).collect();
            if workers.iter().chain(&talks).all(|answered| *answered) {
                return Ok(());
            }
            let tally = lock(&self.shared.tally);
            let wrongs = tally.wrongs().1.join("\n");
            Err(format!("members {workers:?} and talks {talks:?} are answered again; {tally}\n{wrongs}"))
        })
        .await;
    }

    /// Has everybody finish what they do, and end.
    pub async fn end(self) -> Arc<Shared> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for working in self.working {
            working.await.expect("a member that works to the end");
        }
        let chat = self.chat;
        spawn_blocking(move || chat.end()).await.expect("a chat that ends");
        self.shared
    }
}

impl Shared {
    /// Whether a store is away.
    pub fn away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    /// Notes something that must not happen.
    pub fn wrong(&self, why: String) {
        lock(&self.tally).wrong(why);
    }

    /// A member reads its profile.
    pub async fn view(&self, worker: &Worker) -> bool {
        let what = if worker.edits { "view" } else { "view (unchanged)" };
        let lowest = worker.acknowledged(Instant::now());
        self.ask(what, worker.member.get("/profile/view"), |body| {
            let mut expected = worker.profile.clone();
            if worker.edits {
                with_about(&mut expected, "", body, lowest, worker.tried())?;
            }
            same(&expected, body)
        })
        .await
    }

    /// A member reads whom it is connected with.
    pub async fn connections(&self, worker: &Worker) -> bool {
        let peer = self.workers.get(worker.peer).expect("the other one of a pair");
        let lowest = Instant::now().checked_sub(AT_ONCE).map_or(0, |then| peer.acknowledged(then));
        self.ask("connections", worker.member.get("/user/connections"), |body| {
            let mut expected = worker.connections.clone();
            if peer.edits {
                with_about(&mut expected, "/data/0", body, lowest, peer.tried())?;
            }
            same(&expected, body)
        })
        .await
    }

    /// A member reads what the two of its pair wrote last.
    pub async fn history(&self, worker: &Worker, talk: &Talk) -> bool {
        let peer = self.workers.get(worker.peer).expect("the other one of a pair");
        let mut taken = talk.taken();
        if worker.member.id != talk.from {
            // They were acknowledged at the other one's host.
            taken.retain(|message| message.at.elapsed() >= AT_ONCE);
        }
        let request = worker.member.get(&format!("/chat/{}/history", peer.member.id));
        self.ask("history", request, |body| {
            let numbers = numbers(talk, body)?;
            let (Some(first), set) = (numbers.first(), BTreeSet::from_iter(&numbers)) else {
                return if taken.is_empty() { Ok(()) } else { Err("it is empty".to_owned()) };
            };
            if set.len() < numbers.len() {
                return Err(format!("a message is there twice: {numbers:?}"));
            }
            let all = numbers.len() < 50;
            let missing = taken.iter().map(|taken| taken.number).filter(|number| all || number >= first);
            match missing.filter(|number| !set.contains(number)).collect::<Vec<_>>().as_slice() {
                [] => Ok(()),
                missing => Err(format!("{missing:?} are missing in {numbers:?}")),
            }
        })
        .await
    }

    async fn work(&self, at: usize) {
        let worker = self.workers.get(at).expect("a member");
        let talk = self.talks.get(at / 2).expect("a talk for each pair");
        while !self.stopped.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let mut right = !worker.edits || self.edit(worker).await;
            right &= self.view(worker).await;
            right &= self.connections(worker).await;
            right &= self.history(worker, talk).await;
            if right {
                *lock(&worker.round) = Some(begun);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn edit(&self, worker: &Worker) -> bool {
        let number = {
            let mut tried = lock(&worker.tried);
            *tried += 1;
            *tried
        };
        let request = worker.member.patch("/profile/edit").json(&json!({ "about": number.to_string() }));
        let right = self
            .ask("edit", request, |body| {
                let mut expected = worker.profile.clone();
                let data = body.get("data").ok_or("there is no data")?;
                with_about(&mut expected, "", data, number, number)?;
                same(&expected, data)
            })
            .await;
        if right {
            lock(&worker.acknowledged).push((Instant::now(), number));
        }
        right
    }

    /// Asks, and judges what comes; true when it is right.
    async fn ask(
        &self,
        what: &'static str,
        request: e2e::described::Asked,
        judge: impl FnOnce(&Value) -> Result<(), String>,
    ) -> bool {
        let (begun, before) = (Instant::now(), self.away());
        let mut answer = Answer::of(request).await;
        let took = begun.elapsed();
        if let Answer::Given(body) = &answer
            && let Err(why) = judge(body)
        {
            answer = Answer::Wrong(why);
        }
        // While it was away all the time: one that was asked just before or after counts as the others.
        lock(&self.tally).add(what, before && self.away(), took, &answer);
        matches!(answer, Answer::Given(_))
    }
}

/// The numbers of the messages that a history has, in its order.
pub fn numbers(talk: &Talk, body: &Value) -> Result<Vec<u64>, String> {
    let messages = body["data"].as_array().ok_or("there is no list")?;
    let number = |message: &Value| {
        let known = message["fromUserId"] == talk.from.as_str() && message["toUserId"] == talk.to.as_str();
        let number = message["text"].as_str().and_then(|text| text.parse().ok()).filter(|_| known);
        number.ok_or_else(|| format!("nobody wrote {message}"))
    };
    messages.iter().map(number).collect()
}

async fn edit(member: &Member, number: u64) {
    let edit = member.patch("/profile/edit").json(&json!({ "about": number.to_string() })).send().await;
    assert!(edit.expect("an answer").status().is_success(), "a profile can't be changed");
}

/// The two are connected.
pub async fn befriend(one: &Member, other: &Member) {
    let sent = one.post(&format!("/request/send/interested/{}", other.id)).send().await.expect("an answer");
    let sent: Value = sent.json().await.expect("JSON");
    let id = sent["data"]["_id"].as_str().unwrap_or_else(|| panic!("no request in {sent}"));
    let accepted = other.post(&format!("/request/review/accepted/{id}")).send().await.expect("an answer");
    assert!(accepted.status().is_success(), "a request can't be accepted");
}

/// What is expected, with the text and the time of change that came; an error when the text is none of these numbers.
fn with_about(expected: &mut Value, at: &str, body: &Value, lowest: u64, highest: u64) -> Result<(), String> {
    let came = body.pointer(at).unwrap_or(body);
    let number = came["about"].as_str().and_then(|about| about.parse::<u64>().ok());
    if !number.is_some_and(|number| (lowest..=highest).contains(&number)) {
        return Err(format!("{:?} is not within {lowest} and {highest}", came["about"]));
    }
    if let Some(user) = expected.pointer_mut(at).and_then(Value::as_object_mut) {
        for field in ["about", "updatedAt"] {
            if let (Some(old), Some(new)) = (user.get_mut(field), came.get(field)) {
                old.clone_from(new);
            }
        }
    }
    Ok(())
}

fn same(expected: &Value, came: &Value) -> Result<(), String> {
    if expected == came { Ok(()) } else { Err(format!("{came} is not {expected}")) }
}
