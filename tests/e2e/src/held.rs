//! What a host holds of the machine: file descriptors, memory, connections, tasks. At the end of a test it must have given back
//! what the test made it take.

use std::time::{Duration, Instant};

use crate::left::{get, metric};
use crate::memory::resident;

/// File descriptors that a host opens when it first needs them and keeps: of its own stores, or also of connections to servers.
const FILES: u64 = 64;
const FILES_ON_SERVERS: u64 = 384;
/// Memory, in KiB, that a host may keep: caches, compiled code, and what the allocator does not give back.
const MEMORY: u64 = 768 << 10;
/// Tasks of a host that nobody uses, and of a connection.
const TASKS: u64 = 1_024;
const TASKS_OF_CONNECTION: u64 = 8;
/// Connections whose other end has just closed.
const CLOSING: u64 = 8;
/// How long all of it may take to come back.
const SETTLES: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What a host held when it began to serve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    files: u64,
    memory: u64,
    on_servers: bool,
}

impl Held {
    /// Of a process that has begun to serve.
    pub(crate) fn of(process: u32, on_servers: bool) -> Self {
        Self { files: files(process), memory: resident(process), on_servers }
    }

    /// What is not back, in words. Waits until all of it is, or for so long.
    pub(crate) fn not_back(self, process: u32, url: &str, admin: &str) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            match self.look(process, url, admin) {
                Err(what) if begun.elapsed() > SETTLES => return Err(format!("not back after {SETTLES:?}: {what}")),
                Err(_) => std::thread::sleep(PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn look(self, process: u32, url: &str, admin: &str) -> Result<(), String> {
        let metrics = get(admin, "/metrics", None)?;
        let number = |name: &str| metric(&metrics, name).ok_or_else(|| format!("the metrics have no {name}"));
        let connections = number("devconnect_connections{listener=\"public\"}")?;
        let clients = clients(port(url));
        if connections > clients + CLOSING {
            return Err(format!("{connections} connections, of which {clients} have a client"));
        }
        let tasks = number("devconnect_tasks")?;
        let most = TASKS + TASKS_OF_CONNECTION * connections;
        if tasks > most {
            return Err(format!("{tasks} tasks with {connections} connections, at most {most}"));
        }
        // One of them is of the connection that asks.
        let (now, slack) = (files(process), if self.on_servers { FILES_ON_SERVERS } else { FILES });
        let most = self.files + slack + connections;
        if now > most {
            return Err(format!(
                "{now} open files with {connections} connections, at most {most}; {} at first",
                self.files
            ));
        }
        let (now, most) = (resident(process), self.memory + MEMORY);
        if now > most {
            return Err(format!("{now} KiB resident, at most {most}; {} at first", self.memory));
        }
        Ok(())
    }
}

/// What a host holds at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Memory, in KiB.
    pub resident: u64,
    /// File descriptors.
    pub files: u64,
    /// Open connections of its public side.
    pub connections: u64,
    /// Tasks that have begun and not ended.
    pub tasks: u64,
}

impl Sample {
    /// Of this process, whose operator's side listens at `admin`; none while it does not say. Blocks.
    pub fn of(process: u32, admin: &str) -> Option<Self> {
        let metrics = get(admin, "/metrics", None).ok()?;
        Some(Self {
            resident: resident(process),
            files: files(process),
            connections: metric(&metrics, "devconnect_connections{listener=\"public\"}")?,
            tasks: metric(&metrics, "devconnect_tasks")?,
        })
    }
}

/// The open file descriptors of a process (proc(5)).
pub fn files(process: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |files| files.count() as u64)
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}

/// The clients on this machine that have a connection to this port: whose other end it is (proc(5), `net/tcp`).
fn clients(port: u16) -> u64 {
    let is_client = |row: &str| {
        let mut columns = row.split_whitespace().skip(2);
        let (remote, state) = (columns.next()?, columns.next()?);
        // 01 is an established connection.
        let is_to_it = u16::from_str_radix(remote.rsplit(':').next()?, 16).ok()? == port;
        (is_to_it && state == "01").then_some(())
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(is_client).count() as u64
}
