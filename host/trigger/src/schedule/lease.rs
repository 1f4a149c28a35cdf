//! A lease: a host leases a schedule, runs the parts of the due tick, and releases the lease.
//!
//! The effect of a part and the tick's new cursor are one commit. After a crash before the commit the part is not done, after
//! it the next part is not: the host that takes the lease when it has expired goes on there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::doc;
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::schedule::row::{COLLECTION, ScheduleRow};
use capability::Capabilities;
use capability::documents::{Commit, Error, Write, date};
use capability::unit_of_work::UnitOfWork;
use engine::{Call, Failure, TickCall, Unable};
use manifest::Cron;
use registry::Registry;

/// How long a lease lasts; it is renewed while a part runs, and by each commit. Longer than any wait between two attempts;
/// milliseconds.
const LEASE: u64 = 30_000;
/// How often it is renewed while a part runs.
const RENEWAL: Duration = Duration::from_millis(LEASE / 3);
/// After how many attempts of one part a tick is given up.
const MAX_ATTEMPTS: u32 = 8;
/// The longest cursor, in bytes.
const MAX_CURSOR: usize = 1_024;

/// One schedule of a component.
pub(super) struct Schedule {
    pub(super) registry: Arc<Registry>,
    pub(super) component: String,
    pub(super) cron: Cron,
    pub(super) stop: watch::Receiver<bool>,
}

/// The result of one attempt of a part.
enum PartResult {
    /// It is done; where the next part starts.
    Done(Option<String>),
    /// Another host has taken the lease.
    Lost,
    /// A store or an instance was not available. That does not count as an attempt.
    Unavailable(String),
    /// It failed, and counts as an attempt.
    Failed(String),
    /// The component rejects the tick: it is not retried.
    Rejected(String),
}

/// Does `work`, and calls `renew` again and again until it is done.
async fn while_renewing<T, R: Future<Output = ()>>(
    every: Duration,
    renew: impl Fn() -> R,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(every) => {}
        }
        // The work goes on meanwhile.
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = renew() => {}
        }
    }
}

/// This host's lease of the schedule, for one tick.
struct Lease {
    tick: u64,
    fence: i64,
    cursor: Option<String>,
}

impl Schedule {
    /// Whether a tick after `done` is due.
    pub(super) fn is_due(&self, done: u64) -> bool {
        self.cron.latest(done, self.capabilities().clock.now()).is_some()
    }

    /// Runs the due ticks, unless another host has the lease; returns the last finished tick.
    pub(super) async fn run_due(&mut self) -> Result<u64, Error> {
        let (documents, clock, id) =
            (self.capabilities().documents.clone(), self.capabilities().clock.clone(), self.id());
        loop {
            let now = clock.now();
            let Some(row) = ScheduleRow::find(documents.as_ref(), &id).await? else {
                ScheduleRow::insert(documents.as_ref(), &id, now).await?;
                continue;
            };
            let Some(tick) = row.tick.or_else(|| self.cron.latest(row.last, now)) else { return Ok(row.last) };
            if row.until > now || *self.stop.borrow() {
                return Ok(row.last);
            }
            let fence = row.fence.saturating_add(1);
            let take = doc! { "$set": { "until": date(now + LEASE), "fence": fence, "tick": date(tick) } };
            let take = ScheduleRow::change(&id, row.fence, &take)?;
            match documents.commit_in_background(Commit { writes: vec![take], events: Vec::new() }).await {
                Err(Error::Unmet(_)) => return Ok(row.last),
                taken => taken.map(drop)?,
            }
            let lease = Lease { tick, fence, cursor: row.cursor };
            if !self.run(lease).await? {
                return Ok(row.last);
            }
        }
    }

