//! The real servers that runs of tests share: whoever is last ends those that tests brought up.
//!
//! Each run holds a shared lock on a file beside the servers' folder for as long as it goes on. The first one writes there which
//! servers ran before it; those are nobody's to end. It may touch the servers and that file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use xtask::stack::{self, Server, State};

/// One run among those that use the servers.
pub(super) struct SharedServers {
    file: File,
    /// The servers that ran before the first of the runs.
    before: Vec<Server>,
}

impl SharedServers {
    /// Begins a run.
    ///
    /// # Errors
    /// The file can't be written, read or locked.
    pub(super) fn begin(root: &Path) -> Result<Self> {
        let folder = stack::folder(root);
        std::fs::create_dir_all(&folder).with_context(|| format!("the folder {} can't be made", folder.display()))?;
        let path = folder.join("runs");
        let broken = || format!("the file {} can't be used", path.display());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.with_context(broken)?;
        if is_last(&file).with_context(broken)? {
            file.set_len(0).with_context(broken)?;
            let names: Vec<&str> = up(root).into_iter().map(Server::name).collect();
            file.write_all(names.join("\n").as_bytes()).with_context(broken)?;
        }
        // From now on others are not alone. One that came between has written the same.
        file.lock_shared().with_context(broken)?;
        let mut names = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut names)).with_context(broken)?;
        let before = Server::ALL.into_iter().filter(|server| names.lines().any(|name| name == server.name()));
        Ok(Self { before: before.collect(), file })
    }

    /// Ends the run, and with the last one the servers that tests brought up.
    pub(super) fn end(self, root: &Path) {
        if !is_last(&self.file).unwrap_or(false) {
            return;
        }
        let new: Vec<Server> = up(root).into_iter().filter(|server| !self.before.contains(server)).collect();
        // None named would be all of them.
        if !new.is_empty()
            && let Err(error) = stack::down(root, &new)
        {
            eprintln!("the servers that tests brought up go on: {error:#}");
        }
    }
}

/// Whether no other run goes on; then none begins before the file is unlocked.
fn is_last(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The real servers that run.
fn up(root: &Path) -> Vec<Server> {
    let status = stack::status(root).unwrap_or_default();
    status.iter().filter(|status| status.state != State::Down).map(|status| status.server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_run_ends_the_servers() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = || OpenOptions::new().write(true).create(true).truncate(false).open(folder.path().join("runs"));
        let (first, second) = (open().unwrap(), open().unwrap());
        assert!(is_last(&first).unwrap(), "it is alone");
        first.lock_shared().unwrap();
        assert!(!is_last(&second).unwrap());
        second.lock_shared().unwrap();
        assert!(!is_last(&first).unwrap(), "another one goes on");
        first.lock_shared().unwrap();
        drop(first);
        assert!(is_last(&second).unwrap());
    }
}
