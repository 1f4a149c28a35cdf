//! The store's folder: its lock and its connections.
//!
//! Touches the folder it is given and, for [`Location::Memory`], one of its own among the temporary files.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use capability::documents::Error;
use capability::files;

use crate::{Location, Settings, budget, functions, unavailable};

const STORE: &str = "store.sqlite";
const LOCK: &str = "store.lock";
/// How long a statement waits for another connection's lock. Only checkpoints and recovery take one.
const BUSY: Duration = Duration::from_secs(10);
/// The prepared statements that each connection keeps: more than an application has kinds of queries.
const CACHED_STATEMENTS: usize = 256;

/// The folder, locked against other hosts until this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    temporary: bool,
    settings: Settings,
    _lock: File,
}

impl Files {
    pub(super) fn open(location: Location, settings: Settings) -> Result<Files, Error> {
        let (folder, temporary) = match location {
            Location::Memory => (temporary_folder(), true),
            Location::Folder(folder) => (folder, false),
        };
        let failed = |error: io::Error| Error::Unavailable(format!("the folder {}: {error}", folder.display()));
        let made = if temporary { files::new_folder(&folder) } else { files::folder(&folder) };
        made.map_err(failed)?;
        let lock = files::open(&folder.join(LOCK)).map_err(failed)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                let folder = folder.display();
                Error::Unavailable(format!("another host uses the folder {folder}; stop it, or give this one its own"))
            } else {
                failed(error.into())
            }
        })?;
        // SQLite creates its other files with the mode of this one.
        files::open(&folder.join(STORE)).map_err(failed)?;
        Ok(Files { folder, temporary, settings, _lock: lock })
    }

    /// The connection that writes.
    pub(super) fn writer(&self) -> Result<Connection, Error> {
        let connection = self.connect()?;
        // A temporary store need not survive a crash of the machine.
        let synchronous = if self.temporary { "OFF" } else { "FULL" };
        connection.pragma_update(None, "synchronous", synchronous).map_err(unavailable)?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> Result<Connection, Error> {
        let connection = self.connect()?;
        connection.pragma_update(None, "query_only", true).map_err(unavailable)?;
        Ok(connection)
    }

    fn connect(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(self.folder.join(STORE), flags).map_err(unavailable)?;
        #[cfg(test)]
        crate::tests::prepared::watch(&mut connection).map_err(unavailable)?;
        let mode = set_up(&connection, &self.settings).map_err(unavailable)?;
        connection.progress_handler(budget::INSTRUCTIONS, Some(budget::interrupts)).map_err(unavailable)?;
        if mode == "wal" {
            return Ok(connection);
        }
        let folder = self.folder.display();
        Err(Error::Unavailable(format!("the folder {folder} can't hold a write-ahead log; use one on a local disk")))
    }
}

/// Applies the settings of both kinds of connections and returns the journal's mode.
fn set_up(connection: &Connection, settings: &Settings) -> rusqlite::Result<String> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Otherwise SQLite compiles a kept statement anew whenever the parameter of a `LIMIT`, or of a comparison that its index does
    // not decide, is bound again: the plan could depend on the value. Plans here name their index and depend on no value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -i64::from(settings.page_cache_kib))?;
    connection.pragma_update(None, "mmap_size", i64::from(settings.mmap_mib) << 20)?;
    functions::register(connection)?;
    Ok(mode)
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(folder = %self.folder.display(), %error, "a temporary store was left behind");
        }
    }
}

/// A name that no other store of this machine has. A clash is refused when the folder is created, not shared.
fn temporary_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    std::env::temp_dir().join(format!("documents-{}-{number}-{now}", std::process::id()))
}
