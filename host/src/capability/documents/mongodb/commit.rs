//! Committing: one transaction, begun again when another one was faster, until the caller's patience ends.
//!
//! A commit whose end is not known is asked for again and never done again.

use std::time::Duration;

use ::mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use ::mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};
use ::mongodb::{ClientSession, Database};
use tokio::time::{Instant, timeout_at};

use crate::capability::documents::{Commit, Effect, Error, Turn};

use super::refusal::{Stop, told};
use super::writes::Transaction;
use super::{MAX_TIME, Shared};

/// Before the first new try; each further one waits up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Does all of a commit, whose insertions have been validated, or nothing, when it is its turn. Of a commit that was refused
/// the turn is answered, too.
pub(super) async fn run_in_turn(
    shared: &Shared,
    database: &Database,
    commit: &Commit,
    kept: Option<Turn>,
    until: Instant,
) -> (Result<Vec<Effect>, Error>, Option<Turn>) {
    if commit.writes.is_empty() && commit.events.is_empty() {
        return (Ok(Vec::new()), None);
    }
    let Ok(turn) = timeout_at(until, shared.turns_of_commits.enter(commit, kept)).await else {
        let busy = "too many commits are about the same document or key";
        return (Err(Error::Unavailable(busy.to_owned())), None);
    };
    let done = run(shared, database, commit, until).await;
    let refused = matches!(done, Err(Error::Unmet(_) | Error::Duplicate { .. }));
    (done, refused.then_some(turn))
}

async fn run(shared: &Shared, database: &Database, commit: &Commit, until: Instant) -> Result<Vec<Effect>, Error> {
    let mut session = database.client().start_session().await.map_err(|error| told(&error))?;
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(shared, database, &mut session, commit, until).await {
            Ok(effects) => {
                if !commit.events.is_empty() {
                    shared.committed.tell(commit.events.iter().collect());
                }
                return Ok(effects);
            }
            Err(stop) if stop.is_passing() && Instant::now() + pause < until => {
                // Not all at the same moment again.
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(stop) => return Err(stop.told()),
        }
    }
}

async fn attempt(
    shared: &Shared,
    database: &Database,
    session: &mut ClientSession,
    commit: &Commit,
    until: Instant,
) -> Result<Vec<Effect>, Stop> {
    session.start_transaction().with_options(options()).await?;
    let done = Transaction::new(shared, database, &mut *session).run(commit).await;
    let effects = match done {
        Ok(effects) => effects,
        Err(stop) => {
            // When that fails too, the server ends it by itself.
            let _ = session.abort_transaction().await;
            return Err(stop);
        }
    };
    loop {
        match session.commit_transaction().await {
            Ok(()) => return Ok(effects),
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && Instant::now() < until => {
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn options() -> TransactionOptions {
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(durable)
        .max_commit_time(MAX_TIME)
        .build()
}
