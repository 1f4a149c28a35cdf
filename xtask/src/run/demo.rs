//! `run --demo`: the program that has people come, beside the host, once it serves. It touches the host as its members
//! do, and deploys their pictures.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};

use crate::workspace::Workspace;

/// The people who come.
pub(super) struct Demo {
    command: Command,
    child: Option<Child>,
    begun: bool,
}

/// Refuses what the people can't be a part of.
pub(super) fn check(port: Option<u16>) -> Result<()> {
    let is_production = std::env::var("DEVCONNECT_ENV").is_ok_and(|environment| environment == "production");
    ensure!(!is_production, "--demo is not for production: its people have a password that everybody knows");
    ensure!(
        public_port(port) != 0,
        "--demo has to know where the host listens: give it a port other than 0 with --port or PORT"
    );
    Ok(())
}

/// The port that the host takes.
fn public_port(given: Option<u16>) -> u16 {
    given.or_else(|| std::env::var("PORT").ok()?.parse().ok()).unwrap_or(3000)
}

impl Demo {
    /// The program's name.
    pub(super) const PROGRAM: &str = "demo";

    /// For a host that is about to be started.
    pub(super) fn of(workspace: &Workspace, host: &Path, data: &Path, port: Option<u16>, admin_port: u16) -> Self {
        let mut command = Command::new(workspace.host_file().with_file_name(Self::PROGRAM));
        command.arg("--url").arg(format!("http://127.0.0.1:{}", public_port(port)));
        command.arg("--admin-url").arg(format!("http://127.0.0.1:{admin_port}"));
        command.arg("--devconnect").arg(host).arg("--data").arg(data);
        command.arg("--folder").arg(workspace.target.join("demo")).stdin(Stdio::null());
        Self { command, child: None, begun: false }
    }

    /// Whether it was not begun yet.
    pub(super) fn is_to_begin(&self) -> bool {
        !self.begun
    }

    /// Begins it. It says by itself what comes of it.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        match self.command.spawn() {
            Ok(child) => self.child = Some(child),
            Err(error) => eprintln!("the demo can't be run: {error}"),
        }
    }

    /// Ends it where it still runs; the next run goes on there.
    pub(super) fn end(&mut self) {
        if let Some(child) = &mut self.child {
            // One that has ended does not mind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
