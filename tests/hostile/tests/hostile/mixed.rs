//! Everything at once: strangers and members who send what nobody should, of every kind in turns, beside members who
//! read, write and chat.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

use std::time::Duration;

use e2e::{Member, Server, ServerOptions, Value, json, memory, seed, until, until_ok};
use hostile::attackers;
use hostile::good::{Beside, Client, Crowd, Latency, answered};
use hostile::mixed::{Campaign, HANG, Socket, Target, kinds};
use tempfile::TempDir;

/// The most that is resident at once, in KiB, from the host's start to its end: 384 MiB, whatever is sent and however long.
///
/// - 100 MiB are the host's own: its program, the code of components, the pool of instances, pages of SQLite, a block of
///   19 MiB for each thread that hashes passwords.
/// - 62 MiB are 2,000 Socket.IO sessions of strangers, which is the host's limit, at 31 KiB each.
/// - 128 MiB are bodies, which is the host's limit. What these attackers have in flight is far less.
/// - The rest is what the allocator keeps, and a buffer of 64 KiB for each of a few hundred slow connections.
const RESIDENT: u64 = 384 << 10;
/// Quiet and attack take turns.
const ROUNDS: u32 = 4;
/// Good members, in pairs who chat, and how often each asks for something: 300 requests and messages a second together,
/// as a network of some thousands who are there asks for.
const GOOD: usize = 12;
const PACE: Duration = Duration::from_millis(40);
/// Members who attack.
const BAD: usize = 6;
/// What was opened is closed within this time.
const OVER: Duration = Duration::from_secs(60);

/// How many hostile requests and frames there are, and how long each quiet takes.
fn sizes() -> (u64, Duration) {
    if std::env::var_os("DEVCONNECT_FULL").is_some() {
        (1_000_000, Duration::from_secs(20))
    } else {
        (20_000, Duration::from_millis(1_500))
    }
}

fn seeded() -> u64 {
    let seed = std::env::var("DEVCONNECT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("DEVCONNECT_SEED={seed}");
    seed
}

/// Attack (44, 45, 46, 47, 49): a million requests and frames of seventy kinds, a quarter of them with a session:
/// malformed, smuggled, half, forged, oversized, over HTTP/1, HTTP/2, WebSockets, Engine.IO and Socket.IO. Outcome:
/// each is refused as its kind has to be, none hangs, memory stays below a number that is stated first, nothing is left
/// behind; the others are served as before.
#[test]
fn a_million_hostile_things_harm_nobody() {
    let (count, quiet_time) = sizes();
    let data = TempDir::new().unwrap();
    seed::sow(data.path());
    let config = Some("[listener]\nfirst-request-seconds = 3\nheader-seconds = 5\n");
    // Whatever clients send is no warning: no line of the log is expected.
    let server = Server::start_with(data.path(), ServerOptions { config, ..ServerOptions::default() });
    let host = server.url.trim_start_matches("http://").to_owned();
    let (good, bad) = attackers().block_on(enter(&server.url));
    let target = Target { host: host.clone(), members: bad, others: good.iter().map(|good| good.id.clone()).collect() };
    let campaign = Campaign::new(target, seeded());
    assert!(kinds().len() >= 36 && campaign.sessions() >= 20, "{} kinds, {} %", kinds().len(), campaign.sessions());
    let mut crowd = Crowd::new(PACE, || clients(&good, &host));
    let (before, files) = (memory::resident(server.id()), files(server.id()));
    eprintln!("{} good requests and messages a second; {before} KiB resident, at most {RESIDENT} may be", crowd.rate());

    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        quiet.push(Latency::of(crowd.during(|| tokio::time::sleep(quiet_time))));
        attacked.push(Latency::of(crowd.during(|| campaign.send(count / u64::from(ROUNDS)))));
        let (now, peak) = (memory::resident(server.id()), memory::peak(server.id()));
        eprintln!("round {round}: {now} KiB resident, {peak} at most so far");
    }
    attackers().block_on(campaign.finish());
    let peak = memory::peak(server.id());
    eprintln!("{}", campaign.table());
    eprintln!("{before} KiB resident before, {peak} at most, {RESIDENT} allowed; nothing took longer than {HANG:?}");

    assert_eq!(campaign.faults(), "");
    let (sent, fewest) = campaign.counted();
    assert!(sent == count && fewest > 0, "{sent} of {count}, {fewest} of one kind");
    assert!(peak < RESIDENT, "{peak} KiB were resident at once, {before} before");
    drop((crowd, campaign, good));
    attackers().block_on(nothing_is_left(&server, files));
    Beside::of_rounds(&quiet, &attacked).check("a mixed crowd", 2, Duration::from_millis(250));
}

