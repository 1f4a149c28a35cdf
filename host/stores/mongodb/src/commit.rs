//! Committing: in a group, or in a transaction alone, which is retried on a write conflict until the caller's timeout.

use std::sync::Arc;
use std::time::Duration;

use ::mongodb::Database;
use tokio::time::{Instant, timeout_at};

use capability::documents::{Commit, Effect, Error, KeyLock};

use crate::Shared;
use crate::groups::{self, Lane};
use crate::transaction::attempt;

/// The pause before the first retry; each further one is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Runs a commit, whose insertions are validated, under its key lock. Returns the lock too when the commit is refused.
pub(super) async fn run_locked(
    shared: &Arc<Shared>,
    database: &Database,
    commit: &Arc<Commit>,
    held: Option<KeyLock>,
    until: Instant,
    lane: Lane,
) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
    if commit.writes.is_empty() && commit.events.is_empty() {
        return (Ok(Vec::new()), None);
    }
    let gathers = groups::takes(commit);
    // The groups of this lane are one after the other: its commits about a document go together, and don't wait for each other.
    // One that a client's commit has the lock of waits for that, so that what the client has read is still true.
    if gathers
        && lane == Lane::Background
        && shared.key_locks.are_free(commit)
        && let Some(done) = groups::commit(shared, database, lane, commit, until).await
    {
        return (done, None);
    }
    let Ok(lock) = timeout_at(until, shared.key_locks.lock(commit, held)).await else {
        let busy = "too many commits are about the same document or key";
        return (Err(Error::Unavailable(busy.to_owned())), None);
    };
    let gathered = if gathers && lane == Lane::Foreground {
        groups::commit(shared, database, lane, commit, until).await
    } else {
        None
    };
    let done = match gathered {
        Some(done) => done,
        None => {
            let _turn = if gathers && lane == Lane::Background { shared.groups.turn().await } else { None };
            run(shared, database, commit, until).await
        }
    };
    let refused = matches!(done, Err(Error::Unmet(_) | Error::Duplicate { .. }));
    (done, refused.then_some(lock))
}

async fn run(shared: &Shared, database: &Database, commit: &Commit, until: Instant) -> Result<Vec<Effect>, Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(shared, database, commit, until).await {
            Ok(effects) => {
                shared.tell(&commit.events.iter().collect::<Vec<_>>());
                return Ok(effects);
            }
            Err(stop) if stop.is_transient() && Instant::now() + pause < until => {
                // At random, so that conflicting commits do not retry together.
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(stop) => return Err(stop.into_error()),
        }
    }
}
