//! `build` and `build-components`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xtask::guests::{self, Built, Selection};

use crate::workspace::{Workspace, cargo};

/// Builds components and host and says where they are.
pub(crate) fn everything(workspace: &Workspace) -> Result<ExitCode> {
    let started = Instant::now();
    report(&workspace.root, &guests::build(&workspace.root, Selection::Application)?);
    let host = host(workspace, false)?;
    println!(
        "{} is ready after {:.1} s; serve with `cargo xtask run`",
        workspace.shown(&host),
        started.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Builds the named components, or all of the application, or really all.
pub(crate) fn components(root: &Path, names: &[String], all: bool) -> Result<ExitCode> {
    let selections: Vec<Selection<'_>> = match names {
        [] if all => vec![Selection::All],
        [] => vec![Selection::Application],
        names => names.iter().map(|name| Selection::One(name)).collect(),
    };
    let started = Instant::now();
    for selection in selections {
        report(root, &guests::build(root, selection)?);
    }
    println!("done after {:.1} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Builds the host and answers its file. `quick`: its own crates are compiled soon instead of well.
pub(crate) fn host(workspace: &Workspace, quick: bool) -> Result<PathBuf> {
    programs(workspace, quick, &["devconnect"])?;
    Ok(workspace.host_file())
}

/// Builds programs of the workspace; the host is the one that takes long.
pub(crate) fn programs(workspace: &Workspace, quick: bool, names: &[&str]) -> Result<()> {
    eprintln!("building the host (minutes the first time, seconds later)");
    let mut command = cargo(&workspace.root);
    // The whole workspace decides on features, as in `test`: nothing is compiled twice for the sake of another set.
    command.args(["build", "--release", "--workspace"]).args(names.iter().flat_map(|name| ["--bin", name]));
    if quick {
        command.args(workspace.quick());
    }
    let status = command.status().context("cargo can't be run")?;
    ensure!(status.success(), "the host does not compile; what cargo said is above");
    Ok(())
}

/// A line for each component.
pub(crate) fn report(root: &Path, built: &[Built]) {
    for Built { wasm, size, changed, .. } in built {
        let state = if *changed { "" } else { "  (as before)" };
        let shown = wasm.strip_prefix(root).unwrap_or(wasm).display().to_string();
        println!("{shown:<44} {:>6} KiB{state}", size.div_ceil(1024));
    }
}
