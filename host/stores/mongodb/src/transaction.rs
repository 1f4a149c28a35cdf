//! One transaction of the server: begun in a session of the pool, committed or aborted, and its session killed when neither is
//! known to have been heard.
//!
//! When the result of `commitTransaction` is unknown, that command alone is retried, never the transaction.

use std::time::Duration;

use ::mongodb::error::{Error as ServerError, ErrorKind, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use ::mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};
use ::mongodb::{Client, ClientSession, Database};
use bson::doc;
use tokio::time::Instant;

use capability::documents::{Commit, Effect, Error};

use crate::leftovers::Open;
use crate::refusal::{Stop, code};
use crate::writes::Transaction;
use crate::{MAX_TIME, Shared};

/// The pause before `commitTransaction` is retried.
const PAUSE: Duration = Duration::from_millis(2);

/// One commit in one transaction.
pub(crate) async fn attempt(
    shared: &Shared,
    database: &Database,
    commit: &Commit,
    until: Instant,
) -> Result<Vec<Effect>, Stop> {
    let client = database.client();
    let (mut session, open) = begin(shared, client).await?;
    let done = Transaction::new(shared, database, &mut session).run(commit).await;
    match done {
        Ok(effects) => finish(open, &mut session, until).await.map(|()| effects),
        Err(stop) => {
            abandon(open, Some(&stop), client, &mut session).await;
            Err(stop)
        }
    }
}

/// A session with a transaction. The session is killed unless the server has ended the transaction: also when this call is given
/// up halfway.
pub(crate) async fn begin(shared: &Shared, client: &Client) -> Result<(ClientSession, Open), Stop> {
    let mut session = loop {
        // The pool returns first what was used last, which may be a session that is being killed.
        if let Some(session) = shared.leftovers.unless_killed(client.start_session().await?) {
            break session;
        }
    };
    session.start_transaction().with_options(options()).await?;
    let open = Open::new(&shared.leftovers, client.clone(), session.id());
    Ok((session, open))
}

/// Commits a session's transaction.
pub(crate) async fn finish(open: Open, session: &mut ClientSession, until: Instant) -> Result<(), Stop> {
    loop {
        match session.commit_transaction().await {
            Ok(()) => {
                open.ended();
                return Ok(());
            }
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
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

/// Aborts a session's transaction, that stopped or has nothing to commit.
pub(crate) async fn abandon(open: Open, stop: Option<&Stop>, client: &Client, session: &mut ClientSession) {
    if is_over(stop, client, session).await {
        open.ended();
    }
}

/// Aborts a transaction that stopped; whether the server has ended it, or never had it. The driver's own abort does not say
/// whether the server has heard it.
async fn is_over(stop: Option<&Stop>, client: &Client, session: &mut ClientSession) -> bool {
    let answered = |error: &ServerError| {
        code(error).is_some() || matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. } | ErrorKind::Write(_))
    };
    if matches!(stop, Some(Stop::Server(error)) if !answered(error)) {
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
