//! Hosts that are killed, or abort at a step of their own, and start again at the same address and with the same data.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use capability::documents::{Documents, Filter, Query};
use devconnect::config::Config;
use e2e::{Expected, Server, ServerOptions, free_port, seed};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::network::Network;

/// The steps at which a host can be told to die, in the order in which an event passes them.
pub const STEPS: [&str; 10] = [
    "commit",
    "committed",
    "relay",
    "relayed",
    "acknowledged",
    "handler",
    "effect",
    "effected",
    "offset",
    "remembered",
];

/// The hosts of a test.
pub struct Site {
    /// What runs where.
    pub hosts: Vec<Spot>,
    /// How a further host in this process gets at the same stores.
    pub config: Config,
    /// Its data folder: that of the only host where the stores are in it.
    pub data: PathBuf,
    _folder: TempDir,
}

/// The place of a host: what it has each time it starts.
pub struct Spot {
    /// Where it is reached.
    pub url: String,
    data: PathBuf,
    port: u16,
    environment: Vec<(&'static str, String)>,
    components: PathBuf,
    server: Option<Server>,
}

impl Site {
    /// One host that has everything embedded, with these further variables.
    pub fn embedded(environment: &[(&'static str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder for data");
        let data = folder.path().join("host");
        e2e::network::share_secret(&data);
        let log = [("DEVCONNECT_LOG", "error")];
        let environment = log.iter().chain(environment).map(|(name, value)| (*name, (*value).to_owned())).collect();
        let hosts = vec![Spot::new(data.clone(), e2e::root().join("target/components"), environment)];
        Self { hosts, config: Config::default(), data, _folder: folder }
    }

    /// Two hosts on servers of this program.
    pub fn real(network: &Network) -> Self {
        Self::of(network, &e2e::root().join("target/components"))
    }

    /// The same with a folder of components.
    pub fn of(network: &Network, components: &Path) -> Self {
        let folder = TempDir::new().expect("a folder for data");
        let data = |host: &str| folder.path().join(host);
        let hosts = ["a", "b"].map(|host| Spot::new(data(host), components.to_owned(), network.environment(host)));
        let data = data("audit");
        e2e::network::share_secret(&data);
        Self { hosts: hosts.into(), config: network.config(), data, _folder: folder }
    }

    /// The ids of all mails: of those that are files of a host, and of those that wait.
    pub async fn mails(&self, documents: &dyn Documents) -> BTreeSet<String> {
        let folders = self.hosts.iter().map(|spot| &spot.data).chain([&self.data]);
        let files = folders.filter_map(|data| std::fs::read_dir(data.join("mails")).ok()).flatten();
        let name = |file: std::io::Result<DirEntry>| file.expect("a file").file_name().into_string().ok();
        let sent = files.filter_map(|file| Some(name(file)?.strip_suffix(".eml")?.to_owned()));
        // A look shows a thousand; by then most are sent.
        let waiting = Query::all("host-mails", Filter::from_document(&bson::doc! {}).expect("a filter"));
        let waiting = documents.find(waiting).await.expect("documents");
        sent.chain(waiting.iter().map(|row| row.get_object_id("_id").expect("an id").to_hex())).collect()
    }

    /// The addresses of the hosts.
    pub fn urls(&self) -> Vec<String> {
        self.hosts.iter().map(|spot| spot.url.clone()).collect()
    }

    /// Ends all hosts as Ctrl-C does.
    pub async fn interrupt(&mut self) {
        for spot in &mut self.hosts {
            let Some(server) = spot.server.take() else { continue };
            let ended = spawn_blocking(move || server.interrupt()).await.expect("a host that ends");
            assert!(ended, "the host did not end well");
        }
    }
}

impl Spot {
    fn new(data: PathBuf, components: PathBuf, environment: Vec<(&'static str, String)>) -> Self {
        let port = free_port();
        Self { url: format!("http://127.0.0.1:{port}"), data, port, environment, components, server: None }
    }

    /// Starts the host; `abort` is a step and how many times it is passed first.
    pub async fn start(&mut self, abort: Option<(&str, u64)>) {
        let mut environment = self.environment.clone();
        environment.extend(abort.map(|(step, times)| ("DEVCONNECT_TEST_ABORT", format!("{step}:{times}"))));
        let components = Some(self.components.clone());
        // It dies on purpose, and so do its stores; what must hold all the same is for the audit.
        let expects = vec![Expected::Anything];
        let options = ServerOptions { environment, components, port: self.port, expects, ..ServerOptions::default() };
        let data = self.data.clone();
        let starting = spawn_blocking(move || {
            seed::sow(&data);
            Server::start_with(&data, options)
        });
        self.server = match starting.await {
            // With events left from before it may come to its step before it serves.
            Err(_) if abort.is_some() => None,
            server => Some(server.expect("a host that starts")),
        };
    }

    /// Kills the host, where one runs.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            spawn_blocking(move || server.kill()).await.expect("a host that is killed");
        }
    }

    /// Waits until the host has died by itself; false when it has not within the bound.
    pub async fn dies(&mut self, bound: Duration) -> bool {
        let begun = Instant::now();
        while self.server.as_mut().is_some_and(Server::runs) {
            if begun.elapsed() > bound {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.server = None;
        true
    }
}
