//! The servers as programs of this machine.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::kafka::Kafka;
use super::mongodb::Mongodb;
use super::ports::{self, Ports};
use super::process::{self, Process};
use super::redis::Redis;
use super::{Addresses, Running, Server, State, Status};

/// How long one answer may take; a server that is slower is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a port may stay taken after the server that had it is gone.
const PORT: Duration = Duration::from_secs(5);

/// A server program: what is different from one to the other.
pub(super) trait Program {
    /// Gets what it needs to run, unless that is there.
    fn install(&self) -> Result<()>;
    /// Writes its settings and answers how it is started.
    fn command(&self) -> Result<Command>;
    /// Its process.
    fn process(&self) -> Process;
    /// All ports that it listens on.
    fn ports(&self) -> Vec<u16>;
    /// As the host takes it.
    fn address(&self) -> String;
    /// Asks it something that only a server answers that is ready for work. An error says why it is not.
    fn answers(&self) -> Result<()>;
    /// None when it is not installed.
    fn version(&self) -> Option<String>;
}

/// The folder with the servers.
pub(super) struct Native {
    folder: PathBuf,
    programs: PathBuf,
}

impl Native {
    /// Makes the folder when there is none.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        // One path, however it was named: processes are known by paths in it.
        let folder = fs::create_dir_all(folder)
            .and_then(|()| fs::canonicalize(folder))
            .with_context(|| format!("{} can't be made", folder.display()))?;
        Ok(Self { programs: folder.join("programs"), folder })
    }

    /// With the programs of another folder.
    pub(super) fn with_programs_of(self, other: &Native) -> Self {
        Self { programs: other.programs.clone(), ..self }
    }

    pub(super) fn up(&self, servers: &[Server]) -> Result<Addresses> {
        ensure!(cfg!(target_os = "linux"), "without a container engine the servers come up on Linux only");
        let began = Instant::now();
        let _turn = self.turn()?;
        let ports = Ports::keep(&self.folder)?;
        let programs: Vec<_> = servers.iter().map(|server| (*server, self.program(*server, ports))).collect();
        // First everything is fetched, then all are started, then waited for: they come up side by side.
        let missing: Vec<_> = programs.iter().filter(|(_, program)| program.process().pid().is_none()).collect();
        for (server, program) in &missing {
            program.install().with_context(|| format!("{} can't be installed", server.name()))?;
        }
        for (server, program) in &missing {
            self.start(program.as_ref()).with_context(|| format!("{} can't be started", server.name()))?;
        }
        let mut running = Vec::new();
        for (server, program) in &programs {
            let started = missing.iter().any(|(missing, _)| missing == server);
            let started = self.wait(*server, program.as_ref(), started)?;
            running.push(Running {
                server: *server,
                address: program.address(),
                took: started.then(|| began.elapsed()),
            });
        }
        Ok(Addresses { running })
    }

    pub(super) fn fetch(&self, servers: &[Server]) -> Result<()> {
        ensure!(cfg!(target_os = "linux"), "without a container engine the servers come up on Linux only");
        let _turn = self.turn()?;
        let ports = Ports::keep(&self.folder)?;
        for server in servers {
            let program = self.program(*server, ports);
            if program.process().pid().is_none() {
                program.install().with_context(|| format!("{} can't be installed", server.name()))?;
            }
        }
        Ok(())
    }

    pub(super) fn down(&self, servers: &[Server]) -> Result<Vec<Server>> {
        let Some(ports) = Ports::read(&self.folder)? else {
            return Ok(Vec::new());
        };
        let _turn = self.turn()?;
        let mut ended = Vec::new();
        for server in servers {
            let stopped = self.program(*server, ports).process().stop();
            if stopped.with_context(|| format!("{} can't be stopped", server.name()))? {
                ended.push(*server);
            }
        }
        Ok(ended)
    }

    pub(super) fn status(&self) -> Result<Vec<Status>> {
        let ports = Ports::read(&self.folder)?;
        let look = |server: &Server| {
            let Some(ports) = ports else {
                return Status { server: *server, state: State::Down, address: None, pid: None, version: None };
            };
            let program = self.program(*server, ports);
            let pid = program.process().pid();
            let state = match pid {
                None => State::Down,
                Some(_) if program.answers().is_ok() => State::Up,
                Some(_) => State::Silent,
            };
            Status {
                server: *server,
                state,
                address: Some(program.address()),
                pid: pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
                version: program.version(),
            }
        };
        Ok(Server::ALL.iter().map(look).collect())
    }

    fn program(&self, server: Server, ports: Ports) -> Box<dyn Program> {
        let (folder, programs) = (self.folder.join(server.name()), self.programs.clone());
        match server {
            Server::Redis => Box::new(Redis { folder, port: ports.redis }),
            Server::Mongodb => Box::new(Mongodb { folder, programs, port: ports.mongodb }),
            Server::Kafka => {
                Box::new(Kafka { folder, programs, port: ports.kafka, controller: ports.kafka_controller })
            }
        }
    }

    fn start(&self, program: &dyn Program) -> Result<()> {
        for port in program.ports() {
            // Not at once when the one before was killed: some of its threads may be there a moment longer.
            let what = format!("port {port} to become free");
            ensure!(
                process::within(PORT, &what, || ports::is_free(port)),
                "its port {port} is taken by another program: end that one, or remove {} with its data and ports",
                self.folder.display()
            );
        }
        program.process().start(program.command()?)
    }

    /// Until it answers. One that ran already may have been about to end, or hang: that one is started anew. Answers
    /// whether it was started, before or here.
    fn wait(&self, server: Server, program: &dyn Program, started: bool) -> Result<bool> {
        let (process, name) = (program.process(), server.name());
        match process.wait(name, || program.answers()) {
            Err(_) if !started && process.pid().is_none() => {
                self.start(program).with_context(|| format!("{name} can't be started"))?;
                process.wait(name, || program.answers()).map(|()| true)
            }
            result => result.map(|()| started),
        }
    }

    /// Only one at a time changes anything; it ends with what is answered, also when the process is killed.
    fn turn(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let broken = || format!("{} can't be locked", path.display());
        let file = File::create(&path).with_context(broken)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                eprintln!("servers are being brought up or down by another process: waiting for it");
                file.lock().with_context(broken)?;
                Ok(file)
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(broken),
        }
    }
}

/// A connection to a port of this machine, on which nothing waits for ever.
pub(super) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER)
        .with_context(|| format!("nobody listens on port {port}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes a file of settings, and the folder that it is in.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    file.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("{} can't be written", file.display()))
}
