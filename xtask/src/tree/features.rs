//! Features that only tests ask for. Cargo switches them on when it builds tests and off when it builds the host: whatever
//! depends on them would be compiled twice, and what is tested would not be what is shipped.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, cargo};

/// The crates that have other features without tests than with them, each with those that it has without.
pub(super) fn of_tests_only(workspace: &Workspace) -> Result<Vec<String>> {
    let without = crates(workspace, "normal,build")?;
    let with = crates(workspace, "normal,build,dev")?;
    Ok(without.difference(&with).cloned().collect())
}

/// All crates that are reached along these kinds of dependencies, each with its features.
fn crates(workspace: &Workspace, kinds: &str) -> Result<BTreeSet<String>> {
    let mut command = cargo(&workspace.root);
    command.args(["tree", "--workspace", "--prefix", "none", "--format", "{p} {f}", "--edges", kinds]);
    let output = command.output().context("cargo can't be run")?;
    ensure!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// Cargo marks what it has shown before.
fn read(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once() {
        let text = "regex v1.0.0 std\nserde v1.0.0 default,std\n\nregex v1.0.0 std (*)\n";
        assert_eq!(read(text).into_iter().collect::<Vec<_>>(), ["regex v1.0.0 std", "serde v1.0.0 default,std"]);
    }
}
