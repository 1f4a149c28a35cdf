//! `bench`: hands over to the package `bench`, but for what a change of one line costs, which is about these chores.

mod one_line;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use xtask::guests::{self, Selection};

use crate::build;
use crate::workspace::{Workspace, cargo};

/// The package that measures; its own arguments say what there is.
const PACKAGE: &str = "bench";
/// What is measured here.
const ONE_LINE: &str = "loop";

/// How something is measured. Each bench says which of it it knows.
pub(crate) struct Options {
    /// For programs.
    pub(crate) json: bool,
    /// On the real servers.
    pub(crate) real: bool,
    /// Other servers beside ours.
    pub(crate) against: Vec<String>,
}

impl Options {
    /// As the package has them.
    fn arguments(&self) -> Vec<&str> {
        let flags = [(self.json, "--json"), (self.real, "--real")];
        let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag);
        flags.chain(self.against.iter().flat_map(|url| ["--against", url.as_str()])).collect()
    }
}

/// Runs one bench, or lists them.
pub(crate) fn bench(workspace: &Workspace, name: Option<&str>, options: &Options) -> Result<ExitCode> {
    if name == Some(ONE_LINE) {
        ensure!(!options.real && options.against.is_empty(), "`{ONE_LINE}` has neither --real nor --against");
        return one_line::measure(workspace, options.json);
    }
    ensure!(
        workspace.has(PACKAGE),
        "there is no package `{PACKAGE}` in this workspace yet, so nothing can be measured"
    );
    eprintln!("building components and the bench");
    guests::build(&workspace.root, Selection::All)?;
    // Most benches run the built host in a process of its own.
    build::host(workspace, false)?;
    let mut command = cargo(&workspace.root);
    // By the program's name and not the package's: the whole workspace decides on features, as everywhere.
    command.args(["run", "--release", "--quiet", "--bin", PACKAGE, "--"]);
    match name {
        Some(name) => command.arg(name).args(options.arguments()),
        None => command.arg("--help"),
    };
    let status = command.status().context("cargo can't be run")?;
    if name.is_none() {
        println!(
            "\nAnd `{ONE_LINE}`: one line changed, in the host and in a component, until its tests start or have passed"
        );
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_handed_over() {
        let urls = ["http://a:1", "http://b:2"].map(str::to_owned).to_vec();
        let options = Options { json: true, real: true, against: urls };
        let expected = ["--json", "--real", "--against", "http://a:1", "--against", "http://b:2"];
        assert_eq!(options.arguments(), expected);
        assert!(Options { json: false, real: false, against: Vec::new() }.arguments().is_empty());
    }
}