    /// Runs the parts of a tick; false when the lease is released or lost before the tick is finished.
    async fn run(&mut self, mut lease: Lease) -> Result<bool, Error> {
        let (mut component_backoff, mut store_backoff, mut attempt) = (Backoff::component(), Backoff::store(), 1);
        loop {
            if *self.stop.borrow() {
                self.write(&lease, doc! { "$set": { "until": date(0) } }).await?;
                return Ok(false);
            }
            let result = while_renewing(RENEWAL, || self.renew(&lease), self.part(&lease)).await;
            let wait = match result {
                PartResult::Done(None) => return Ok(true),
                PartResult::Done(next) => {
                    lease.cursor = next;
                    (component_backoff, store_backoff, attempt) = (Backoff::component(), Backoff::store(), 1);
                    continue;
                }
                PartResult::Lost => return Ok(false),
                PartResult::Unavailable(why) => {
                    self.log(&lease, &why, "a tick waits for a store", store_backoff.is_first());
                    store_backoff.next()
                }
                PartResult::Failed(why) if attempt < MAX_ATTEMPTS => {
                    self.log(&lease, &why, "a part of a tick failed; trying again", true);
                    attempt += 1;
                    component_backoff.next()
                }
                PartResult::Failed(why) | PartResult::Rejected(why) => {
                    self.log(&lease, &why, "a tick is given up", true);
                    let given_up = doc! {
                        "$set": { "last": date(lease.tick), "until": date(0), "failed": date(lease.tick), "why": why },
                        "$unset": { "tick": 1, "cursor": 1 },
                    };
                    return self.write(&lease, given_up).await.map(|()| true);
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.stop.wait_for(|stop| *stop) => {}
            }
            let now = self.capabilities().clock.now();
            if let Err(Error::Unmet(_)) = self.write(&lease, doc! { "$set": { "until": date(now + LEASE) } }).await {
                return Ok(false);
            }
        }
    }

    /// Extends the lease while a part runs, unless the tick is finished or another host has taken the lease: then the commit of
    /// the part says so.
    async fn renew(&self, lease: &Lease) {
        let now = self.capabilities().clock.now();
        let current = doc! { "_id": self.id(), "fence": lease.fence, "tick": date(lease.tick) };
        let renewed = match Write::change_known(COLLECTION, &current, &doc! { "$set": { "until": date(now + LEASE) } })
        {
            Ok(write) => {
                let commit = Commit { writes: vec![write], events: Vec::new() };
                self.capabilities().documents.commit_in_background(commit).await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(why) = renewed {
            self.log(lease, &why.to_string(), "the lease of a tick is not renewed", false);
        }
    }

    /// One attempt of one part.
    async fn part(&self, lease: &Lease) -> PartResult {
        let Some(loaded) = self.registry.component(&self.component) else {
            return PartResult::Unavailable("the component is not deployed".to_owned());
        };
        let store_unavailable = Arc::new(AtomicBool::new(false));
        let call = TickCall {
            call: Call { id: Call::new_id(), identity: None, socket: None },
            cron: self.cron.as_str().into(),
            at: lease.tick,
            cursor: lease.cursor.clone(),
            store_unavailable: store_unavailable.clone(),
        };
        capability::abort::here("tick");
        let failed = |why| {
            let unavailable = store_unavailable.load(Ordering::Relaxed);
            if unavailable { PartResult::Unavailable(why) } else { PartResult::Failed(why) }
        };
        match self.registry.engine().invoke_for_host(&loaded, call).await {
            Ok((Ok((_, Some(next))), end)) if next.len() > MAX_CURSOR => {
                end.refuse();
                PartResult::Rejected(format!("its cursor has {} bytes; at most {MAX_CURSOR} are kept", next.len()))
            }
            Ok((Ok((unit, next)), end)) => {
                let done = self.commit(lease, unit, next).await;
                // Only now it is known how the call ended: what it wanted done may be refused.
                match &done {
                    PartResult::Failed(_) => end.refuse(),
                    PartResult::Unavailable(_) | PartResult::Lost => end.store_unavailable(),
                    PartResult::Done(_) | PartResult::Rejected(_) => drop(end),
                }
                done
            }
            Ok((Err(Unable::Retry(why)), _)) => failed(why),
            Ok((Err(Unable::Reject(why)), _)) => PartResult::Rejected(why),
            Err(failure @ (Failure::Busy | Failure::Cut | Failure::Host(_))) => {
                PartResult::Unavailable(failure.to_string())
            }
            Err(failure) => failed(failure.to_string()),
        }
    }

    /// Commits the effect of a part, and the tick's cursor or end.
    async fn commit(&self, lease: &Lease, mut unit: UnitOfWork, next: Option<String>) -> PartResult {
        let capabilities = self.capabilities();
        let change = match &next {
            Some(next) => doc! { "$set": { "cursor": next, "until": date(capabilities.clock.now() + LEASE) } },
            None => {
                doc! { "$set": { "last": date(lease.tick), "until": date(0) }, "$unset": { "tick": 1, "cursor": 1 } }
            }
        };
        let progress = match ScheduleRow::change(&self.id(), lease.fence, &change) {
            Ok(progress) => progress,
            Err(error) => return PartResult::Failed(error.to_string()),
        };
        // First, so that a host that lost its lease fails here and not at another write.
        unit.writes.insert(0, progress);
        let (commit, after) = match unit.split(capabilities) {
            Ok(split) => split,
            Err(error) => return PartResult::Failed(error.to_string()),
        };
        let done = capabilities.documents.commit_in_background(commit).await;
        capability::abort::here("ticked");
        match done {
            Ok(_) => {
                after.follow().await;
                PartResult::Done(next)
            }
            Err(Error::Unmet(0)) => PartResult::Lost,
            Err(Error::Unavailable(why)) => {
                after.doubt().await;
                PartResult::Unavailable(why)
            }
            Err(error) => PartResult::Failed(format!("what it wants done is refused: {error}")),
        }
    }

    async fn write(&self, lease: &Lease, change: bson::Document) -> Result<(), Error> {
        let write = ScheduleRow::change(&self.id(), lease.fence, &change)?;
        self.capabilities()
            .documents
            .commit_in_background(Commit { writes: vec![write], events: Vec::new() })
            .await
            .map(drop)
    }

    fn log(&self, lease: &Lease, why: &str, what: &'static str, warn: bool) {
        let (component, cron, tick) = (&self.component, self.cron.as_str(), lease.tick);
        if warn {
            tracing::warn!(component, cron, tick, why, "{what}");
        } else {
            tracing::debug!(component, cron, tick, why, "{what}");
        }
    }

    fn id(&self) -> String {
        format!("{}/{}", self.component, self.cron.as_str())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.registry.engine().shared().capabilities
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::Semaphore;

    use super::*;

    const OFTEN: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_lease_is_renewed_as_long_as_the_part_takes_and_not_after_it() {
        let (renewals, renewed) = (AtomicU32::new(0), Semaphore::new(0));
        let renew = || async {
            renewals.fetch_add(1, Ordering::Relaxed);
            renewed.add_permits(1);
        };
        // A part that takes ten leases.
        let part = async { renewed.acquire_many(10).await.is_ok() };
        let done = tokio::time::timeout(PATIENCE, while_renewing(OFTEN, renew, part)).await;
        assert_eq!((done, renewals.load(Ordering::Relaxed)), (Ok(true), 10));
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_a_renewal_does_not_hold_up_the_part() {
        let asked = Semaphore::new(0);
        let renew = || async {
            asked.add_permits(1);
            std::future::pending().await
        };
        let part = async { asked.acquire().await.is_ok() };
        assert_eq!(tokio::time::timeout(PATIENCE, while_renewing(OFTEN, renew, part)).await, Ok(true));
    }
}
