//! Checkpoints: what is in the write-ahead log is carried over into the store's file beside the writer, not in its way.
//!
//! By itself SQLite does it within a commit, and everybody who waits for that commit waits for two more syncs. Here a
//! thread of its own does it while the writer goes on. A commit is durable when it is in the log; nothing is lost when this
//! falls behind, the log only grows. So when it is very long the writer does what is left, which lets the log begin anew.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, Error};

/// Pages in the log (of 4 KiB) after which the thread is woken, and again after as many more.
const USUAL: i32 = 1_000;
/// Pages in the log after which the writer does not go on before it is carried over.
const LONGEST: i32 = 16_000;

/// Has the thread that listens to the answer woken when there is something to carry over. It ends with the writer.
pub(super) fn beside(writer: &mut Connection) -> Result<Receiver<()>, Error> {
    let (wake, woken): (SyncSender<()>, _) = sync_channel(1);
    let mut next = USUAL;
    writer.wal_hook(Some(move |log: &mut rusqlite::hooks::Wal, pages: i32| {
        if pages >= LONGEST {
            // An error of this is none of the commit's, which is durable already.
            if let Err(error) = log.checkpoint_v2(CheckpointMode::PASSIVE) {
                tracing::warn!(%error, pages, "the log of the document store is not carried over");
            }
        } else if pages < next - USUAL || pages >= next {
            // Fewer than before: the log has begun anew. A thread that is at it already looks again by itself.
            next = pages + USUAL;
            let _ = wake.try_send(());
        }
        Ok(())
    }))?;
    Ok(woken)
}

/// Carries over whenever it is woken.
pub(super) fn carry_over(connection: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            tracing::warn!(%error, "the log of the document store is not carried over");
        }
    }
}
