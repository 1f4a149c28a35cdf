//! The workspace around the tests, and commands that build in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by `cargo xtask test`, which has built everything already.
const PREBUILT: &str = "DEVCONNECT_PREBUILT";

/// Its folder: two above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or_else(|| panic!("{} has no workspace above it", here.display())).to_owned()
}

/// Where everything is built.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Whether everything has been built already.
pub(crate) fn is_prebuilt() -> bool {
    std::env::var_os(PREBUILT).is_some()
}

/// Cargo in the workspace, which does not know by what it is run: what `cargo test` and its wrappers leave to a test would have it
/// build everything again.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| leaks(name)) {
        command.env_remove(name);
    }
    command
}

/// As `xtask::guests` has it.
fn leaks(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let settings = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_", "CARGO_SOURCE_"];
    let of_cargo = name.starts_with("CARGO_") && !settings.iter().any(|kept| name.starts_with(kept));
    let of_wrappers =
        ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC", "RUSTDOC", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_BOOTSTRAP", "MAKEFLAGS"];
    of_cargo || of_wrappers.contains(&name) || name == "CLIPPY_ARGS"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_outer_cargo_sets_does_not_leak() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC"] {
            assert!(leaks(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "PATH", "RUSTUP_TOOLCHAIN", "DEVCONNECT_LOG"] {
            assert!(!leaks(OsStr::new(name)), "{name}");
        }
    }
}
