//! The servers as containers: those services of `docker-compose.yml` that have the servers' names.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Addresses, Running, Server, State, Status, packages};

/// A workspace with a `docker-compose.yml`, on a machine where a container engine answers.
pub(super) struct Compose<'a> {
    root: &'a Path,
}

impl<'a> Compose<'a> {
    /// None where the file is missing, no engine answers or its `compose` is missing.
    pub(super) fn find(root: &'a Path) -> Option<Self> {
        if !root.join("docker-compose.yml").is_file() {
            return None;
        }
        // The engine, and the command's own part that is installed apart from it.
        let answers = |arguments: &[&str]| packages::quiet(Command::new("docker").args(arguments)).is_ok();
        (answers(&["info"]) && answers(&["compose", "version"])).then_some(Self { root })
    }

    pub(super) fn up(&self, servers: &[Server]) -> Result<Addresses> {
        let began = Instant::now();
        let missing: Vec<Server> = servers.iter().copied().filter(|server| self.address(*server).is_err()).collect();
        eprintln!("running `docker compose up --detach --wait {}`", names(servers).join(" "));
        // It is ready when the file's own health checks say so, also what runs already.
        packages::quiet(self.command(&["up", "--detach", "--wait"]).args(names(servers)))?;
        let running = |server: &Server| {
            let took = missing.contains(server).then(|| began.elapsed());
            Ok(Running { server: *server, address: self.address(*server)?, took })
        };
        Ok(Addresses { running: servers.iter().map(running).collect::<Result<_>>()? })
    }

    pub(super) fn down(&self, servers: &[Server]) -> Result<Vec<Server>> {
        let running: Vec<Server> = servers.iter().copied().filter(|server| self.address(*server).is_ok()).collect();
        if !running.is_empty() {
            packages::quiet(self.command(&["stop"]).args(names(&running)))?;
        }
        Ok(running)
    }

    pub(super) fn status(&self) -> Vec<Status> {
        let look = |server: &Server| {
            let address = self.address(*server).ok();
            let state = if address.is_some() { State::Up } else { State::Down };
            Status { server: *server, state, address, pid: None, version: None }
        };
        Server::ALL.iter().map(look).collect()
    }

    /// An error when the container does not run or publishes no port.
    fn address(&self, server: Server) -> Result<String> {
        let (inside, name) = (inside(server).to_string(), server.name());
        let output = self.command(&["port", name, &inside]).output().context("`docker` can't be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let port = published(&text);
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(address(server, port.with_context(|| format!("{name} does not publish its port {inside}"))?))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("compose").args(arguments).current_dir(self.root).stdin(Stdio::null());
        command
    }
}

fn names(servers: &[Server]) -> Vec<&'static str> {
    servers.iter().map(|server| server.name()).collect()
}

/// The port inside of the container.
fn inside(server: Server) -> u16 {
    match server {
        Server::Redis => 6379,
        Server::Mongodb => 27017,
        Server::Kafka => 9092,
    }
}

/// As the host takes it.
fn address(server: Server, port: u16) -> String {
    match server {
        Server::Redis => format!("redis://127.0.0.1:{port}"),
        // Direct, because the member may know itself by a name that only containers resolve.
        Server::Mongodb => format!("mongodb://127.0.0.1:{port}/?directConnection=true"),
        Server::Kafka => format!("127.0.0.1:{port}"),
    }
}

/// From `0.0.0.0:32768`, a line for each address that it is published on.
fn published(text: &str) -> Option<u16> {
    text.lines().find_map(|line| line.trim().rsplit_once(':')?.1.parse().ok()).filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_port_is_read() {
        assert_eq!(published("0.0.0.0:32768\n[::]:32768\n"), Some(32768));
        assert_eq!(published("127.0.0.1:6379\n"), Some(6379));
        assert_eq!(published(":0\n"), None);
        assert_eq!(published(""), None);
    }
}
