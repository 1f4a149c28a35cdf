//! The process of a host: lines go to it and come back, matched by their ids, and what it logs is kept for the case that
//! something fails. It ends when its input does, and so never outlives the test.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the protocol that this crate speaks.
const PROTOCOL: u32 = 1;
/// How long an answer may take: longer than the host lets any take.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a host may take to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(2);
/// How many lines of its log are kept.
const KEPT: usize = 200;
/// What its log may have, where the variable is not set.
const LOG: (&str, &str) = ("DEVCONNECT_LOG", "warn");

/// A host that runs.
pub(crate) struct Process {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    replies: Arc<Replies>,
    log: Arc<Mutex<VecDeque<String>>>,
    logging: Mutex<Option<JoinHandle<()>>>,
    next: AtomicU64,
}

/// An answer that comes.
pub(crate) struct Waiting<'a> {
    process: &'a Process,
    operation: String,
    answer: Receiver<Outcome>,
}

/// Why the host does not answer.
#[derive(Debug, Deserialize)]
struct Failure {
    kind: String,
    message: String,
}

type Outcome = Result<Box<RawValue>, Failure>;

/// Who waits for which answer.
#[derive(Default)]
struct Replies(Mutex<Waited>);

#[derive(Default)]
struct Waited {
    senders: BTreeMap<u64, Sender<Outcome>>,
    /// Why there will be no more answers.
    ended: Option<String>,
}

#[derive(Deserialize)]
struct Greeting {
    protocol: u32,
}

#[derive(Serialize)]
struct Request<'a, T: Serialize> {
    id: u64,
    #[serde(rename = "do")]
    operation: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(Deserialize)]
struct Reply {
    id: Option<u64>,
    ok: Option<Box<RawValue>>,
    error: Option<Failure>,
}

impl Process {
    /// Starts a host that waits to be told what to serve.
    pub(crate) fn spawn(host: &Path) -> Self {
        let mut command = Command::new(host);
        command.arg("harness");
        let (name, level) = LOG;
        if std::env::var_os(name).is_none() {
            command.env(name, level);
        }
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} can't be run: {error}"));
        let (replies, log) = (Arc::new(Replies::default()), Arc::<Mutex<VecDeque<String>>>::default());
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let Some(output) = output {
            let replies = replies.clone();
            std::thread::spawn(move || {
                let why = replies.hear(output);
                replies.end(why);
            });
        }
        let logging = errors.map(|errors| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep(errors, &log))
        });
        Self {
            child: Mutex::new(child),
            input: Mutex::new(input),
            replies,
            log,
            logging: Mutex::new(logging),
            next: AtomicU64::new(1),
        }
    }

    /// Asks for an operation, whose answer is waited for later.
    pub(crate) fn begin(&self, operation: &str, fields: &impl Serialize) -> Waiting<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = serde_json::to_string(&Request { id, operation, fields });
        let mut line = request.unwrap_or_else(|error| panic!("{operation} is no JSON: {error}"));
        line.push('\n');
        let answer = self.replies.expect(id);
        if let Some(input) = lock(&self.input).as_mut() {
            // A host that has ended takes nothing; who waits for the answer is told why.
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
        Waiting { process: self, operation: operation.to_owned(), answer }
    }

    /// What an operation is answered with.
    pub(crate) fn call<T: DeserializeOwned>(&self, operation: &str, fields: &impl Serialize) -> T {
        self.begin(operation, fields).read()
    }

    /// What an operation is answered with, or why the host refuses it.
    pub(crate) fn call_or_refused<T: DeserializeOwned>(
        &self,
        operation: &str,
        fields: &impl Serialize,
    ) -> Result<T, String> {
        let waiting = self.begin(operation, fields);
        match waiting.outcome() {
            Err(Failure { kind, message }) if kind == "refused" => Err(message),
            outcome => Ok(waiting.parse(outcome)),
        }
    }

    /// Ends the test with what the host logged.
    fn fail(&self, why: &str) -> ! {
        let _ = lock(&self.child).kill();
        panic!("{why}\n{}", self.logged().unwrap_or_else(|| "the host logged nothing".to_owned()))
    }

    /// The end of its log, once it has ended; none the second time.
    fn logged(&self) -> Option<String> {
        let logging = lock(&self.logging).take()?;
        // Nothing is lost: what a thread that panicked has kept is there.
        let _ = logging.join();
        let log = lock(&self.log);
        let lines: Vec<&str> = log.iter().map(String::as_str).collect();
        (!lines.is_empty()).then(|| format!("the host logged:\n{}", lines.join("\n")))
    }
}

impl Drop for Process {
    /// Closes the host's input, and kills it when that does not end it.
    fn drop(&mut self) {
        drop(lock(&self.input).take());
        let failing = std::thread::panicking();
        {
            let mut child = lock(&self.child);
            let deadline = Instant::now() + if failing { Duration::ZERO } else { FAREWELL };
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                if Instant::now() >= deadline {
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        if failing && let Some(logged) = self.logged() {
            eprintln!("{logged}");
        }
    }
}

impl Waiting<'_> {
    /// Waits for the answer, read as what it is.
    pub(crate) fn read<T: DeserializeOwned>(self) -> T {
        self.parse(self.outcome())
    }

    fn outcome(&self) -> Outcome {
        match self.answer.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                self.process.fail(&format!("{} was not answered in {PATIENCE:?}", self.operation))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = self.process.replies.ended();
                self.process.fail(&format!("{} is not answered: {why}", self.operation))
            }
        }
    }

    fn parse<T: DeserializeOwned>(&self, outcome: Outcome) -> T {
        let why = match outcome {
            Ok(answer) => match serde_json::from_str(answer.get()) {
                Ok(answer) => return answer,
                Err(error) => format!("its answer is not what was expected: {error}"),
            },
            Err(Failure { kind, message }) => format!("{message} ({kind})"),
        };
        self.process.fail(&format!("{}: {why}", self.operation))
    }
}

