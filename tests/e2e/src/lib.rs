//! End to end: a host as an operator starts it, and clients as members have them.
//!
//! A [`Server`] is the built binary in a process of its own with a data folder of its own; it is asked over a socket and
//! killed by a signal. One that ends is asked for what it has left behind, and what the test has not [`Expected`] fails it.
//! A server that can't start panics: this is test code.

#![forbid(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't be set up should fail loudly, right here"
)]

pub mod described;
pub mod held;
mod left;
pub mod mailbox;
mod member;
pub mod memory;
pub mod network;
pub mod node;
mod payments;
pub mod schemathesis;
pub mod seed;
mod site;
mod stack;
mod stamps;
mod waiting;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use held::Held;
pub use left::{Expected, is_warning};
use left::{Left, Log, locked};
pub use member::{Member, PASSWORD, email};
pub use payments::PaymentServer;
pub use serde_json::{Value, json};
pub use site::{Site, stamp, token};
pub use stack::Stack;
pub use stamps::{Met, Stamps};
pub use waiting::{until, until_ok};

/// The secret that tests sign their own tokens with.
pub const JWT_SECRET: &str = "227daa7ef87238da024096ec87f2e437f6c6778b3b944cb6e40c8dbea41d8170";

/// What has happened is told to every component within this time.
const SETTLES: Duration = Duration::from_secs(60);
/// For so long nothing has gone on then.
const QUIET: Duration = Duration::from_millis(300);

/// A host that refuses to start has done so within this time.
const REFUSES: Duration = Duration::from_secs(60);

/// A running host. When it is interrupted or dropped while it runs, it must have left nothing behind but what is [`Expected`].
pub struct Server {
    process: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The same of the operator's side.
    pub admin: String,
    /// The operator's.
    token: Option<String>,
    log: Log,
    /// What it held when it began to serve.
    held: Held,
    expects: Mutex<Vec<Expected>>,
    /// Nothing is asked of it any more: it was ended, or seen to have ended.
    over: bool,
}

/// What differs between servers.
#[derive(Default)]
pub struct ServerOptions {
    /// Further variables of the environment.
    pub environment: Vec<(&'static str, String)>,
    /// Another folder of components than the built one.
    pub components: Option<PathBuf>,
    /// The text of a `devconnect.toml`.
    pub config: Option<&'static str>,
    /// The port; 0: any that is free.
    pub port: u16,
    /// The umask that it starts with; none: that of the test.
    pub umask: Option<&'static str>,
    /// What the host may leave behind.
    pub expects: Vec<Expected>,
}

impl Server {
    /// Starts a host on a data folder and waits for its line that it serves. On an empty one it compiles first; a [`Stack`]'s
    /// has what [`seed::sow`] brings.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, ServerOptions::default())
    }

