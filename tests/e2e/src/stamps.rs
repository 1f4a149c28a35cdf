//! Sockets of the official client that ask the fixture `stamped` for its stamp, one question after the other.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::network::Account;
use crate::node;

/// Members whose sockets ask. They all block.
pub struct Stamps {
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What they met.
#[derive(Debug, Deserialize)]
pub struct Met {
    /// Answers that had a stamp.
    pub answers: u64,
    /// Questions that had none.
    pub failed: u64,
    /// Sockets that the host closed.
    pub dropped: u64,
    /// Answers of an older version than the one before on the same socket.
    pub older: u64,
    /// Sockets that are connected at the end.
    pub open: usize,
    /// The last stamp that each member met.
    pub last: Vec<String>,
}

impl Stamps {
    /// A socket for each member; when it answers, each has had a stamp.
    pub fn begin(url: &str, members: &[Account]) -> Self {
        let mut process = node::node()
            .arg("stamps.mjs")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sockets' process");
        let mut input = process.stdin.take().expect("its input is piped");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        writeln!(input, "{}", json!({ "url": url, "members": members })).expect("it reads who asks");
        assert_eq!(lines.next().expect("sockets that connect").expect("a line"), "ready");
        Self { process, input, lines }
    }

    /// Has them finish what they asked.
    pub fn end(mut self) -> Met {
        writeln!(self.input, "stop").expect("it reads that it is over");
        let met = self.lines.next().expect("what they met").expect("a line");
        assert!(self.process.wait().expect("it ends").success());
        serde_json::from_str(&met).expect("what they met, as JSON")
    }
}
