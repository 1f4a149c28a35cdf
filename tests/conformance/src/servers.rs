//! The real servers that cases run against.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xtask::stack::Server;

/// The URL of a Redis: the one of `REDIS_URL`, or else of the stack, which is brought up for it. None, with the reason on
/// stderr, where it can't be had; in continuous integration that is a failure.
pub fn redis_url() -> Option<String> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| address(Server::Redis)).clone()
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

/// Where the stack keeps its servers and their programs.
pub fn stack_folder() -> PathBuf {
    xtask::stack::folder(&root())
}

/// The workspace: two folders above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace above this crate").to_owned()
}