    /// The same with options.
    pub fn start_with(data: &Path, options: ServerOptions) -> Self {
        let given = options.environment.iter().rfind(|(name, _)| *name == "DEVCONNECT_ADMIN_TOKEN");
        let token = given.map(|(_, token)| token.clone()).filter(|token| !token.is_empty());
        let servers = ["MONGODB_URI", "KAFKA_BROKERS", "REDIS_URL"];
        let on_servers = options.environment.iter().any(|(name, _)| servers.contains(name));
        let mut command = with_umask(options.umask);
        command
            .arg("serve")
            .arg("--components")
            .arg(options.components.unwrap_or_else(|| root().join("target/components")))
            .arg("--data")
            .arg(data)
            .args(["--port", &options.port.to_string(), "--admin-port", "0"])
            .env_clear()
            .env("JWT_SECRET", JWT_SECRET)
            .envs(options.environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(config) = options.config {
            let file = data.join("devconnect.toml");
            std::fs::create_dir_all(data).and_then(|()| std::fs::write(&file, config)).expect("a file for the config");
            command.arg("--config").arg(file);
        }
        let mut process = command.spawn().expect("the host's binary; build it with `cargo xtask build`");
        let stdout = process.stdout.take().expect("its output is piped");
        let log = Log::of(process.stderr.take().expect("its log is piped"));
        let mut lines = BufReader::new(stdout).lines();
        let mut address = |after: &str| {
            let mut said = lines.by_ref().map_while(Result::ok);
            said.find_map(|line| Some(line.split_once(after)?.1.split(' ').next()?.to_owned()))
                .unwrap_or_else(|| panic!("the host ended before it served"))
        };
        let (url, admin) = (address(" on "), address("admin      "));
        // Keep reading, so that the host never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        // One that serves has made its own.
        let token = token.or_else(|| std::fs::read_to_string(site::token_file(data)).ok());
        let token = token.map(|token| token.trim().to_owned());
        let held = Held::of(process.id(), on_servers);
        Self { process, url, admin, token, log, held, expects: Mutex::new(options.expects), over: false }
    }

    /// From here on this is no fault of it, whenever it came.
    pub fn expect(&self, expected: Expected) {
        locked(&self.expects).push(expected);
    }

    /// Waits until every component has finished what was in its topics, and what came of that: what is left behind before is
    /// that of some events, and not of all. Panics when that takes too long. It asks for the lags, and not for the metrics:
    /// those say 0 of a consumer that has not begun yet.
    pub async fn settled(&self) {
        let (client, token) = (reqwest::Client::new(), self.token.as_deref().unwrap_or_default());
        let (mut before, mut since) = (Value::Null, None::<Instant>);
        until("every component has finished what was in its topics", SETTLES, async || {
            let asked = client.get(format!("{}/v1/lag", self.admin)).bearer_auth(token).send().await;
            // A broker that was just started does not know its topics yet, and the host says so.
            let lags: Value = match asked {
                Ok(answer) if answer.status() == 200 => answer.json().await.unwrap_or_default(),
                _ => Value::Null,
            };
            let all: &[Value] = lags.as_array().map(Vec::as_slice).unwrap_or_default();
            // One that has not begun has finished nothing, which is less than any number.
            let finished = !all.is_empty() && all.iter().all(|lag| lag["finished"].as_u64() >= lag["end"].as_u64());
            // What is on its way to the log, or comes of what was just told, moves an end.
            let quiet = finished && lags == before;
            before = lags;
            since = since.filter(|_| quiet).or_else(|| quiet.then(Instant::now));
            since.is_some_and(|since| since.elapsed() >= QUIET)
        })
        .await;
    }

    /// The warnings and errors in its log so far, a line each.
    pub fn warnings(&self) -> Vec<String> {
        self.log.warnings()
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it like a power cut would: SIGKILL.
    pub fn kill(mut self) {
        self.over = true;
        self.process.kill().expect("the host was running");
        self.process.wait().expect("the host has ended");
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) {
        self.over = true;
        self.process.wait().expect("the host has ended");
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        let runs = self.process.try_wait().expect("a process that can be asked").is_none();
        // Who has asked knows how it ended.
        self.over |= !runs;
        runs
    }

    /// Ends it as Ctrl-C does, and waits; true when it says that it ended well. Panics when it has left something behind.
    pub fn interrupt(mut self) -> bool {
        self.over = true;
        let left = self.left();
        let sent = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(sent.expect("the kill command").success());
        let well = self.process.wait().expect("the host has ended").success();
        self.judge(left);
        well
    }

    /// What it has left behind by its own word. Blocks.
    fn left(&self) -> Vec<Left> {
        let (looks, grows) = {
            let expects = locked(&self.expects);
            (!expects.contains(&Expected::Anything), expects.contains(&Expected::Growth))
        };
        if !looks {
            return Vec::new();
        }
        let mut left = left::asked(&self.admin, self.token.as_deref());
        if !grows && let Err(what) = self.held.not_back(self.process.id(), &self.url, &self.admin) {
            left.push(Left::Held(what));
        }
        left
    }

    /// Panics when it has left something that is not expected, or said so in its log. It has ended.
    fn judge(&self, mut left: Vec<Left>) {
        left.extend(self.log.ended());
        if let Some(unexpected) = left::unexpected(&left, &locked(&self.expects)) {
            panic!("the host {} has left behind:\n{unexpected}", self.url);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let looks = !self.over && !std::thread::panicking();
        let left = match self.process.try_wait() {
            _ if !looks => Vec::new(),
            Ok(None) => self.left(),
            ended => vec![Left::Unknown(format!("it has ended by itself: {ended:?}"))],
        };
        let _ = self.process.kill();
        let _ = self.process.wait();
        if looks {
            self.judge(left);
        }
    }
}

/// The built host, with this umask. The shell becomes the host.
fn with_umask(umask: Option<&str>) -> Command {
    let Some(umask) = umask else { return Command::new(binary()) };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask \"$0\" && exec \"$@\"", umask]).arg(binary());
    command
}

/// What an operator's command says about a running host whose data folder this is: its output, and whether it went well.
/// Blocks.
pub fn operate(server: &Server, data: &Path, arguments: &[&str]) -> (String, bool) {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--data").arg(data).env_clear().env("DEVCONNECT_ADMIN_URL", &server.admin);
    said(command)
}

/// What a host says that refuses to start, with these arguments and variables. It has the built components, unless the
/// arguments name others. Panics when it starts. Blocks.
pub fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary());
    command.args(["serve", "--port", "0", "--admin-port", "0"]).args(arguments);
    if !arguments.contains(&"--components") {
        command.arg("--components").arg(root().join("target/components"));
    }
    command.env_clear().envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the host's binary; build it with `cargo xtask build`");
    let begun = Instant::now();
    while begun.elapsed() < REFUSES && process.try_wait().expect("a process that can be asked").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // One that has ended does not mind.
    let _ = process.kill();
    let output = process.wait_with_output().expect("what the host said");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0), "the host does not refuse to start: {said}");
    said
}

