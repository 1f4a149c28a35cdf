//! A store that freezes, stops or is cut off for one host while members are at work, and comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails where it stands"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use capability::events::DEAD_LETTERS;
use e2e::until;
use e2e::{Member, PASSWORD, Server, Value};
use faults::load::{AT_ONCE, Load, Shared, Worker, befriend, numbers};
use faults::machine::Machine;
use faults::network::{Fault, Network, heals, knows, state};
use faults::servers::Engine;
use faults::tally::Answer;
use reqwest::StatusCode;

/// Before the fault.
const BEFORE: Duration = Duration::from_millis(1_500);
/// The fault itself, and longer where a host needs longer to know of it.
const FAULT: Duration = Duration::from_millis(2_500);
/// Nobody waits longer for an answer, whatever is away: 2 s, and as much again for machines that are busy.
const BOUND: Duration = Duration::from_secs(4);
/// Events arrive so soon after everything is up.
const ARRIVAL: Duration = Duration::from_secs(60);

/// All three faults of a server, one after the other, under hosts that go on through all of them.
async fn faults_of(engine: Engine) {
    let Some(network) = Network::begin().await else { return };
    let hosts = [network.host("a").await, network.host("b").await];
    for host in &hosts {
        for engine in Engine::ALL {
            heals(&host.url, engine).await;
        }
    }
    // Every fault is tried, also after one that did not go well.
    let mut bad = Vec::new();
    for fault in Fault::ALL {
        bad.extend(one_fault(&network, &hosts, engine, fault).await);
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

async fn one_fault(network: &Network, hosts: &[Server; 2], engine: Engine, fault: Fault) -> Vec<String> {
    let urls = [hosts[0].url.as_str(), hosts[1].url.as_str()];
    let name = format!("{engine:?} {fault:?}").to_lowercase();
    let load = Load::begin(urls, &name.replace(' ', "")).await;
    let shared = load.shared().clone();
    let mut leaving = Vec::new();
    if engine == Engine::Redis {
        for url in urls {
            leaving.push(Leaving::log_in(url, urls, &shared.workers[0].member.email).await);
        }
    }
    // A fault of MongoDB concerns these writes as well.
    let machine = match engine {
        Engine::Mongodb => None,
        _ => Machine::watch(&network.straight(Engine::Mongodb)).await,
    };
    tokio::time::sleep(BEFORE).await;

    network.treat(engine, fault).await;
    let begun = Instant::now();
    load.away(true);
    let cut = fault == Fault::Cut;
    let touched = &urls[..if cut { 1 } else { 2 }];
    for url in touched {
        knows(url, engine).await;
    }
    let known = begun.elapsed();
    for leaving in &mut leaving {
        leaving.log_out(&shared).await;
    }
    if engine == Engine::Mongodb {
        all_at_once(&shared).await;
    }
    tokio::time::sleep_until((begun + FAULT).into()).await;
    if cut && state(urls[1], engine).await != "up" {
        shared.wrong("the host that has its line says that the store is away".to_owned());
    }
    for leaving in &leaving {
        leaving.stays_out(&shared).await;
    }
    load.away(false);
    let lasted = begun.elapsed();
    network.undo(engine, fault).await;

    let back = Instant::now();
    load.until_all_answered().await;
    let answered = back.elapsed();
    for url in urls {
        heals(url, engine).await;
    }
    let healed = back.elapsed();
    load.end().await;
    let machine = match machine {
        Some(machine) => machine.longest().await,
        None => Duration::ZERO,
    };
    for leaving in &leaving {
        leaving.stays_out(&shared).await;
    }
    let left: Vec<String> = leaving.iter().map(|leaving| format!("{:.0?}", leaving.refused_after)).collect();
    let lost = lost(network, urls, &shared).await;

    let tally = shared.tally.lock().unwrap();
    let messages: usize = shared.talks.iter().map(|talk| talk.taken().len()).sum();
    eprintln!(
        "{name} for {lasted:.1?} (known after {known:.1?}): {tally}; {messages} messages acknowledged, {} lost; \
         everybody answered again {answered:.1?} after, said to be up {healed:.1?} after; logged out {left:?}; \
         the machine itself took {machine:.1?} for a write",
        lost.len()
    );
    let (wrong, shown) = tally.wrongs();
    let mut bad: Vec<String> = shown.iter().chain(&lost).map(|why| format!("{name}: {why}")).collect();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            bad.push(format!("{name}: {what}"));
        }
    };
    check(wrong == 0, &format!("{wrong} answers were wrong"));
    let longest = tally.longest();
    check(
        longest < BOUND + machine,
        &format!("somebody waited for {longest:.1?}, where the machine itself took {machine:.1?} for a write"),
    );
    if engine == Engine::Mongodb {
        let cached = tally.away("view (unchanged)");
        check(cached.answered > 0 && cached.refused == 0, "what is in the cache was not read from there");
        check(tally.away("edit").refused > 0, "nobody has noticed anything");
    } else {
        check(tally.all().refused == 0, "nobody needs this store to be answered, and somebody was refused");
    }
    bad
}

