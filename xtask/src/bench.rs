//! `bench`: hands over to the package `bench`.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use xtask::guests::{self, Selection};

use crate::workspace::{Workspace, cargo};

/// The package that measures; its own arguments say what there is.
const PACKAGE: &str = "bench";

/// Runs one bench, or lists them.
pub(crate) fn bench(workspace: &Workspace, name: Option<&str>, json: bool) -> Result<ExitCode> {
    ensure!(
        workspace.has(PACKAGE),
        "there is no package `{PACKAGE}` in this workspace yet, so nothing can be measured"
    );
    eprintln!("building components and the bench");
    guests::build(&workspace.root, Selection::All)?;
    let mut command = cargo(&workspace.root);
    command.args(["run", "--release", "--quiet", "--package", PACKAGE, "--"]);
    match name {
        Some(name) => command.arg(name),
        None => command.arg("--help"),
    };
    if json {
        command.arg("--json");
    }
    let status = command.status().context("cargo can't be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
