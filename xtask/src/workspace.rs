//! What is in the workspace, as cargo tells it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The workspace that xtask works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// The names of its packages.
    pub(crate) packages: Vec<String>,
}

impl Workspace {
    /// Asks cargo about the workspace at `root`.
    pub(crate) fn read(root: PathBuf) -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            target_directory: PathBuf,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
        }
        let output = cargo(&root)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo can't be run; install Rust with rustup")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("what cargo metadata printed")?;
        let packages = metadata.packages.into_iter().map(|package| package.name).collect();
        Ok(Self { root, target: metadata.target_directory, packages })
    }

    /// Is there a package of this name?
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|name| name == package)
    }

    /// A path for people: under the workspace without its folder's name.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// The top folder of the workspace: where the nearest `Cargo.toml` with `[workspace]` is.
pub(crate) fn root() -> Result<PathBuf> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_dir().context("the current folder is gone")?,
    };
    let of_workspace = |folder: &&Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line == "[workspace]"))
    };
    match start.ancestors().find(of_workspace) {
        Some(root) => Ok(root.to_owned()),
        None => bail!("{} is not in a workspace; call `cargo xtask` inside of the project", start.display()),
    }
}

/// Cargo in the workspace, without what the `cargo run` around us has set for its own package.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| of_package.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}
