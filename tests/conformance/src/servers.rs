//! The real servers that cases run against.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xtask::stack::Server;

/// The URL of a Redis: the one of `REDIS_URL`, or else of the stack, which is brought up for it. None, with the reason on
/// stderr, where it can't be had; in continuous integration that is a failure.
pub fn redis_url() -> Option<String> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| match std::env::var("REDIS_URL") {
        Ok(url) if !url.is_empty() => Some(url),
        _ => match xtask::stack::up(&root(), &[Server::Redis]) {
            Ok(addresses) => addresses.of(Server::Redis).map(str::to_owned),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped, there is no Redis to test against: {error:#}");
                None
            }
            Err(error) => panic!("there is no Redis to test against: {error:#}"),
        },
    })
    .clone()
}

/// The workspace: two folders above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace above this crate").to_owned()
}
