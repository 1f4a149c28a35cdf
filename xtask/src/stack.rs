//! The real servers that capabilities run on, for tests and for development.
//!
//! Where a container engine answers and the workspace has a `docker-compose.yml`, that brings them up. Everywhere else
//! they are ordinary programs of this machine, on loopback only, and a folder has what belongs to them: the programs that
//! were fetched, settings, data, logs and ports. A server keeps its port and its data as long as that folder is there,
//! whatever ended it. Those who ask at the same time (test binaries do) take turns.

mod compose;
mod kafka;
mod mongodb;
mod mongodb_wire;
mod native;
mod packages;
mod ports;
mod process;
mod redis;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use self::compose::Compose;
use self::native::Native;

/// One of the real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Server {
    /// Caches, limits, presence and sockets over several hosts.
    Redis,
    /// Documents: a replica set of one member.
    Mongodb,
    /// Events: one broker, on which topics are made on purpose only.
    Kafka,
}

impl Server {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Mongodb, Self::Kafka];

    /// As it is called on the command line, in the folder and in `docker-compose.yml`.
    pub const fn name(self) -> &'static str {
        match self {
            Server::Redis => "redis",
            Server::Mongodb => "mongodb",
            Server::Kafka => "kafka",
        }
    }

    /// The variable that tells the host where it is.
    pub const fn variable(self) -> &'static str {
        match self {
            Server::Redis => "REDIS_URL",
            Server::Mongodb => "MONGODB_URI",
            Server::Kafka => "KAFKA_BROKERS",
        }
    }
}

/// Sees to it that a program of the system is there: where Debian's package manager is and we are root, by installing `package`.
///
/// # Errors
/// It is missing and can't be installed; the error says what to install.
pub fn program(program: &str, package: &str) -> Result<()> {
    packages::ensure(program, package)
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which.
    pub server: Server,
    /// As the host takes it in the server's variable.
    pub address: String,
    /// How long it was until it answered, with what had to be fetched for all of them; none when it ran already.
    pub took: Option<Duration>,
}

/// Where the servers are that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// One for each server, in the order of `Server::ALL`.
    pub running: Vec<Running>,
}

impl Addresses {
    /// As the host takes it in the server's variable; none for a server that was not asked for.
    pub fn of(&self, server: Server) -> Option<&str> {
        self.running.iter().find(|running| running.server == server).map(|running| running.address.as_str())
    }

    /// Lines for a shell, each an `export`.
    pub fn exports(&self) -> String {
        let line = |running: &Running| {
            // In quotes, because a shell may take the question mark of an URI for a pattern.
            format!("export {}='{}'\n", running.server.variable(), running.address.replace('\'', r"'\''"))
        };
        self.running.iter().map(line).collect()
    }
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// It runs and does not answer (yet).
    Silent,
    /// It does not run.
    Down,
}

/// What is known about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub server: Server,
    /// How it is.
    pub state: State,
    /// Where it is, or will be; none when it never was up.
    pub address: Option<String>,
    /// Its process; none when it does not run, or runs in a container.
    pub pid: Option<u32>,
    /// None when it is not installed, or runs in a container.
    pub version: Option<String>,
}

/// Brings the servers up that are not, and comes back when all of them answer. None named: all there are. What takes more
/// than moments is said on stderr.
///
/// # Errors
/// A program that is missing and can't be installed here: the error says what to install. A server that does not
/// answer within a minute: the error has the end of its log, and its process is ended.
pub fn up(root: &Path, servers: &[Server]) -> Result<Addresses> {
    let servers = or_all(servers);
    match Compose::find(root) {
        Some(compose) => compose.up(&servers),
        None => Native::open(&folder(root))?.up(&servers),
    }
}

/// Fetches and installs what the servers need that do not run, and starts none of them. None named: all there are. A
/// container engine is left to fetch its images when it starts them.
///
/// # Errors
/// A program that is missing and can't be installed here: the error says what to install.
pub fn fetch(root: &Path, servers: &[Server]) -> Result<()> {
    match Compose::find(root) {
        Some(_) => Ok(()),
        None => Native::open(&folder(root))?.fetch(&or_all(servers)),
    }
}

/// Stops the servers, and answers those that ran. Their data stays. None named: all there are.
///
/// # Errors
/// A process that can't be ended.
pub fn down(root: &Path, servers: &[Server]) -> Result<Vec<Server>> {
    let servers = or_all(servers);
    match Compose::find(root) {
        Some(compose) => compose.down(&servers),
        None => Native::open(&folder(root))?.down(&servers),
    }
}

/// Looks at all servers and changes nothing.
///
/// # Errors
/// A folder of servers that can't be read.
pub fn status(root: &Path) -> Result<Vec<Status>> {
    match Compose::find(root) {
        Some(compose) => Ok(compose.status()),
        None => Native::open(&folder(root))?.status(),
    }
}

/// Servers of somebody's own, who may treat them badly: apart from those that all share, and never in containers. They are
/// ended with this.
pub struct Apart {
    native: Native,
}

impl Apart {
    /// Servers whose data is in `folder`, which is made when there is none, and whose programs are those of the workspace
    /// at `root`.
    ///
    /// # Errors
    /// A folder that can't be made.
    pub fn open(root: &Path, folder: &Path) -> Result<Self> {
        let shared = Native::open(&self::folder(root))?;
        Ok(Self { native: Native::open(folder)?.with_programs_of(&shared) })
    }

    /// Brings these up, like [`up`]; one that was ended comes back where it was, with its data.
    ///
    /// # Errors
    /// As [`up`].
    pub fn up(&self, servers: &[Server]) -> Result<Addresses> {
        self.native.up(servers)
    }

    /// The process of a server; none when it does not run.
    ///
    /// # Errors
    /// A folder that can't be read.
    pub fn pid(&self, server: Server) -> Result<Option<u32>> {
        Ok(self.native.status()?.into_iter().find(|status| status.server == server).and_then(|status| status.pid))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Err(error) = self.native.down(&Server::ALL) {
            eprintln!("servers of a test were left behind: {error:#}");
        }
    }
}

/// Where the servers of the workspace at `root` are kept: `DEVCONNECT_STACK_DIR`, or `target/stack`.
pub fn folder(root: &Path) -> PathBuf {
    root.join(std::env::var_os("DEVCONNECT_STACK_DIR").unwrap_or_else(|| "target/stack".into()))
}

/// Each only once.
fn or_all(servers: &[Server]) -> Vec<Server> {
    Server::ALL.into_iter().filter(|server| servers.is_empty() || servers.contains(server)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_addresses_as_they_are() {
        let address = "redis://127.0.0.1:20000/?a=b'c&d".to_owned();
        let addresses = Addresses { running: vec![Running { server: Server::Redis, address, took: None }] };
        assert_eq!(addresses.exports(), "export REDIS_URL='redis://127.0.0.1:20000/?a=b'\\''c&d'\n");
        let script = format!("{}printf %s \"$REDIS_URL\"", addresses.exports());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), addresses.of(Server::Redis).unwrap());
    }

    #[test]
    fn a_server_is_brought_up_once_however_often_it_is_named() {
        assert_eq!(or_all(&[]), Server::ALL);
        assert_eq!(or_all(&[Server::Kafka, Server::Redis, Server::Kafka]), [Server::Redis, Server::Kafka]);
    }
}
