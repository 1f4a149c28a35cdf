//! Checkpoints: a thread of its own copies the write-ahead log (WAL) into the store's file while the writer goes on.
//!
//! By default SQLite does it within a commit, and every caller of that commit waits for two more syncs. A commit is durable
//! when it is in the WAL; nothing is lost when the checkpoint falls behind, the WAL only grows. So when it is very long the
//! writer does the rest of the checkpoint, after which the WAL starts again at its beginning.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, Error};

/// Pages in the WAL (of 4 KiB) after which the thread is woken, and again after as many more.
const INTERVAL: i32 = 1_000;
/// Pages in the WAL after which the writer does the checkpoint itself.
const LIMIT: i32 = 16_000;

/// Installs the hook that wakes the checkpoint thread through the returned channel, which closes with the writer.
pub(super) fn install_hook(writer: &mut Connection) -> Result<Receiver<()>, Error> {
    let (wake, woken): (SyncSender<()>, _) = sync_channel(1);
    let mut next = INTERVAL;
    writer.wal_hook(Some(move |log: &mut rusqlite::hooks::Wal, pages: i32| {
        if pages >= LIMIT {
            // The commit is durable already, so this error does not concern it.
            if let Err(error) = log.checkpoint_v2(CheckpointMode::PASSIVE) {
                tracing::warn!(%error, pages, "the write-ahead log of the document store is not checkpointed");
            }
        } else if pages < next - INTERVAL || pages >= next {
            // Fewer than before: the WAL has started again. A thread that is running takes the wake-up afterwards.
            next = pages + INTERVAL;
            let _ = wake.try_send(());
        }
        Ok(())
    }))?;
    Ok(woken)
}

/// Does a checkpoint whenever it is woken.
pub(super) fn run(connection: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            tracing::warn!(%error, "the write-ahead log of the document store is not checkpointed");
        }
    }
}
