//! `run`: build, serve, and from then on build and deploy each component that changes.

mod demo;
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use xtask::guests::{self, Built, Selection};

use crate::build;
use crate::workspace::Workspace;
use demo::Demo;
use sources::Sources;

/// Between two looks at the sources and at the host.
const LOOK: Duration = Duration::from_millis(300);

/// How the host is run.
pub(crate) struct Options {
    pub(crate) port: Option<u16>,
    pub(crate) admin_port: Option<u16>,
    pub(crate) data: Option<PathBuf>,
    /// A built host; none: it is built.
    pub(crate) host: Option<PathBuf>,
    /// Deploy what changes.
    pub(crate) watch: bool,
    /// The host's own crates are compiled soon instead of well.
    pub(crate) quick: bool,
    /// Fill the network with people.
    pub(crate) demo: bool,
}

/// A host that runs, and how it is reached.
struct Running<'a> {
    workspace: &'a Workspace,
    host: PathBuf,
    data: PathBuf,
    admin_port: u16,
    child: Child,
    /// What this has deployed: when each file was written.
    deployed: BTreeMap<PathBuf, SystemTime>,
    /// The people who come when it serves.
    demo: Option<Demo>,
}

/// Serves until Ctrl-C; the exit code is the host's own.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<ExitCode> {
    if options.demo {
        demo::check(options.port)?;
    }
    let sources = Sources::of(&workspace.root);
    let built = guests::build(&workspace.root, Selection::Application)?;
    build::report(&workspace.root, &built);
    let programs: &[&str] = match (&options.host, options.demo) {
        (None, true) => &["devconnect", Demo::PROGRAM],
        (None, false) => &["devconnect"],
        (Some(_), true) => &[Demo::PROGRAM],
        (Some(_), false) => &[],
    };
    if !programs.is_empty() {
        build::programs(workspace, options.quick, programs)?;
    }
    let host = options.host.unwrap_or_else(|| workspace.host_file());
    // Both come to the whole group from a terminal: the host drains, and this waits for it.
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, asked.clone()).context("signals can't be waited for")?;
    }
    let data = options.data.unwrap_or_else(|| workspace.root.join("data"));
    let admin_port = options.admin_port.or_else(|| std::env::var("ADMIN_PORT").ok()?.parse().ok()).unwrap_or(3001);
    let mut serve = Command::new(&host);
    serve.arg("serve").arg("--components").arg(workspace.root.join("target/components"));
    serve.arg("--data").arg(&data).arg("--admin-port").arg(admin_port.to_string());
    if let Some(port) = options.port {
        serve.arg("--port").arg(port.to_string());
    }
    let demo = options.demo.then(|| Demo::of(workspace, &host, &data, options.port, admin_port));
    let child = serve.spawn().with_context(|| format!("{} can't be run", host.display()))?;
    let mut running = Running { workspace, host, data, admin_port, child, deployed: BTreeMap::new(), demo };
    let code = running.follow(sources, built, &asked, options.watch);
    if let Some(demo) = &mut running.demo {
        demo.end();
    }
    code
}

impl Running<'_> {
    fn follow(&mut self, mut sources: Sources, built: Vec<Built>, asked: &AtomicBool, watch: bool) -> Result<ExitCode> {
        // What was deployed by an earlier run may be older than what was just built.
        let mut waiting: Vec<Built> = if watch { built } else { Vec::new() };
        loop {
            if let Some(status) = self.child.try_wait()? {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            if asked.load(Ordering::Relaxed) {
                // From a supervisor it may have come to this process alone; the host takes it twice.
                let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
                if let Some(pid) = pid {
                    let _ = kill_process(pid, Signal::TERM);
                }
                let status = self.child.wait()?;
                return Ok(status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .map_or(ExitCode::FAILURE, ExitCode::from));
            }
            if !waiting.is_empty() && self.serves() {
                waiting.drain(..).for_each(|component| self.deploy(component));
            }
            if waiting.is_empty()
                && self.demo.as_ref().is_some_and(Demo::is_to_begin)
                && self.serves()
                && let Some(demo) = &mut self.demo
            {
                demo.begin();
            }
            if watch && sources.changed() {
                // It has all that waited, as it is now.
                waiting = self.rebuild().unwrap_or(waiting);
            }
            thread::sleep(LOOK);
        }
    }

    /// What is to be deployed now; none where something can't be built, which the compiler has said.
    fn rebuild(&self) -> Option<Vec<Built>> {
        match guests::build(&self.workspace.root, Selection::Application) {
            Ok(built) => {
                // What was built beside something that failed is not deployed yet, and is not built again either.
                let is_new = |component: &Built| written(component) != self.deployed.get(&component.wasm).copied();
                Some(built.into_iter().filter(is_new).collect())
            }
            Err(error) => {
                eprintln!("not deployed: {error:#}");
                None
            }
        }
    }

    fn serves(&self) -> bool {
        let mut command = self.command(&["components", "--json"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// The host says what became of it. Who changes a manifest here has accepted what it asks for.
    fn deploy(&mut self, component: Built) {
        let at = written(&component);
        let mut command = self.command(&["deploy", "--quiet", "--accept-grants"]);
        match command.arg(&component.wasm).status() {
            Ok(status) if status.success() => self.deployed.extend(at.map(|at| (component.wasm, at))),
            Ok(_) => {}
            Err(error) => eprintln!("{} is not deployed: {error}", component.name),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.host);
        command.args(arguments).arg("--data").arg(&self.data);
        command.env("DEVCONNECT_ADMIN_URL", format!("http://127.0.0.1:{}", self.admin_port));
        command
    }
}

/// When a component's file was written: it is left alone where it would be the same.
fn written(component: &Built) -> Option<SystemTime> {
    std::fs::metadata(&component.wasm).and_then(|file| file.modified()).ok()
}
