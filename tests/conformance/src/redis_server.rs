//! A Redis server of a test's own, which it may treat badly.

use std::process::{Child, Command, Stdio};

use crate::servers::free_port;

/// A server, or the place of one.
pub struct RedisServer {
    port: u16,
    process: Option<Child>,
    _data: tempfile::TempDir,
}

impl RedisServer {
    /// Not running yet.
    pub fn absent() -> Self {
        Self { port: free_port(), process: None, _data: tempfile::TempDir::new().expect("a folder") }
    }

    /// Where it is, or will be.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs it; it has nothing in it.
    pub fn start(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        let process = command.arg(self._data.path()).stdout(Stdio::null()).spawn();
        self.process = Some(process.unwrap_or_else(|error| panic!("redis-server: {error}")));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Has it stand still, with its connections open.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// What `redis-cli` answers to a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(arguments).output();
        String::from_utf8_lossy(&output.expect("redis-cli").stdout).trim().to_owned()
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("a server that runs").id();
        assert!(Command::new("kill").args([signal, &id.to_string()]).status().expect("kill").success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
