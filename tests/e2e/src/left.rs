//! What a host has left behind when a test is over: warnings in its log, calls that failed, dead letters. A test fails by what
//! it does not expect.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long one answer of the operator's side may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it is asked again: a broker that is busy, or has just made its topics, can't say everything at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries, and between two looks whether a log has ended.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the end of a log is waited for when its host has ended.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How much of one kind is shown.
const SHOWN: usize = 20;

/// What a test does not take for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Lines of the log, of level WARN or ERROR, with this in them.
    Warning(&'static str),
    /// Calls of this component that end so, as the metrics call it: `unable`, `trap`, `cut`, … `*` is any, of both.
    Outcome(&'static str, &'static str),
    /// Dead letters of this topic; `*` is any.
    DeadLetters(&'static str),
    /// That it holds more of the machine at the end than at first: open files, memory, connections, tasks.
    Growth,
    /// Whatever there is: nobody looks.
    Anything,
}

impl Expected {
    fn allows(self, left: &Left) -> bool {
        let is = |expected: &str, found: &str| expected == "*" || expected == found;
        match (self, left) {
            (Expected::Anything, _) | (Expected::Growth, Left::Held(_)) => true,
            (Expected::Warning(part), Left::Warning(line)) => line.contains(part),
            (Expected::Outcome(component, outcome), Left::Calls(calls)) => {
                is(component, &calls.component) && is(outcome, &calls.outcome)
            }
            (Expected::DeadLetters(topic), Left::DeadLetter(letter)) => is(topic, letter.topic()),
            _ => false,
        }
    }
}

/// Something that a host has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    /// A line of its log.
    Warning(String),
    /// Calls that failed.
    Calls(Calls),
    /// An event that a component could not be told.
    DeadLetter(DeadLetter),
    /// What it has not given back.
    Held(String),
    /// It could not be asked; why.
    Unknown(String),
}

/// Calls of a component that ended in one way, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calls {
    component: String,
    outcome: String,
    count: String,
}

/// A dead letter, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// `topic/partition/offset`.
    name: String,
    component: String,
    kind: String,
    reason: String,
}

impl DeadLetter {
    fn of(letter: &Value) -> Self {
        let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { name: text("name"), component: text("component"), kind: text("kind"), reason: text("reason") }
    }

    fn topic(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Left::Warning(line) => write!(f, "{line}\n    Expected::Warning(\"a part of it\")"),
            Left::Calls(Calls { component, outcome, count }) => write!(
                f,
                "{count} calls of {component} ended as {outcome}\n    Expected::Outcome({component:?}, {outcome:?})"
            ),
            Left::DeadLetter(letter) => {
                let DeadLetter { name, component, kind, reason } = letter;
                let topic = letter.topic();
                write!(
                    f,
                    "the dead letter {name}: {component} could not be told {kind:?}: {reason}\n    \
                     Expected::DeadLetters({topic:?})"
                )
            }
            Left::Held(what) => write!(f, "{what}\n    Expected::Growth"),
            Left::Unknown(why) => write!(f, "{why}"),
        }
    }
}

/// What calls and events have left, by the word of the operator's side, which listens at `admin`.
pub(crate) fn asked(admin: &str, token: Option<&str>) -> Vec<Left> {
    let metrics = get(admin, "/metrics", None);
    let letters = get(admin, "/v1/dead-letters", token);
    let calls = metrics.and_then(|metrics| failed(&metrics));
    let letters = letters.and_then(|letters| dead(&letters));
    let lefts = [calls, letters].map(|found| found.unwrap_or_else(|why| vec![Left::Unknown(why)]));
    lefts.into_iter().flatten().collect()
}

/// Calls that ended in another way than with an answer.
fn failed(metrics: &str) -> Result<Vec<Left>, String> {
    let ended: Vec<Calls> = metrics.lines().filter_map(calls).collect();
    if ended.is_empty() {
        return Err(format!("the metrics have no calls, not even none of them:\n{metrics}"));
    }
    let failed = ended.into_iter().filter(|calls| calls.outcome != "answered" && calls.count != "0");
    Ok(failed.map(Left::Calls).collect())
}

/// The value of a series, by its name with its labels.
pub(crate) fn metric(metrics: &str, series: &str) -> Option<u64> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    value.trim().parse::<f64>().ok().map(|value| value as u64)
}

