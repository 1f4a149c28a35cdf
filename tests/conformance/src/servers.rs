//! The real servers that cases run against.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use xtask::stack::Server;

/// The URL of a Redis: the one of `REDIS_URL`, or else of the stack, which is brought up for it. None, with the reason on
/// stderr, where it can't be had; in continuous integration that is a failure.
pub fn redis_url() -> Option<String> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| address(Server::Redis)).clone()
}

/// The brokers of a Kafka: those of `KAFKA_BROKERS`, or else of the stack, like [`redis_url`].
pub fn kafka_brokers() -> Option<String> {
    static BROKERS: OnceLock<Option<String>> = OnceLock::new();
    BROKERS.get_or_init(|| address(Server::Kafka)).clone()
}

/// The URI of a MongoDB, in the same way: of `MONGODB_URI`, or else of the stack.
pub fn mongodb_uri() -> Option<String> {
    static URI: OnceLock<Option<String>> = OnceLock::new();
    URI.get_or_init(|| address(Server::Mongodb)).clone()
}

fn address(server: Server) -> Option<String> {
    match std::env::var(server.variable()) {
        Ok(address) if !address.is_empty() => Some(address),
        _ => match xtask::stack::up(&root(), &[server]) {
            Ok(addresses) => addresses.of(server).map(str::to_owned),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped, there is no {} to test against: {error:#}", server.name());
                None
            }
            Err(error) => panic!("there is no {} to test against: {error:#}", server.name()),
        },
    }
}

/// The URL of a Redis Cluster of three masters, which lives as long as this process. None, with the reason on stderr, where
/// there is no `redis-server` to start; in continuous integration that is a failure.
pub fn redis_cluster_url() -> Option<String> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        // Installs it where it is missing.
        redis_url()?;
        match Cluster::start() {
            Ok(cluster) => Some(cluster),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped, there is no Redis Cluster to test against: {error}");
                None
            }
            Err(error) => panic!("there is no Redis Cluster to test against: {error}"),
        }
    });
    cluster.as_ref().map(|cluster| cluster.url.clone())
}

/// Three masters. Their shell ends them as soon as it reads the end of its input: when this process has ended, however.
struct Cluster {
    url: String,
    _shell: Child,
}

impl Cluster {
    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
        // A cluster's nodes also listen 10,000 ports above their own.
        let ports: Vec<u16> = std::iter::repeat_with(free_port).filter(|port| *port < 55_000).take(3).collect();
        let nodes: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut script = String::new();
        for port in &ports {
            script += &format!(
                "redis-server --port {port} --bind 127.0.0.1 --save '' --cluster-enabled yes \
                 --cluster-config-file {port}.conf --logfile {port}.log & "
            );
        }
        script += "read end; kill $(jobs -p); wait; rm -rf \"$FOLDER\"";
        let mut shell = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&folder)
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("bash: {error}"))?;
        let joined = until("the cluster is joined", || {
            let mut create = Command::new("redis-cli");
            create.args(["--cluster", "create", "--cluster-yes"]).args(&nodes);
            create.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        let all_agree = || nodes.iter().zip(&ports).all(|(_, port)| says(*port, "cluster_state:ok"));
        if let Err(error) = joined.and_then(|()| until("all nodes agree", all_agree)) {
            let _ = shell.kill();
            return Err(error);
        }
        Ok(Self { url: format!("redis://{}", nodes.join(",")), _shell: shell })
    }
}

fn says(port: u16, what: &str) -> bool {
    let output = Command::new("redis-cli").args(["-p", &port.to_string(), "cluster", "info"]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(what))
}

fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("not within half a minute: {what}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Where the stack keeps its servers and their programs.
pub fn stack_folder() -> PathBuf {
    xtask::stack::folder(&root())
}

/// The workspace: two folders above this crate.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace above this crate").to_owned()
}
