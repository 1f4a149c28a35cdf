//! Redis, MongoDB and Kafka of this program's own, which it may treat badly. Tests take turns with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use conformance::redis_server::RedisServer;
use conformance::servers as shared;
use tempfile::TempDir;
use xtask::stack::Apart;
pub use xtask::stack::Server as Engine;

/// Nothing that is done to a server takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The three servers. They are ended with this.
pub struct Servers {
    redis: Mutex<RedisServer>,
    apart: Apart,
    /// Those that run. Apart's own look at a server that stands still waits for it.
    pids: Mutex<BTreeMap<Engine, Runs>>,
    mongodb: u16,
    kafka: u16,
    /// Data of servers and hosts.
    folder: TempDir,
}

/// The process of a server that runs; none for Redis, whose keeper knows it.
type Runs = Option<u32>;

/// A turn with the servers: all of them are up when it begins.
pub struct Turn {
    /// The servers.
    pub servers: Arc<Servers>,
    _alone: tokio::sync::OwnedMutexGuard<()>,
}

impl Turn {
    /// Waits for it. None, with the reason on stderr, where there are no servers; in continuous integration that is a failure.
    pub async fn begin() -> Option<Self> {
        static ALONE: Mutex<Option<Arc<tokio::sync::Mutex<()>>>> = Mutex::new(None);
        let servers = tokio::task::spawn_blocking(Servers::shared).await.expect("servers")?;
        let alone = lock(&ALONE).get_or_insert_default().clone();
        let turn = Self { servers, _alone: alone.lock_owned().await };
        // A test that failed may have left them as they were.
        turn.servers.do_blocking(|servers| Engine::ALL.into_iter().for_each(|engine| servers.start(engine))).await;
        Some(turn)
    }
}

impl Servers {
    /// Those of this program: they live as long as a test has them or waits for them.
    fn shared() -> Option<Arc<Self>> {
        static SERVERS: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
        let mut known = lock(&SERVERS);
        if let Some(servers) = known.upgrade() {
            return Some(servers);
        }
        // Installs what is missing, or says why it can't.
        shared::redis_url().and_then(|_| shared::mongodb_uri()).and_then(|_| shared::kafka_brokers())?;
        let folder = TempDir::new().expect("a folder for servers");
        let opened = Apart::open(&shared::root(), &folder.path().join("servers"));
        let apart = opened.unwrap_or_else(|error| panic!("servers apart: {error:#}"));
        let up = apart.up(&[Engine::Mongodb, Engine::Kafka]).unwrap_or_else(|error| panic!("servers apart: {error:#}"));
        let [mongodb, kafka] = [Engine::Mongodb, Engine::Kafka].map(|engine| port(up.of(engine).unwrap_or_default()));
        let (redis, pids) = (Mutex::new(RedisServer::absent()), Mutex::default());
        let servers = Arc::new(Self { redis, apart, pids, mongodb, kafka, folder });
        *known = Arc::downgrade(&servers);
        Some(servers)
    }

    /// On which port of this machine a server is, up or not.
    pub fn port(&self, engine: Engine) -> u16 {
        match engine {
            Engine::Redis => port(&lock(&self.redis).url()),
            Engine::Mongodb => self.mongodb,
            Engine::Kafka => self.kafka,
        }
    }

    /// The data folder of a host.
    pub fn data(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    /// Has it stand still, with its connections open.
    pub fn freeze(&self, engine: Engine) {
        self.signal(engine, "-STOP");
    }

    /// Has it go on.
    pub fn thaw(&self, engine: Engine) {
        self.signal(engine, "-CONT");
    }

    /// Kills it.
    pub fn stop(&self, engine: Engine) {
        self.signal(engine, "-KILL");
        lock(&self.pids).remove(&engine);
        match engine {
            Engine::Redis => lock(&self.redis).kill(),
            Engine::Mongodb | Engine::Kafka => until("a server is gone", || self.pid(engine).is_none()),
        }
    }

    /// Has it go on, or starts it anew (Redis has nothing in it then), and waits until it answers.
    pub fn start(&self, engine: Engine) {
        self.thaw(engine);
        if engine == Engine::Redis {
            if !lock(&self.pids).contains_key(&engine) {
                lock(&self.redis).start();
            }
            until("Redis answers", || lock(&self.redis).cli(&["ping"]) == "PONG");
        } else {
            self.apart.up(&[engine]).unwrap_or_else(|error| panic!("{} does not come back: {error:#}", engine.name()));
        }
        let pid = self.pid(engine);
        lock(&self.pids).insert(engine, pid);
    }

    /// Does something that blocks.
    pub async fn do_blocking(self: &Arc<Self>, what: impl FnOnce(&Self) + Send + 'static) {
        let servers = self.clone();
        tokio::task::spawn_blocking(move || what(&servers)).await.expect("servers that obey");
    }

    fn pid(&self, engine: Engine) -> Runs {
        match engine {
            Engine::Redis => None,
            Engine::Mongodb | Engine::Kafka => self.apart.pid(engine).expect("the folder of servers"),
        }
    }

    fn signal(&self, engine: Engine, signal: &str) {
        match (lock(&self.pids).get(&engine), signal) {
            (Some(None), "-STOP") => lock(&self.redis).freeze(),
            (Some(None), "-CONT") => lock(&self.redis).thaw(),
            (Some(Some(pid)), _) => {
                let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("the kill command");
                assert!(sent.success(), "{} takes no {signal}", engine.name());
            }
            (None | Some(None), _) => {}
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // One that stands still can't end.
        Engine::ALL.into_iter().for_each(|engine| self.thaw(engine));
    }
}

/// The port of `redis://127.0.0.1:PORT`, `mongodb://127.0.0.1:PORT/?…` or `127.0.0.1:PORT`.
fn port(address: &str) -> u16 {
    let end = address.rsplit(':').next().unwrap_or_default();
    end.split('/').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("there is no port in {address}"))
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
