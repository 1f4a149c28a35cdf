//! Suites that are one command, whose output is shown as it comes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::report::{self, Count};
use crate::attacks;
use crate::child::{self, Output};
use crate::documented;
use crate::tree;
use crate::workspace::{Workspace, cargo};

/// A command that is one check: it passes or fails.
pub(super) fn shown(command: &mut Command, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
    Ok(report::verdict(child::run(command, deadline, Output::Shown, drop)?, cap))
}

/// Every component, also those that only tests load.
pub(super) fn components(root: &Path, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
    // By a process of its own, which can be ended at its cap.
    let me = std::env::current_exe().context("where xtask itself is")?;
    shown(Command::new(me).current_dir(root).args(["build-components", "--all"]), deadline, cap)
}

/// What is wrong with the graph of crates, and with docs that say what the sources say.
pub(super) fn layers(workspace: &Workspace) -> Result<(Count, Option<String>)> {
    let mut wrong = tree::findings(workspace)?;
    wrong.extend(attacks::finding(&workspace.root)?);
    wrong.extend(documented::findings(&workspace.root)?);
    wrong.iter().for_each(|finding| println!("{finding}"));
    let passed = u64::from(wrong.is_empty());
    Ok((Count { passed, failed: 1 - passed, ..Count::default() }, None))
}

/// Licences, bans and sources. Advisories need a database from the network: `cargo deny check advisories`.
pub(super) fn deny(root: &Path, deadline: Instant, cap: Duration) -> Result<(Count, Option<String>)> {
    let installed = cargo(root).args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        let note = "not checked: run `cargo install --locked cargo-deny` to check licences and sources";
        return Ok((Count::default(), Some(note.to_owned())));
    }
    let (count, note) = shown(
        cargo(root).args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]),
        deadline,
        cap,
    )?;
    Ok((
        count,
        note.or_else(|| {
            Some("advisories: run `cargo deny check advisories` where its database can be fetched".to_owned())
        }),
    ))
}

#[cfg(test)]
mod tests {

    /// A list of `deny.toml`; empty when it is not there.
    fn list<'a>(deny: &'a toml::Table, section: &str, name: &str) -> &'a [toml::Value] {
        deny[section].get(name).and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    #[test]
    fn every_exception_of_deny_has_its_reason() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml")).unwrap();
        let deny: toml::Table = text.parse().unwrap();
        for (section, name) in [
            ("advisories", "ignore"),
            ("bans", "deny"),
            ("bans", "skip"),
            ("bans", "skip-tree"),
            ("licenses", "exceptions"),
        ] {
            for exception in list(&deny, section, name) {
                let reason = exception.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
                assert!(reason.len() > 10, "[{section}] {name}: {exception} has no reason");
            }
        }
        for licence in list(&deny, "licenses", "allow") {
            let quoted = format!("{licence},");
            let line = text.lines().find(|line| line.trim_start().starts_with(&quoted)).unwrap_or_default();
            assert!(line.split_once('#').is_some_and(|(_, why)| why.trim().len() > 3), "{licence}: who needs it?");
        }
        assert!(list(&deny, "sources", "allow-git").is_empty(), "what is built is what everybody can read");
    }
}
