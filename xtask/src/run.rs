//! `run`: build, then become the host.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use xtask::guests::{self, Selection};

use crate::build;
use crate::workspace::Workspace;

/// Does not come back when it goes well: the host takes this process, so Ctrl-C and its exit code are the host's own.
pub(crate) fn run(workspace: &Workspace, port: Option<u16>, data: Option<PathBuf>) -> Result<ExitCode> {
    build::report(&workspace.root, &guests::build(&workspace.root, Selection::Application)?);
    let host = build::host(workspace)?;
    let mut serve = Command::new(&host);
    serve.arg("serve").arg("--components").arg(workspace.root.join("target/components"));
    serve.arg("--data").arg(data.unwrap_or_else(|| workspace.root.join("data")));
    if let Some(port) = port {
        serve.arg("--port").arg(port.to_string());
    }
    Err(serve.exec()).with_context(|| format!("{} can't be run", host.display()))
}
