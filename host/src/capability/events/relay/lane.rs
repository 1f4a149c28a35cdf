//! The lane of a shard: takes what waits, appends it, forgets what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::Bson;
use tokio::sync::watch;

use super::{Work, shares};
use crate::capability::events::{Error, Waiting};

/// A shard that was not full rests as long as the last turn took, and not longer than this: with a store or a log that is slow,
/// what comes one by one is moved together.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// What came of one turn.
enum Turn {
    /// Nothing waits any more.
    Idle,
    /// All that was taken is in the log, and there may be more.
    Moved,
    /// Some of it is not.
    Stuck,
}

/// Moves the events of a shard while it is held.
pub(super) async fn run(work: Arc<Work>, shard: u32, mut lease: watch::Receiver<Option<Instant>>) {
    let Some(wake) = work.wakes.get(shard as usize) else { return };
    let mut failures = 0;
    loop {
        let Some(until) = *lease.borrow_and_update() else { return };
        // What is sent late must be given up while the lease still runs; a lease that is about to end is waited for.
        if until < Instant::now() + work.options.lease / 4 {
            if lease.changed().await.is_err() {
                return;
            }
            continue;
        }
        let looked = Instant::now();
        let turn = turn(&work, shard, until).await;
        let rested = Instant::now() + looked.elapsed().min(LONGEST_REST);
        failures = if matches!(turn, Turn::Stuck) { failures + 1 } else { 0 };
        let wait = match turn {
            Turn::Moved => continue,
            // What comes meanwhile wakes it.
            Turn::Idle => work.options.lease,
            Turn::Stuck => shares::pause(failures, work.options.longest_pause),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // While the log is away, new events are no reason to try again.
            () = wake.notified(), if failures == 0 => tokio::time::sleep_until(rested.into()).await,
            held = lease.changed() => if held.is_err() { return },
        }
    }
}

async fn turn(work: &Work, shard: u32, until: Instant) -> Turn {
    let waiting = match work.outbox.waiting(shard, work.options.batch).await {
        Ok(waiting) if waiting.is_empty() => return Turn::Idle,
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::debug!(%error, shard, "what waits in the outbox is asked for again");
            return Turn::Stuck;
        }
    };
    let (begun, count) = (Instant::now(), waiting.len());
    let (rows, events): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|Waiting { row, event }| ((row, event.key.clone()), event)).unzip();
    crate::abort::here("relay");
    let answers = work.log.append(events, until).await;
    crate::abort::here("relayed");
    let (done, failed) = acknowledged(rows, answers);
    match failed {
        Some(error @ Error::Unavailable(_)) if done.is_empty() => work.pulse.down(begun, &error),
        Some(error @ Error::Invalid(_)) => tracing::error!(%error, "an event can't leave the outbox; its key waits"),
        _ => {}
    }
    if done.is_empty() {
        return Turn::Stuck;
    }
    work.pulse.up(done.len() as u64);
    let forgotten = work.outbox.done(&done).await;
    crate::abort::here("acknowledged");
    match forgotten {
        Ok(()) if done.len() == count && count < work.options.batch as usize / 2 => Turn::Idle,
        Ok(()) if done.len() == count => Turn::Moved,
        Ok(()) => Turn::Stuck,
        Err(error) => {
            tracing::debug!(%error, shard, "events that the log has will be there once more");
            Turn::Stuck
        }
    }
}

/// The rows that can be forgotten, of each key those before the first that the log does not have; and why it has not.
fn acknowledged(rows: Vec<(Bson, String)>, answers: Vec<Result<(), Error>>) -> (Vec<Bson>, Option<Error>) {
    let (mut stopped, mut failed) = (BTreeSet::new(), None);
    let mut done = Vec::with_capacity(rows.len());
    for ((row, key), answer) in rows.into_iter().zip(answers) {
        match answer {
            Ok(()) if stopped.contains(&key) => {}
            Ok(()) => done.push(row),
            Err(error) => {
                stopped.insert(key);
                failed.get_or_insert(error);
            }
        }
    }
    (done, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_failure_of_its_key_is_not_done() {
        let rows = ["a", "b", "a", "b", "a"].into_iter().zip(0..).map(|(key, row)| (Bson::Int64(row), key.to_owned()));
        let away = || Err(Error::Unavailable("away".to_owned()));
        let (done, failed) = acknowledged(rows.collect(), vec![Ok(()), Ok(()), away(), Ok(()), Ok(())]);
        assert_eq!(done, [0, 1, 3].map(Bson::Int64));
        assert_eq!(failed, away().err());
    }
}