/// Many questions at once while the documents are away: all are answered within the patience for one.
async fn all_at_once(shared: &std::sync::Arc<Shared>) {
    let asked = Instant::now();
    let questions = (0..160).map(|number| {
        let shared = shared.clone();
        tokio::spawn(async move {
            let worker = &shared.workers[number % shared.workers.len()];
            match number % 3 {
                0 => shared.view(worker).await,
                1 => shared.connections(worker).await,
                _ => shared.history(worker, &shared.talks[number % shared.workers.len() / 2]).await,
            }
        })
    });
    for question in questions.collect::<Vec<_>>() {
        question.await.unwrap();
    }
    if asked.elapsed() > BOUND {
        shared.wrong(format!("many questions took {:?}", asked.elapsed()));
    }
}

/// What was acknowledged and is not there, or is there twice.
async fn lost(network: &Network, urls: [&str; 2], shared: &Shared) -> Vec<String> {
    let mut lost = Vec::new();
    for worker in shared.workers.iter().filter(|worker| worker.edits) {
        edits(worker, urls, &mut lost).await;
    }
    for (at, talk) in shared.talks.iter().enumerate() {
        for (reader, url) in shared.workers[2 * at..].iter().zip(urls) {
            let peer = &shared.workers[reader.peer].member.id;
            let mut times = BTreeMap::<u64, Vec<String>>::new();
            for message in whole_history(&reader.member.at(url), peer).await {
                let number = numbers(talk, &e2e::json!({ "data": [message] })).unwrap()[0];
                times.entry(number).or_default().push(message["_id"].as_str().unwrap().to_owned());
            }
            for (number, ids) in times.iter().filter(|(_, ids)| ids.len() > 1) {
                lost.push(format!("message {number} is there {} times", ids.len()));
            }
            for taken in talk.taken() {
                if times.get(&taken.number).is_none_or(|ids| !ids.contains(&taken.id)) {
                    lost.push(format!("message {} was acknowledged and is not in history", taken.number));
                }
            }
        }
    }
    events(network, shared, &mut lost).await;
    // A store that is away is no reason to give an event up.
    for topic in ["user-events", "message-events", "connection-events", "notification-events"] {
        let dead = network.events(&format!("{topic}{DEAD_LETTERS}")).await;
        lost.extend(dead.iter().map(|event| format!("an event is a dead letter: {:?}", event.headers)));
    }
    lost
}

/// The edit that was acknowledged last, or a later one, is seen at both hosts.
async fn edits(worker: &Worker, urls: [&str; 2], lost: &mut Vec<String>) {
    let last = worker.acknowledged(Instant::now());
    for url in urls {
        let about = worker.member.at(url).read("/profile/view").await["about"].clone();
        if about.as_str().and_then(|about| about.parse::<u64>().ok()).is_none_or(|about| about < last) {
            lost.push(format!("edit {last} was acknowledged, and {about} is there"));
        }
    }
}

async fn whole_history(member: &Member, peer: &str) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let page = member.read(&format!("/chat/{peer}/history?limit=200{before}")).await;
        let page = page["data"].as_array().unwrap().clone();
        let Some(first) = page.first() else { return all };
        before = format!("&before={}", first["_id"].as_str().unwrap());
        all.splice(0..0, page);
    }
}

