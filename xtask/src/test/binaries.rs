//! The test executables of the workspace. They are built by one call of cargo and then run directly: a call per package
//! would unify features anew and compile dependencies again.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::child::{self, End, Output};
use crate::workspace::{Workspace, cargo};

/// A test executable.
#[derive(Debug)]
pub(super) struct Binary {
    /// The package it belongs to.
    pub(super) package: String,
    /// `lib`, or the file under `tests/` or the binary without its end.
    target: String,
    library: bool,
    folder: PathBuf,
    executable: PathBuf,
}

impl Binary {
    /// What `cargo test` would run.
    pub(super) fn command(&self, full: bool) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        // The harness builds components that are older than their sources; here that has been done.
        command.env("DEVCONNECT_PREBUILT", "1");
        if full {
            command.env("DEVCONNECT_FULL", "1").arg("--include-ignored");
        }
        command
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        if self.library { self.package.clone() } else { format!("{} ({})", self.package, self.target) }
    }
}

/// Builds everything native, and answers the test executables.
pub(super) fn build(workspace: &Workspace, deadline: Instant) -> Result<(End, Vec<Binary>)> {
    let mut command = cargo(&workspace.root);
    command.args(["build", "--release", "--workspace", "--all-targets", "--message-format=json-render-diagnostics"]);
    let mut found = Vec::new();
    let mut failure = None;
    let end = child::run(&mut command, deadline, Output::Stdout, |line| match parse(&line, workspace) {
        Ok(binary) => found.extend(binary),
        Err(error) => failure = Some(error),
    })?;
    found.sort_by(|a, b| (&a.package, !a.library, &a.target).cmp(&(&b.package, !b.library, &b.target)));
    failure.map_or(Ok((end, found)), Err)
}

/// A line of cargo's; none when it is about something else.
fn parse(line: &str, workspace: &Workspace) -> Result<Option<Binary>> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        manifest_path: Option<PathBuf>,
        target: Option<Target>,
        profile: Option<Profile>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let message: Message = serde_json::from_str(line).context("what cargo build printed")?;
    let (Some(manifest), Some(target), Some(executable)) = (message.manifest_path, message.target, message.executable)
    else {
        return Ok(None);
    };
    let is = |kind: &str| target.kind.iter().any(|known| known == kind);
    if message.reason != "compiler-artifact" || !message.profile.is_some_and(|profile| profile.test) || is("bench") {
        return Ok(None);
    }
    let folder = manifest.parent().map_or_else(|| workspace.root.clone(), PathBuf::from);
    let library = ["lib", "rlib", "cdylib", "proc-macro"].into_iter().any(is);
    let package = package_name(&manifest)?;
    Ok(Some(Binary { package, target: target.name, library, folder, executable }))
}

fn package_name(manifest: &PathBuf) -> Result<String> {
    #[derive(Deserialize)]
    struct Crate {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let text = std::fs::read_to_string(manifest).with_context(|| format!("{} can't be read", manifest.display()))?;
    Ok(toml::from_str::<Crate>(&text).with_context(|| format!("{} is wrong", manifest.display()))?.package.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_executables_are_told_from_the_rest() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let workspace = Workspace { root: PathBuf::new(), target: PathBuf::new(), packages: Vec::new() };
        let line = |kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{folder}/Cargo.toml","target":{{"name":"t","kind":["{kind}"]}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = parse(&line("test", true, r#""/t-1""#), &workspace).unwrap().unwrap();
        assert_eq!((found.package.as_str(), found.shown().as_str()), ("xtask", "xtask (t)"));
        for other in [line("bin", false, r#""/t""#), line("lib", true, "null"), line("bench", true, r#""/t""#)] {
            assert!(parse(&other, &workspace).unwrap().is_none(), "{other}");
        }
        assert!(parse(r#"{"reason":"build-finished","success":true}"#, &workspace).unwrap().is_none());
    }
}
