//! The task of a shard: reads a batch of its outbox rows, appends the events, deletes the acknowledged rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::Bson;
use tokio::sync::watch;

use crate::events::relay::{Work, shares};
use crate::events::{Error, Waiting};

/// After a batch that was not full a shard pauses as long as the batch took, at most this: with a slow store or log, single
/// events are moved together.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The outcome of one batch.
enum Outcome {
    /// The outbox has no more events of this shard.
    Idle,
    /// All events of the batch are in the log, and there may be more.
    Moved,
    /// Some of them are not.
    Stuck,
}

/// Moves the events of a shard while its lease is held.
pub(super) async fn run(work: Arc<Work>, shard: u32, mut lease: watch::Receiver<Option<Instant>>) {
    let Some(wake) = work.wakes.get(shard as usize) else { return };
    let mut failures = 0;
    loop {
        let Some(until) = *lease.borrow_and_update() else { return };
        // An append must be given up while the lease still runs; a lease that is about to expire is renewed first.
        if until < Instant::now() + work.options.lease / 4 {
            if lease.changed().await.is_err() {
                return;
            }
            continue;
        }
        let started = Instant::now();
        let outcome = move_batch(&work, shard, until).await;
        let next = Instant::now() + started.elapsed().min(LONGEST_PAUSE);
        failures = if matches!(outcome, Outcome::Stuck) { failures + 1 } else { 0 };
        let again = match outcome {
            Outcome::Moved => continue,
            // New events wake it.
            Outcome::Idle => None,
            Outcome::Stuck => Some(Instant::now() + shares::pause(failures, work.options.longest_pause)),
        };
        loop {
            let pause = async {
                match again {
                    Some(again) => tokio::time::sleep_until(again.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => break,
                // While the log does not answer, new events are no reason to try again.
                () = wake.notified(), if failures == 0 => {
                    tokio::time::sleep_until(next.into()).await;
                    break;
                }
                // A lease that is renewed is no reason to read.
                held = lease.changed() => if held.is_err() || lease.borrow().is_none() { return },
            }
        }
    }
}

async fn move_batch(work: &Work, shard: u32, until: Instant) -> Outcome {
    let waiting = match work.outbox.waiting(shard, work.options.batch).await {
        Ok(waiting) if waiting.is_empty() => return Outcome::Idle,
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::debug!(%error, shard, "the outbox can't be read; it is read again");
            return Outcome::Stuck;
        }
    };
    let (begun, count) = (Instant::now(), waiting.len());
    let (rows, events): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|Waiting { row, event }| ((row, event.key.clone()), event)).unzip();
    crate::abort::here("relay");
    let answers = work.log.append(events, until).await;
    crate::abort::here("relayed");
    let Acknowledged { done, refused, failed } = acknowledged(rows, answers);
    match failed {
        Some(error @ Error::Unavailable(_)) if done.is_empty() => work.monitor.down(begun, &error),
        Some(error @ Error::Invalid(_)) => {
            tracing::error!(%error, "an event can't leave the outbox; it is set aside until its topic is there again");
        }
        _ => {}
    }
    // Otherwise they would be read again and again, before the events of all other keys.
    if !refused.is_empty()
        && let Err(error) = work.outbox.set_aside(&refused).await
    {
        tracing::debug!(%error, shard, "events without a topic are set aside later");
        return Outcome::Stuck;
    }
    if done.is_empty() {
        return if refused.is_empty() { Outcome::Stuck } else { Outcome::Moved };
    }
    work.monitor.up(done.len() as u64);
    let deleted = work.outbox.done(&done).await;
    crate::abort::here("acknowledged");
    match deleted {
        Ok(()) if done.len() == count && count < work.options.batch as usize / 2 => Outcome::Idle,
        Ok(()) if done.len() == count || !refused.is_empty() => Outcome::Moved,
        Ok(()) => Outcome::Stuck,
        Err(error) => {
            tracing::debug!(%error, shard, "acknowledged events stay in the outbox and are appended again");
            Outcome::Stuck
        }
    }
}

/// What became of the rows of an append.
#[derive(Debug, Default, PartialEq)]
struct Acknowledged {
    /// Those that can be deleted: of each key those before the first that the log does not have.
    done: Vec<Bson>,
    /// Those that the log never takes. What comes after one in its key was refused because of it, and may be taken next time.
    refused: Vec<Bson>,
    /// The first error.
    failed: Option<Error>,
}

fn acknowledged(rows: Vec<(Bson, String)>, answers: Vec<Result<(), Error>>) -> Acknowledged {
    let mut stopped = BTreeSet::new();
    let mut all = Acknowledged { done: Vec::with_capacity(rows.len()), ..Acknowledged::default() };
    for ((row, key), answer) in rows.into_iter().zip(answers) {
        match answer {
            Ok(()) if stopped.contains(&key) => {}
            Ok(()) => all.done.push(row),
            Err(error) => {
                if stopped.insert(key) && matches!(error, Error::Invalid(_)) {
                    all.refused.push(row);
                }
                all.failed.get_or_insert(error);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_failure_of_its_key_is_not_done() {
        let rows = ["a", "b", "a", "b", "a"].into_iter().zip(0..).map(|(key, row)| (Bson::Int64(row), key.to_owned()));
        let away = || Err(Error::Unavailable("away".to_owned()));
        let found = acknowledged(rows.collect(), vec![Ok(()), Ok(()), away(), Ok(()), Ok(())]);
        assert_eq!(found.done, [0, 1, 3].map(Bson::Int64));
        assert_eq!((found.refused, found.failed), (Vec::new(), away().err()));
    }

    #[test]
    fn of_each_key_the_first_that_the_log_never_takes_is_set_aside() {
        let rows = ["a", "b", "a", "b", "a"].into_iter().zip(0..).map(|(key, row)| (Bson::Int64(row), key.to_owned()));
        let refused = || Err(Error::Invalid("no such topic".to_owned()));
        let found = acknowledged(rows.collect(), vec![Ok(()), Ok(()), refused(), Ok(()), refused()]);
        assert_eq!((found.done, found.refused), ([0, 1, 3].map(Bson::Int64).to_vec(), vec![Bson::Int64(2)]));
        assert_eq!(found.failed, refused().err());
    }
}
