//! A real mail server of a test's own, which keeps what it takes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::node;

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// To whom.
    pub to: String,
    /// All of it, headers first.
    pub text: String,
}

impl Received {
    /// The value of a header, if it stands in one line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A running mail server.
pub struct Mailbox {
    process: Child,
    port: u16,
    lines: Receiver<Value>,
}

impl Mailbox {
    /// One that first refuses so many mails for now. Blocks until it listens.
    pub fn start(later: usize) -> Self {
        let mut process = node::node()
            .arg("mailbox.mjs")
            .env("MAILBOX_LATER", later.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node; install Node 20 or newer");
        let (said, lines) = channel();
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        std::thread::spawn(move || {
            let parsed = output.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            // It goes on until the test is over.
            let _ = parsed.into_iter().try_for_each(|line: Value| said.send(line));
        });
        let first = lines.recv_timeout(Duration::from_secs(20)).expect("a mail server that listens");
        let port = first.pointer("/port").and_then(Value::as_u64).and_then(|port| port.try_into().ok());
        let port = port.expect("its port");
        Self { process, port, lines }
    }

    /// As `SMTP_URL` has it.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The next mail that it takes; none when there is none within the time. Blocks.
    pub fn next(&self, within: Duration) -> Option<Received> {
        let line = self.lines.recv_timeout(within).ok()?;
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Received { to: text("/to/0"), text: text("/text") })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