impl Replies {
    /// From here on somebody waits for this answer.
    fn expect(&self, id: u64) -> Receiver<Outcome> {
        let (sender, answer) = channel();
        let mut waited = lock(&self.0);
        if waited.ended.is_none() {
            waited.senders.insert(id, sender);
        }
        answer
    }

    /// Hands out answers until there are no more; says why there are not.
    fn hear(&self, output: ChildStdout) -> String {
        let mut lines = BufReader::new(output).lines();
        let ended = || "the host ended".to_owned();
        let Some(Ok(greeting)) = lines.next() else { return ended() };
        match serde_json::from_str::<Greeting>(&greeting) {
            Ok(Greeting { protocol: PROTOCOL }) => {}
            Ok(Greeting { protocol }) => return format!("the host speaks protocol {protocol}, and this is {PROTOCOL}"),
            Err(_) => return format!("the host does not greet: {greeting:?}"),
        }
        while let Some(Ok(line)) = lines.next() {
            let Ok(Reply { id, ok, error }) = serde_json::from_str::<Reply>(&line) else {
                return format!("the host says what is no reply: {line:?}");
            };
            let outcome = match (ok, error) {
                (Some(answer), None) => Ok(answer),
                (None, Some(failure)) => Err(failure),
                _ => return format!("the host says what is no reply: {line:?}"),
            };
            let sender = id.and_then(|id| lock(&self.0).senders.remove(&id));
            match (sender, outcome) {
                // Nobody may wait any more.
                (Some(sender), outcome) => _ = sender.send(outcome),
                (None, Err(failure)) => return format!("the host did not take a line: {}", failure.message),
                (None, Ok(_)) => return format!("the host answers what was not asked: {line:?}"),
            }
        }
        ended()
    }

    fn end(&self, why: String) {
        let mut waited = lock(&self.0);
        waited.senders.clear();
        waited.ended = Some(why);
    }

    fn ended(&self) -> String {
        lock(&self.0).ended.clone().unwrap_or_default()
    }
}

/// Keeps the end of the log.
fn keep(errors: ChildStderr, log: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut log = lock(log);
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::json;

    use super::*;

    /// Something that passes for a host.
    fn host(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::run(command)
    }

    /// The text of the failure.
    fn failure(work: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    const GREETING: &str = r#"echo '{"protocol":1,"host":"0"}'; "#;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Answer {
        n: u32,
    }

    #[test]
    fn answers_find_who_waits_for_them() {
        let script = r#"read one; read two; echo '{"id":2,"ok":{"n":2}}'; echo '{"id":1,"ok":{"n":1}}'; read end"#;
        let process = host(&format!("{GREETING}{script}"));
        let (one, two) = (process.begin("one", &json!({})), process.begin("two", &json!({})));
        assert_eq!((one.read::<Answer>(), two.read::<Answer>()), (Answer { n: 1 }, Answer { n: 2 }));
    }

    #[test]
    fn a_request_is_a_line_with_its_fields() {
        let process = host(&format!(r#"{GREETING}read line; echo "{{\"id\":1,\"ok\":$line}}"; read end"#));
        let echoed: serde_json::Value = process.call("find", &json!({ "filter": { "a": "b" } }));
        assert_eq!(echoed, json!({ "id": 1, "do": "find", "filter": { "a": "b" } }));
    }

    #[test]
    fn a_host_that_ends_is_told_of_with_what_it_logged() {
        let process = host(&format!("{GREETING}read line; echo 'no more room' >&2; exit 1"));
        let said = failure(|| _ = process.call::<Answer>("start", &json!({})));
        assert_eq!(said, "start is not answered: the host ended\nthe host logged:\nno more room");
    }

    #[test]
    fn what_is_refused_is_an_answer_where_that_is_expected() {
        let refusal = r#"read line; echo '{"id":1,"error":{"kind":"refused","message":"no"}}'; read end"#;
        let process = host(&format!("{GREETING}{refusal}"));
        assert_eq!(process.call_or_refused::<Answer>("deploy", &json!({})), Err("no".to_owned()));
        let process = host(&format!("{GREETING}{refusal}"));
        let said = failure(|| _ = process.call::<Answer>("insert", &json!({})));
        assert!(said.starts_with("insert: no (refused)\n"), "{said}");
    }

    #[test]
    fn another_protocol_is_refused() {
        let process = host(r#"echo '{"protocol":2,"host":"9"}'; read line"#);
        let said = failure(|| _ = process.call::<Answer>("start", &json!({})));
        assert!(said.contains("the host speaks protocol 2, and this is 1"), "{said}");
    }

    #[test]
    fn a_host_that_does_not_end_is_killed() {
        let begun = Instant::now();
        drop(host(&format!("{GREETING}exec sleep 1000")));
        assert!(begun.elapsed() >= FAREWELL && begun.elapsed() < FAREWELL * 4);
    }
}
