//! Which shards this host moves: about as many as every other host.
//!
//! A host that is there has a seat, a lease of a number that belongs to no events, so that it is counted also while it
//! has no shard. Who has more than a fair share gives the rest up; who has less tries for whatever is free.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Work, lane};
use crate::capability::events::{Error, SHARDS};

/// How many hosts can be told apart; with more of them some are not counted, and the others have a little more to do.
const SEATS: u32 = 64;

/// The shards that this host has, each with its lane.
pub(super) struct Shares {
    work: Arc<Work>,
    seat: u32,
    lanes: BTreeMap<u32, Lane>,
}

/// A lane and its lease: the moment until which it may append, none when it is to end.
struct Lane {
    lease: watch::Sender<Option<Instant>>,
    running: JoinHandle<()>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shares {
    pub(super) fn new(work: Arc<Work>) -> Self {
        Self { seat: SHARDS + random() % SEATS, work, lanes: BTreeMap::new() }
    }

    /// Keeps the leases and takes or gives up shards, for ever.
    pub(super) async fn keep(&mut self) {
        let mut told = false;
        loop {
            let round = self.round().await;
            self.work.pulse.has(self.lanes.len());
            match round {
                Ok(()) => told = false,
                Err(error) if told => tracing::debug!(%error, "the leases of the relay are asked for again"),
                Err(error) => {
                    tracing::warn!(%error, "the outbox does not answer; events wait until it does");
                    told = true;
                }
            }
            // Not all hosts at the same moment.
            let third = self.work.options.lease / 3;
            tokio::time::sleep(third - third.mul_f64(f64::from(random() % 100) / 500.0)).await;
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        self.renew().await?;
        if !self.sit().await? {
            self.seat = SHARDS + (self.seat + 1 - SHARDS) % SEATS;
        }
        let hosts = self.work.outbox.holders().await?.max(1);
        let fair = SHARDS.div_ceil(hosts) as usize;
        while self.lanes.len() > fair {
            let Some(shard) = self.lanes.keys().next_back().copied() else { break };
            self.end(shard).await;
            self.release(shard).await;
        }
        // From anywhere, so that two hosts that come at once do not meet at every shard.
        let first = random() % SHARDS;
        for shard in (0..SHARDS).map(|step| (first + step) % SHARDS) {
            if self.lanes.len() >= fair {
                break;
            }
            if !self.lanes.contains_key(&shard) {
                self.take(shard).await?;
            }
        }
        Ok(())
    }

    async fn sit(&self) -> Result<bool, Error> {
        self.work.outbox.lease(self.seat, &self.work.holder, self.work.options.lease).await
    }

    /// Lengthens all leases at once; one that another host has got ends its lane.
    async fn renew(&mut self) -> Result<(), Error> {
        let work = &self.work;
        let asked = self.lanes.keys().map(|shard| async move {
            let begun = Instant::now();
            (*shard, begun, work.outbox.lease(*shard, &work.holder, work.options.lease).await)
        });
        let mut result = Ok(());
        for (shard, begun, answer) in join_all(asked).await {
            match answer {
                Ok(true) => {
                    if let Some(lane) = self.lanes.get(&shard) {
                        lane.lease.send_replace(Some(begun + self.work.options.lease));
                    }
                }
                Ok(false) => {
                    tracing::warn!(shard, "another host has got this shard of the outbox");
                    self.lanes.remove(&shard);
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    async fn take(&mut self, shard: u32) -> Result<(), Error> {
        let begun = Instant::now();
        if self.work.outbox.lease(shard, &self.work.holder, self.work.options.lease).await? {
            let (lease, held) = watch::channel(Some(begun + self.work.options.lease));
            let running = tokio::spawn(lane::run(Arc::clone(&self.work), shard, held));
            self.lanes.insert(shard, Lane { lease, running });
        }
        Ok(())
    }

    /// Lets a lane finish what it is at.
    async fn end(&mut self, shard: u32) {
        let Some(lane) = self.lanes.get_mut(&shard) else { return };
        lane.lease.send_replace(None);
        if let Err(error) = (&mut lane.running).await {
            tracing::error!(%error, shard, "a lane of the relay did not end by itself");
        }
        self.lanes.remove(&shard);
    }

    async fn release(&self, number: u32) {
        if let Err(error) = self.work.outbox.release(number, &self.work.holder).await {
            tracing::debug!(%error, number, "a lease ends by itself");
        }
    }

    /// Ends all of it.
    pub(super) async fn give_back(mut self) {
        for lane in self.lanes.values() {
            lane.lease.send_replace(None);
        }
        while let Some(shard) = self.lanes.keys().next().copied() {
            self.end(shard).await;
        }
        // All of them: a lease may have been taken or given up just when this was stopped.
        join_all((0..SHARDS).chain([self.seat]).map(|number| self.release(number))).await;
    }
}

fn random() -> u32 {
    u32::from_le_bytes(crate::capability::random::bytes::<4>())
}

/// How long a lane waits before the next try, after this many failures.
pub(super) fn pause(failures: u32, longest: Duration) -> Duration {
    let doubled = Duration::from_millis(50) * 2_u32.saturating_pow(failures.min(10));
    doubled.min(longest).mul_f64(0.75 + f64::from(random() % 100) / 400.0)
}