/// As in `devconnect_calls_total{component="auth",outcome="trap"} 1`.
fn calls(line: &str) -> Option<Calls> {
    let (labels, count) = line.strip_prefix("devconnect_calls_total{")?.split_once("} ")?;
    let label = |name: &str| {
        let value = labels.split_once(&format!("{name}=\""))?.1;
        value.split('"').next().map(str::to_owned)
    };
    Some(Calls { component: label("component")?, outcome: label("outcome")?, count: count.trim().to_owned() })
}

fn dead(letters: &str) -> Result<Vec<Left>, String> {
    match serde_json::from_str::<Vec<Value>>(letters) {
        Ok(letters) => Ok(letters.iter().map(|letter| Left::DeadLetter(DeadLetter::of(letter))).collect()),
        Err(error) => Err(format!("the list of dead letters is none ({error}): {letters}")),
    }
}

/// What is not expected, one a line, and how it would be; none when there is nothing.
pub(crate) fn unexpected(left: &[Left], expected: &[Expected]) -> Option<String> {
    let found: Vec<&Left> = left.iter().filter(|left| !expected.iter().any(|expected| expected.allows(left))).collect();
    if found.is_empty() {
        return None;
    }
    let kinds: [fn(&Left) -> bool; 5] = [
        |left| matches!(left, Left::Unknown(_)),
        |left| matches!(left, Left::Held(_)),
        |left| matches!(left, Left::Calls(_)),
        |left| matches!(left, Left::DeadLetter(_)),
        |left| matches!(left, Left::Warning(_)),
    ];
    let mut text = String::new();
    for kind in kinds {
        let of_kind: Vec<&&Left> = found.iter().filter(|left| kind(left)).collect();
        for left in of_kind.iter().take(SHOWN) {
            text.push_str(&format!("  {left}\n"));
        }
        if of_kind.len() > SHOWN {
            text.push_str(&format!("  and {} more of the kind\n", of_kind.len() - SHOWN));
        }
    }
    text.push_str(
        "What is meant to be is expected by the line below it: in ServerOptions { expects: vec![…], .. }, or by \
         server.expect(…) while the host runs.",
    );
    Some(text)
}

/// The body of what is at a path of the operator's side. By a plain socket, because this is asked where a runtime has no say.
pub(crate) fn get(admin: &str, path: &str, token: Option<&str>) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        match try_get(admin, path, token) {
            Ok((200, body)) => return Ok(body),
            // Asked again it would say the same.
            Ok((status @ 400..=499, said)) => return Err(format!("GET {path}: {status} {said}")),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(format!("GET {path}: the host does not listen any more"));
            }
            answer if begun.elapsed() > PATIENCE => return Err(format!("GET {path}: {answer:?}")),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// One try: the status and the body.
fn try_get(admin: &str, path: &str, token: Option<&str>) -> std::io::Result<(u16, String)> {
    let address = admin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::new(ErrorKind::InvalidData, format!("no answer: {head:?}")))?;
    Ok((status, body.to_owned()))
}

/// Whether a line of a host's log says that something is wrong: `2026-11-28T13:32:39.401770Z  WARN target: words`, or the
/// beginning of a panic's words.
pub fn is_warning(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let has_time =
        words.next().is_some_and(|time| time.ends_with('Z') && time.starts_with(|c: char| c.is_ascii_digit()));
    let is_bad = words.next().is_some_and(|level| ["WARN", "ERROR"].contains(&level));
    (has_time && is_bad) || (line.starts_with("thread '") && line.contains("panicked at"))
}

/// The log of a host: each line goes to our own standard error, so that a test that fails shows it, and what is wrong is kept.
pub(crate) struct Log {
    kept: Arc<Mutex<Vec<String>>>,
    reading: JoinHandle<()>,
}

impl Log {
    pub(crate) fn of(stderr: ChildStderr) -> Self {
        let kept = Arc::<Mutex<Vec<String>>>::default();
        let keeping = kept.clone();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                eprintln!("{line}");
                if is_warning(&line) {
                    locked(&keeping).push(line);
                }
            }
        });
        Self { kept, reading }
    }

    /// What was wrong so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        locked(&self.kept).clone()
    }

    /// What was wrong, when the host has ended. A process that it has left could keep the log open, and is not waited for.
    pub(crate) fn ended(&self) -> Vec<Left> {
        let begun = Instant::now();
        while !self.reading.is_finished() && begun.elapsed() < LAST_LINES {
            std::thread::sleep(PAUSE / 10);
        }
        locked(&self.kept).iter().cloned().map(Left::Warning).collect()
    }
}

/// Also after a panic of another thread that had it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
