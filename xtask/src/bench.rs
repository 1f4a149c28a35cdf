//! `bench`: hands over to the package `bench`, but for what a change of one line costs, which is about these chores.

mod one_line;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use xtask::guests::{self, Selection};

use crate::workspace::{Workspace, cargo};

/// The package that measures; its own arguments say what there is.
const PACKAGE: &str = "bench";
/// What is measured here.
const ONE_LINE: &str = "loop";

/// Runs one bench, or lists them.
pub(crate) fn bench(workspace: &Workspace, name: Option<&str>, json: bool) -> Result<ExitCode> {
    if name == Some(ONE_LINE) {
        return one_line::measure(workspace, json);
    }
    ensure!(
        workspace.has(PACKAGE),
        "there is no package `{PACKAGE}` in this workspace yet, so nothing can be measured"
    );
    eprintln!("building components and the bench");
    guests::build(&workspace.root, Selection::All)?;
    let mut command = cargo(&workspace.root);
    // By the program's name and not the package's: the whole workspace decides on features, as everywhere.
    command.args(["run", "--release", "--quiet", "--bin", PACKAGE, "--"]);
    match name {
        Some(name) => command.arg(name),
        None => command.arg("--help"),
    };
    if json {
        command.arg("--json");
    }
    let status = command.status().context("cargo can't be run")?;
    if name.is_none() {
        println!(
            "\nAnd `{ONE_LINE}`: one line changed, in the host and in a component, until its tests start or have passed"
        );
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
