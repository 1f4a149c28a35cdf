//! Committing: one transaction, retried on a write conflict until the caller's timeout.
//!
//! When the result of `commitTransaction` is unknown, that command alone is retried, never the transaction.

use std::time::Duration;

use ::mongodb::error::{Error as ServerError, ErrorKind, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use ::mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};
use ::mongodb::{Client, ClientSession, Database};
use bson::doc;
use tokio::time::{Instant, timeout_at};

use capability::documents::{Commit, Effect, Error, KeyLock};

use crate::leftovers::Open;
use crate::refusal::{Stop, code};
use crate::writes::Transaction;
use crate::{MAX_TIME, Shared};

/// The pause before the first retry; each further one is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Runs a commit, whose insertions are validated, under its key lock. Returns the lock too when the commit is refused.
pub(super) async fn run_locked(
    shared: &Shared,
    database: &Database,
    commit: &Commit,
    held: Option<KeyLock>,
    until: Instant,
) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
    if commit.writes.is_empty() && commit.events.is_empty() {
        return (Ok(Vec::new()), None);
    }
    let Ok(lock) = timeout_at(until, shared.key_locks.lock(commit, held)).await else {
        let busy = "too many commits are about the same document or key";
        return (Err(Error::Unavailable(busy.to_owned())), None);
    };
    let done = run(shared, database, commit, until).await;
    let refused = matches!(done, Err(Error::Unmet(_) | Error::Duplicate { .. }));
    (done, refused.then_some(lock))
}

async fn run(shared: &Shared, database: &Database, commit: &Commit, until: Instant) -> Result<Vec<Effect>, Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(shared, database, commit, until).await {
            Ok(effects) => {
                if !commit.events.is_empty() {
                    shared.committed.tell(commit.events.iter().collect());
                }
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

async fn attempt(shared: &Shared, database: &Database, commit: &Commit, until: Instant) -> Result<Vec<Effect>, Stop> {
    let client = database.client();
    let mut session = client.start_session().await?;
    session.start_transaction().with_options(options()).await?;
    // Killed unless the server has ended it: also when this call is given up halfway.
    let open = Open::new(&shared.leftovers, client.clone(), session.id());
    let done = Transaction::new(shared, database, &mut session).run(commit).await;
    let effects = match done {
        Ok(effects) => effects,
        Err(stop) => {
            if is_over(&stop, client, &mut session).await {
                open.ended();
            }
            return Err(stop);
        }
    };
    loop {
        match session.commit_transaction().await {
            Ok(()) => {
                open.ended();
                return Ok(effects);
            }
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && Instant::now() < until => {
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            // Also when the server says that it took too long: it may be done all the same.
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {
                return Err(
                    Error::Unavailable(format!("whether a commit happened is not known: {}", error.kind)).into()
                );
            }
            Err(error) => {
                if code(&error).is_some() {
                    open.ended();
                }
                return Err(error.into());
            }
        }
    }
}

/// Aborts a transaction that stopped; whether the server has ended it, or never had it. The driver's own abort does not say
/// whether the server has heard it.
async fn is_over(stop: &Stop, client: &Client, session: &mut ClientSession) -> bool {
    let answered = |error: &ServerError| {
        code(error).is_some() || matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. } | ErrorKind::Write(_))
    };
    if matches!(stop, Stop::Server(error) if !answered(error)) {
        return false;
    }
    let aborted = client.database("admin").run_command(doc! { "abortTransaction": 1 }).session(session).await;
    aborted.as_ref().err().is_none_or(answered)
}

fn options() -> TransactionOptions {
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(durable)
        .max_commit_time(MAX_TIME)
        .build()
}
