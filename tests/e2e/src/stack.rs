//! What hosts of a test run on: everything embedded, or the real servers with names of the test's own.

use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;
use xtask::stack::Server as Engine;

use crate::{Expected, Server, ServerOptions, root, seed};

/// What is no fault of a host on servers that other tests keep busy.
const ON_SHARED_SERVERS: [Expected; 3] = [
    // Kafka hands out ids in blocks of a thousand. To whom asks first, or while it gets the next block, it says that it is
    // not ready; the client waits half a second, asks again, and warns.
    Expected::Warning("Failed to acquire idempotence PID"),
    // With everything else on two cores it may need more than the two seconds that are waited for it. Whatever is done behind
    // the members' backs is done again; a member would be refused, which no test takes for right.
    Expected::Warning("MongoDB did not answer in"),
    // Two hosts whose components write about the same documents: MongoDB ends one of the two transactions, and the event is
    // delivered again.
    Expected::Warning("WriteConflict error"),
];

/// The stores of a network. Hosts that are started on it share them; on embedded ones there can be one host at a time.
pub struct Stack {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    cold: bool,
}

impl Stack {
    /// Everything in the data folder of the host.
    pub fn embedded() -> Self {
        Self { folder: TempDir::new().expect("a folder for data"), environment: Vec::new(), cold: false }
    }

    /// Redis, MongoDB and Kafka: those of `REDIS_URL` and its like, or else of `cargo xtask stack`. None, with the reason
    /// on stderr, where they can't be had; in continuous integration that is a failure.
    pub fn real() -> Option<Self> {
        let [redis, mongodb, kafka] = addresses()?;
        let name: String = (0..12).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
        let environment = vec![
            ("REDIS_URL", redis),
            ("REDIS_KEY_PREFIX", format!("{name}:")),
            ("MONGODB_URI", with_database(&mongodb, &name)),
            ("KAFKA_BROKERS", kafka),
            ("KAFKA_TOPIC_PREFIX", format!("{name}.")),
            ("KAFKA_GROUP_ID", name),
            ("UNSUBSCRIBE_SECRET", crate::JWT_SECRET.to_owned()),
        ];
        Some(Self { environment, ..Self::embedded() })
    }

    /// The same with another value of one of the variables; none: as if it were not set.
    #[must_use]
    pub fn with(mut self, variable: &'static str, value: Option<String>) -> Self {
        self.environment.retain(|(known, _)| *known != variable);
        self.environment.extend(value.map(|value| (variable, value)));
        self
    }

    /// The same, with hosts that compile everything when they first start, as an operator's do.
    #[must_use]
    pub fn cold(self) -> Self {
        Self { cold: true, ..self }
    }

    /// Whether a variable is set for its hosts.
    pub fn has(&self, name: &str) -> bool {
        self.environment.iter().any(|(known, _)| *known == name)
    }

    /// The value of a variable of its hosts.
    pub fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("{name} is not set for these hosts"), |(_, value)| value)
    }

    /// The variables of its hosts.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// A host's data folder; on embedded stores it has to be the same one each time.
    pub fn data(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    /// The same with compiled code in it, unless a host has used it or the stack is cold.
    pub async fn prepared(&self, host: &str) -> PathBuf {
        let data = self.data(host);
        if self.cold {
            return data;
        }
        let preparing = tokio::task::spawn_blocking(move || {
            seed::sow(&data);
            data
        });
        preparing.await.expect("a data folder with compiled code")
    }

    /// Starts a host, in a process of its own.
    pub async fn start(&self, host: &str) -> Server {
        self.start_with(host, ServerOptions::default()).await
    }

    /// The same with options.
    pub async fn start_with(&self, host: &str, mut options: ServerOptions) -> Server {
        // What the options say wins: a later value of a variable replaces an earlier one.
        options.environment.splice(0..0, self.environment.iter().cloned());
        if self.has("MONGODB_URI") {
            options.expects.extend(ON_SHARED_SERVERS);
        }
        let data = self.prepared(host).await;
        tokio::task::spawn_blocking(move || Server::start_with(&data, options)).await.expect("a host that starts")
    }
}

fn addresses() -> Option<[String; 3]> {
    static ADDRESSES: OnceLock<Option<[String; 3]>> = OnceLock::new();
    ADDRESSES
        .get_or_init(|| find().inspect_err(|why| eprintln!("skipped, there are no real servers: {why}")).ok())
        .clone()
}

fn find() -> Result<[String; 3], String> {
    let engines = [Engine::Redis, Engine::Mongodb, Engine::Kafka];
    let given = engines.map(|engine| std::env::var(engine.variable()).ok().filter(|value| !value.is_empty()));
    if let [Some(redis), Some(mongodb), Some(kafka)] = given {
        return Ok([redis, mongodb, kafka]);
    }
    match xtask::stack::up(&root(), &engines) {
        Ok(addresses) => Ok(engines.map(|engine| addresses.of(engine).unwrap_or_default().to_owned())),
        Err(error) if std::env::var_os("CI").is_none() => Err(format!("{error:#}")),
        Err(error) => panic!("there are no real servers to test against: {error:#}"),
    }
}

/// The URI of a MongoDB with the name of a database in it.
fn with_database(uri: &str, name: &str) -> String {
    let (server, options) = uri.split_once('?').unwrap_or((uri, ""));
    let separator = if options.is_empty() { "" } else { "?" };
    format!("{}/{name}{separator}{options}", server.trim_end_matches('/'))
}