/// What a command says that asks no host. Blocks.
pub fn command(arguments: &[&str]) -> (String, bool) {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear();
    said(command)
}

fn said(mut command: Command) -> (String, bool) {
    let output = command.output().expect("the host's binary; build it with `cargo xtask build`");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.success())
}

/// The built host.
fn binary() -> PathBuf {
    built("devconnect")
}

/// A built program of the workspace: beside this one, or beside the folder of test binaries.
pub fn built(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let built = program.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|file| file.exists());
    built.unwrap_or_else(|| panic!("there is no `{name}` near {}; run `cargo xtask build`", program.display()))
}

/// Holds `target/NAME.lock` against the other test processes until it is dropped. Blocks.
pub fn lock(name: &str) -> std::fs::File {
    let file = std::fs::File::create(root().join("target").join(name).with_extension("lock")).expect("a lock file");
    file.lock().expect("a file that can be locked");
    file
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The built components and a fixture, in one folder.
pub fn with_fixture(name: &str) -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().expect("a folder for components");
    let built = std::fs::read_dir(root().join("target/components")).expect("built components");
    let files = built.map(|entry| entry.expect("a built component").path());
    let fixture = root().join("target/fixtures").join(name).with_extension("wasm");
    for file in files.chain([fixture]) {
        let name = file.file_name().expect("a file has a name");
        std::fs::copy(&file, folder.path().join(name)).expect("a component that can be copied");
    }
    folder
}

/// The fixture `stamped` with this number as its stamp: a component of its own, that says so.
pub fn stamped(number: u64) -> Vec<u8> {
    let mut wasm = std::fs::read(root().join("target/fixtures/stamped.wasm")).expect("a built fixture");
    let stamp = wasm.windows(16).position(|window| window == b"STAMP-0000000000").expect("a stamp");
    let place = wasm.get_mut(stamp..stamp + 16).expect("the place of the stamp");
    place.copy_from_slice(stamp_of(number).as_bytes());
    wasm
}

/// The fixture `numbered` with this number: a component with a name and a route of its own, `/numbered/NUMBER` in seven digits.
pub fn numbered(number: u64) -> Vec<u8> {
    let mut wasm = std::fs::read(root().join("target/fixtures/numbered-0000000.wasm")).expect("a built fixture");
    let digits = format!("{number:07}");
    for old in ["numbered/0000000", "numbered-0000000"] {
        let places: Vec<usize> =
            (0..wasm.len() - old.len()).filter(|at| wasm[*at..].starts_with(old.as_bytes())).collect();
        assert!(!places.is_empty(), "{old} is in the fixture");
        for place in places {
            wasm[place + old.len() - 7..place + old.len()].copy_from_slice(digits.as_bytes());
        }
    }
    wasm
}

/// What that component says.
pub fn stamp_of(number: u64) -> String {
    format!("STAMP-{number:010}")
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace above this crate").to_owned()
}

/// Each case, an `async fn` that takes a [`Stack`], as a test on embedded stores and as one on real servers.
#[macro_export]
macro_rules! on_both_stacks {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::Stack::embedded()).await;
            })*
        }

        mod real {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(stack) = tokio::task::spawn_blocking($crate::Stack::real).await.unwrap() {
                    super::$case(stack).await;
                }
            })*
        }
    };
}