/// Signs up good members, who are connected in pairs, and bad ones.
async fn enter(url: &str) -> (Vec<Member>, Vec<Member>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..GOOD {
        good.push(Member::sign_up(url, &format!("Good{number}")).await);
    }
    for number in 0..BAD {
        bad.push(Member::sign_up(url, &format!("Bad{number}")).await);
    }
    for pair in good.chunks(2) {
        let [one, other] = pair else { panic!("good members come in pairs") };
        let sent = answered(one.post(&format!("/request/send/interested/{}", other.id))).await.unwrap();
        let sent: Value = sent.parse().unwrap();
        let request = sent.pointer("/data/_id").and_then(Value::as_str).unwrap();
        answered(other.post(&format!("/request/review/accepted/{request}"))).await.unwrap();
    }
    (good, bad)
}

/// A good member with a front end.
struct Good {
    member: Member,
    friend: String,
    socket: Socket,
    turn: usize,
}

/// The same members on machines of their own.
async fn clients(members: &[Member], host: &str) -> Vec<Good> {
    let mut all = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let member = member.elsewhere();
        let friend = members.get(at ^ 1).unwrap().id.clone();
        let mut socket = Socket::open(host, "").await.unwrap_or_else(|status| panic!("no socket: {status:?}"));
        assert!(socket.connect(&json!({ "token": member.token }).to_string()).await, "{} connects", member.email);
        let registered = socket.ask(&json!(["register", member.id]).to_string()).await;
        assert!(registered.is_some_and(|answer| answer.contains("\"ok\":true")), "{} registers", member.email);
        // Not all of them ask for the same at once.
        all.push(Good { member, friend, socket, turn: at * 5 });
    }
    all
}

impl Client for Good {
    async fn ask(&mut self) -> Result<(), String> {
        self.turn += 1;
        // As often as a minute allows, and less.
        if self.turn.is_multiple_of(64) {
            let edit = json!({ "about": format!("I was here {} times", self.turn) });
            return answered(self.member.patch("/profile/edit").json(&edit)).await.map(drop);
        }
        let path = match self.turn % 8 {
            1 => "/feed".to_owned(),
            2 | 6 => return self.chat().await,
            3 => format!("/chat/{}/history", self.friend),
            4 => "/user/connections".to_owned(),
            5 => "/notifications".to_owned(),
            _ => "/profile/view".to_owned(),
        };
        answered(self.member.get(&path)).await.map(drop)
    }
}

impl Good {
    async fn chat(&mut self) -> Result<(), String> {
        let message = json!({ "toUserId": self.friend, "message": format!("message {}", self.turn) });
        let answer = self.socket.ask(&json!(["private-message", message]).to_string()).await;
        let answer = answer.ok_or("the socket was closed")?;
        if answer.contains("\"ok\":true") { Ok(()) } else { Err(format!("a message: {answer}")) }
    }
}

/// Connections, calls and files are as before, and everybody is let in.
async fn nothing_is_left(server: &Server, before: usize) {
    server.settled().await;
    until_ok(OVER, async || {
        let metrics = reqwest::get(format!("{}/metrics", server.admin)).await.unwrap().text().await.unwrap();
        let open = ["devconnect_connections{listener=\"public\"}", "devconnect_calls_running{"];
        let mut open = metrics.lines().filter(|line| open.iter().any(|name| line.starts_with(name)));
        match open.find(|line| !line.ends_with(" 0")) {
            Some(line) => Err(format!("{line} is not 0")),
            None => Ok(()),
        }
    })
    .await;
    // A few more of the stores' are no leak.
    let most = before + 16;
    until_ok(OVER, async || match files(server.id()) {
        open if open <= most => Ok(()),
        open => Err(format!("{open} files are open, {before} were before")),
    })
    .await;
    let handshake = "/socket.io/?EIO=4&transport=polling";
    until("a stranger may open a session again", OVER, async || {
        Member::nobody(&server.url).get(handshake).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    Member::sign_up(&server.url, "Last").await.read("/feed").await;
}

/// How many files and connections a process has open.
fn files(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}