/// Every message that was acknowledged has its event, one of its own.
async fn events(network: &Network, shared: &Shared, lost: &mut Vec<String>) {
    let taken: BTreeSet<String> = shared.talks.iter().flat_map(|talk| talk.taken()).map(|taken| taken.id).collect();
    let begun = Instant::now();
    loop {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        for event in network.events("message-events").await {
            if event.kind == "MESSAGE_SENT" {
                let value: Value = serde_json::from_slice(&event.value).unwrap();
                let id = value["data"]["messageId"].as_str().unwrap().to_owned();
                found.entry(id).or_default().insert(event.id);
            }
        }
        let missing = taken.iter().filter(|id| !found.contains_key(*id)).count();
        if missing > 0 && begun.elapsed() < ARRIVAL {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        if missing > 0 {
            lost.push(format!("{missing} messages were acknowledged and have no event"));
        }
        let twice = found.values().filter(|events| events.len() > 1).count();
        if twice > 0 {
            lost.push(format!("{twice} messages have several events"));
        }
        return;
    }
}

/// A session that ends while a store is away.
struct Leaving {
    session: Member,
    urls: [String; 2],
    /// How long after the answer the last host refused it.
    refused_after: Duration,
}

impl Leaving {
    /// A session at a host, known at both.
    async fn log_in(url: &str, urls: [&str; 2], email: &str) -> Self {
        let session = Member::log_in(url, email, PASSWORD).await;
        for url in urls {
            session.at(url).read("/profile/view").await;
        }
        Self { session, urls: urls.map(str::to_owned), refused_after: Duration::ZERO }
    }

    /// Logs out at its host; both refuse it then, at once.
    async fn log_out(&mut self, shared: &Shared) {
        let asked = Instant::now();
        let answer = self.session.post("/logout").timeout(Duration::from_secs(20)).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            return shared.wrong(format!("nobody can log out: {}", answer.status()));
        }
        let took = asked.elapsed();
        shared.tally.lock().unwrap().add("log out", true, took, &Answer::Given(Value::Null));
        let answered = Instant::now();
        for url in &self.urls {
            while answered.elapsed() < AT_ONCE && self.status(url).await != StatusCode::UNAUTHORIZED {}
            self.refused_after = answered.elapsed();
        }
        self.stays_out(shared).await;
    }

    /// Both hosts refuse it, however often they are asked.
    async fn stays_out(&self, shared: &Shared) {
        for url in &self.urls {
            for _ in 0..5 {
                let status = self.status(url).await;
                if status != StatusCode::UNAUTHORIZED {
                    shared.wrong(format!("a session that was logged out gets {status}"));
                }
            }
        }
    }

    async fn status(&self, url: &str) -> StatusCode {
        let asked = self.session.at(url).get("/profile/view").timeout(Duration::from_secs(20)).send().await;
        asked.unwrap().status()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_freezes_stops_and_is_cut_off() {
    faults_of(Engine::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongodb_freezes_stops_and_is_cut_off() {
    faults_of(Engine::Mongodb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_freezes_stops_and_is_cut_off() {
    faults_of(Engine::Kafka).await;
}

/// Hosts that are started while a server is away serve, and heal when it comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_starts_without_any_of_them_and_heals() {
    let mut bad = Vec::new();
    for engine in Engine::ALL {
        // A network of its own: nothing of it is in the servers yet.
        let Some(network) = Network::begin().await else { return };
        bad.extend(start_without(&network, engine).await);
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

async fn start_without(network: &Network, engine: Engine) -> Option<String> {
    let (name, mut bad, mut ids) = (format!("{engine:?}"), None, Vec::new());
    network.treat(engine, Fault::Stopped).await;
    let begun = Instant::now();
    let host = network.host("b").await;
    let started = begun.elapsed();
    let nobody = Member::nobody(&host.url);
    assert_eq!(nobody.get("/healthz").send().await.unwrap().text().await.unwrap(), "ok");
    if engine == Engine::Mongodb {
        refuses(&nobody).await;
    } else {
        ids.push(serves(&host.url, &name).await);
    }
    knows(&host.url, engine).await;
    let known = begun.elapsed();
    network.undo(engine, Fault::Stopped).await;
    let back = Instant::now();
    heals(&host.url, engine).await;
    let healed = back.elapsed();
    // What says that it is up takes what comes.
    let body =
        e2e::json!({ "firstName": "Any", "lastName": "Body", "emailId": "any@example.com", "password": PASSWORD });
    until("somebody can sign up", ARRIVAL, async || {
        let answer = Answer::of(nobody.post("/signup").json(&body)).await;
        let taken = matches!(answer, Answer::Given(_));
        if !taken {
            bad = Some(format!(
                "{name} is said to be up {healed:.1?} after it came, and {:.1?} after: {answer:?}",
                back.elapsed()
            ));
        }
        taken
    })
    .await;
    ids.push(serves(&host.url, &format!("{name}after")).await);
    let served = back.elapsed();
    until("the events of all requests are there", ARRIVAL, async || {
        let events = network.events("connection-events").await;
        ids.iter().all(|id| events.iter().any(|event| event.kind == "CONNECTION_REQUEST" && &event.key == id))
    })
    .await;
    eprintln!(
        "without {name}: a host serves after {started:.1?} and knows it after {known:.1?}; with it: said to be up after \
         {healed:.1?}, everything done after {served:.1?}, all events there after {:.1?}",
        back.elapsed()
    );
    bad
}

/// Without documents: a question is answered soon, and with a refusal that says when to come back.
async fn refuses(nobody: &Member) {
    let body = e2e::json!({ "emailId": "nobody@example.com", "password": PASSWORD });
    let sign_up =
        e2e::json!({ "firstName": "No", "lastName": "Body", "emailId": "n@example.com", "password": PASSWORD });
    for _ in 0..3 {
        for request in [nobody.post("/login").json(&body), nobody.post("/signup").json(&sign_up)] {
            let asked = Instant::now();
            assert_eq!(Answer::of(request).await, Answer::Refused);
            assert!(asked.elapsed() < BOUND, "it took {:?}", asked.elapsed());
        }
    }
}

/// Two members sign up, are connected, and see each other; answers the id of the one who asked.
async fn serves(url: &str, name: &str) -> String {
    let [one, other] =
        [Member::sign_up(url, &format!("{name}a")).await, Member::sign_up(url, &format!("{name}b")).await];
    befriend(&one, &other).await;
    assert_eq!(one.read("/user/connections").await["data"][0]["_id"], other.id.as_str());
    one.id
}
