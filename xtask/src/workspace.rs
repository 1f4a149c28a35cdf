//! What is in the workspace, as cargo tells it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Where the host's own crates are.
const HOST: &str = "host";

/// The workspace that xtask works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// Its packages.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    #[serde(rename = "manifest_path")]
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What is built of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    /// Whether it has tests, by its own words.
    pub(crate) test: bool,
    /// The file that its modules begin in.
    #[serde(default)]
    pub(crate) src_path: PathBuf,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Library,
    Program,
    /// A file or a folder under `tests/`.
    Test,
    /// A bench, an example or a build script.
    Other,
}

/// What a package depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    kind: Option<String>,
}

impl Workspace {
    /// Asks cargo about the workspace at `root`.
    pub(crate) fn read(root: PathBuf) -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            target_directory: PathBuf,
            workspace_root: PathBuf,
        }
        let output = cargo(&root)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo can't be run; install Rust with rustup")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("what cargo metadata printed")?;
        // As cargo writes it, because the packages' paths are under it.
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, packages: metadata.packages })
    }

    /// Is there a package of this name?
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|known| known.name == package)
    }

    /// Is it one of the host's own crates?
    pub(crate) fn is_host(&self, package: &Package) -> bool {
        package.manifest.starts_with(self.root.join(HOST))
    }

    /// The host's own crates.
    pub(crate) fn host(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.is_host(package))
    }

    /// Whether a package has something of the host linked into it.
    pub(crate) fn links_host(&self, package: &Package) -> bool {
        self.is_host(package)
            || self.host().any(|host| package.dependencies.iter().any(|dependency| dependency.name == host.name))
    }

    /// Arguments for cargo that have our own crates compiled soon instead of well. What is built this way lies beside the other
    /// form: going from one to the other builds nothing twice. Not for components: `guest` would inherit it.
    pub(crate) fn quick(&self) -> Vec<String> {
        let setting = |name: &str, value: &str| format!("--config=profile.release.package.{name}.{value}");
        self.packages
            .iter()
            // What runs the chores and the benches is one program, in both forms.
            .filter(|package| !["xtask", "bench"].contains(&package.name.as_str()))
            .flat_map(|package| ["opt-level=0", "codegen-units=256"].map(|value| setting(&package.name, value)))
            .collect()
    }

    /// Where the built host is.
    pub(crate) fn host_file(&self) -> PathBuf {
        self.target.join("release/devconnect")
    }

    /// A path for people: under the workspace without its folder's name.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

impl Package {
    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
}

impl Target {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        let is = |names: &[&str]| self.kind.iter().any(|kind| names.contains(&kind.as_str()));
        if is(&["lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"]) {
            Kind::Library
        } else if is(&["bin"]) {
            Kind::Program
        } else if is(&["test"]) {
            Kind::Test
        } else {
            Kind::Other
        }
    }
}

impl Dependency {
    /// Is it there outside of tests?
    pub(crate) fn is_normal(&self) -> bool {
        self.kind.is_none()
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

/// For tests: a package as cargo tells it, with a library and, where they are named, tests.
#[cfg(test)]
pub(crate) fn package(name: &str, folder: &str, tests: Option<&str>) -> Package {
    let target = |name: &str, kind: &str| Target {
        name: name.to_owned(),
        kind: vec![kind.to_owned()],
        test: true,
        src_path: PathBuf::new(),
    };
    let mut targets = vec![target(name, "lib")];
    targets.extend(tests.map(|name| target(name, "test")));
    let manifest = Path::new("/w").join(folder).join("Cargo.toml");
    Package { name: name.to_owned(), manifest, targets, dependencies: Vec::new() }
}

/// For tests: something that a package depends on.
#[cfg(test)]
pub(crate) fn dependency(name: &str) -> Dependency {
    Dependency { name: name.to_owned(), kind: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_crates_are_known_by_their_folder() {
        let packages = [("store-kafka", "host/stores/kafka"), ("hostile", "tests/hostile"), ("hosting", "hosting")]
            .map(|(name, folder)| package(name, folder, None))
            .into();
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages };
        let host: Vec<&str> = workspace.host().map(|package| package.name.as_str()).collect();
        assert_eq!(host, ["store-kafka"]);
        let quick = workspace.quick();
        assert_eq!(quick.len(), 6);
        assert!(quick.contains(&"--config=profile.release.package.hosting.opt-level=0".to_owned()), "{quick:?}");
    }

    #[test]
    fn what_cargo_tells_is_read() {
        let text = r#"{"name":"auth","kind":["cdylib"],"crate_types":["cdylib"],"test":false}"#;
        let target: Target = serde_json::from_str(text).unwrap();
        assert_eq!((target.kind(), target.test), (Kind::Library, false));
        let text = r#"[{"name":"a","kind":null,"path":"/w/a"},{"name":"b","kind":"dev"}]"#;
        let dependencies: Vec<Dependency> = serde_json::from_str(text).unwrap();
        assert_eq!(dependencies.iter().map(Dependency::is_normal).collect::<Vec<_>>(), [true, false]);
    }
}
