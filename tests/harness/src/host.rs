//! The host that tests run on, and building it when its sources are newer.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::outdated::Product;
use crate::workspace::{cargo, is_prebuilt, root, target};

/// Names another host to test with, by its whole path.
const HOST: &str = "DEVCONNECT_HOST";
/// What it is built from.
const SOURCES: [&str; 5] = ["host", "wit", "Cargo.lock", "Cargo.toml", "rust-toolchain.toml"];

/// Its file. It is built first where it is older than its sources, unless `cargo xtask test` did.
pub(crate) fn file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        if let Some(named) = std::env::var_os(HOST) {
            return named.into();
        }
        let file = target().join("release/devconnect");
        if !is_prebuilt() {
            let sources = SOURCES.map(|source| root().join(source)).to_vec();
            let product = Product { name: "host".to_owned(), file: file.clone(), beside: None, sources };
            // The whole workspace decides on features, as everywhere: nothing is compiled twice for the sake of another set.
            product.bring_up_to_date(cargo(&["build", "--release", "--workspace", "--bin", "devconnect"]));
        }
        file
    })
}
