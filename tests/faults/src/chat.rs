//! Messages over the official Socket.IO client.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2e::{Value, json, node};

use crate::servers::lock;
use crate::tally::Answer;

/// Who writes to whom.
#[derive(Debug)]
pub struct Talk {
    /// The host of the one who writes.
    pub url: String,
    /// The one who writes.
    pub from: String,
    /// Their session.
    pub token: String,
    /// The one who is written to.
    pub to: String,
    /// A message that is refused is sent again, under the same `clientId`, until it is taken.
    pub retries: bool,
    taken: Mutex<Vec<Taken>>,
}

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its text: the messages of a talk are counted from 0.
    pub number: u64,
    /// The id that the acknowledgement has.
    pub id: String,
    /// When we heard of it.
    pub at: Instant,
}

impl Talk {
    /// Nothing is written yet.
    pub fn new(url: &str, from: &e2e::Member, to: &e2e::Member, retries: bool) -> Self {
        let (from, token, to) = (from.id.clone(), from.token.clone(), to.id.clone());
        Self { url: url.to_owned(), from, token, to, retries, taken: Mutex::default() }
    }

    /// What was acknowledged before now.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.taken).clone()
    }

    /// When the last message was acknowledged.
    pub fn last(&self) -> Option<Instant> {
        lock(&self.taken).last().map(|taken| taken.at)
    }
}

/// Talks that go on.
pub struct Chat {
    client: Child,
    input: ChildStdin,
    reading: JoinHandle<()>,
}

impl Chat {
    /// Connects everybody and begins, with `pace` between an answer and the next message; `heard` is told of every answer, with how long it took. Blocks until all are connected.
    pub fn begin(talks: Arc<[Talk]>, pace: Duration, heard: impl Fn(Answer, Duration) + Send + 'static) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/chat.mjs");
        let mut command = node::node();
        let spawned = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut client = spawned.expect("node; install Node 20 or newer");
        let (mut input, output) = (client.stdin.take().expect("its input"), client.stdout.take().expect("its output"));
        let described: Vec<Value> = talks.iter().map(describe).collect();
        let told = json!({ "pace": u64::try_from(pace.as_millis()).unwrap_or(0), "talks": described });
        writeln!(input, "{told}").expect("a client that listens");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("\"ready\""), "the members can't connect");
        let reading = std::thread::spawn(move || {
            for line in lines {
                let line: Value = serde_json::from_str(&line).expect("a line of JSON");
                let took = Duration::from_secs_f64(line["took"].as_f64().unwrap_or(0.0) / 1000.0);
                heard(take(&talks, &line), took);
            }
        });
        Self { client, input, reading }
    }

    /// Waits for the answers that are still to come, and ends. Blocks.
    pub fn end(mut self) {
        writeln!(self.input, "stop").expect("a client that listens");
        assert!(self.client.wait().expect("a client that ran").success(), "the client ended badly");
        self.reading.join().expect("answers that could be read");
    }
}

fn describe(talk: &Talk) -> Value {
    json!({ "url": talk.url, "id": talk.from, "token": talk.token, "toUserId": talk.to, "retries": talk.retries })
}

fn take(talks: &[Talk], line: &Value) -> Answer {
    let number = |name: &str| line[name].as_u64();
    let talk = number("talk").and_then(|at| talks.get(usize::try_from(at).ok()?));
    match (talk, number("n"), &line["ok"], line["id"].as_str()) {
        (Some(talk), Some(number), Value::Bool(true), Some(id)) => {
            lock(&talk.taken).push(Taken { number, id: id.to_owned(), at: Instant::now() });
            Answer::Given(line.clone())
        }
        (Some(_), Some(_), Value::Bool(false), None) if line["message"].is_string() => Answer::Refused,
        _ => Answer::Wrong(format!("a socket says {line}")),
    }
}
