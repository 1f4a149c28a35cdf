//! Which shards this host moves: about as many as every other host.
//!
//! Every running host has a member lease, of a number that has no events, so that it is counted also while it has no
//! shard. A host with more than a fair share releases the rest; one with less takes the free ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::events::relay::{Work, shard_task};
use crate::events::{Error, SHARDS};

/// The numbers for member leases. With more hosts than this some are not counted, and the others move a little more.
const MEMBERS: u32 = 64;
/// In every how many rounds a host that is alone counts the hosts.
const ALONE: u32 = 3;

/// The shards that this host has, each with its task.
pub(super) struct Shares {
    work: Arc<Work>,
    /// The number of this host's member lease.
    member: u32,
    /// How many hosts there were when they were last counted; 0 before that.
    hosts: u32,
    /// How many rounds there were.
    rounds: u32,
    tasks: BTreeMap<u32, ShardTask>,
}

/// A shard's task and its lease: the time until which it may append, none when it has to end.
struct ShardTask {
    lease: watch::Sender<Option<Instant>>,
    running: JoinHandle<()>,
}

impl Drop for ShardTask {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shares {
    pub(super) fn new(work: Arc<Work>) -> Self {
        Self { member: SHARDS + random() % MEMBERS, hosts: 0, rounds: 0, work, tasks: BTreeMap::new() }
    }

    /// Renews the leases and takes or releases shards, for ever.
    pub(super) async fn balance(&mut self) {
        let mut reported = false;
        loop {
            let round = self.round().await;
            self.work.monitor.set_shards(self.tasks.len());
            match round {
                Ok(()) => reported = false,
                Err(error) if reported => tracing::debug!(%error, "the leases of the relay are requested again"),
                Err(error) => {
                    tracing::warn!(%error, "the outbox does not answer; events wait until it does");
                    reported = true;
                }
            }
            // At random, so that hosts do not do it at the same time.
            let third = self.work.options.lease / 3;
            tokio::time::sleep(third - third.mul_f64(f64::from(random() % 100) / 500.0)).await;
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        if !self.renew().await? && !self.renew_member().await? {
            self.member = SHARDS + (self.member + 1 - SHARDS) % MEMBERS;
        }
        // A host that comes takes what is free; only one that is alone may have more than its share for some rounds.
        if self.hosts != 1 || self.rounds.is_multiple_of(ALONE) {
            self.hosts = self.work.outbox.holders().await?.max(1);
            self.work.has_others.store(self.hosts > 1, Ordering::Relaxed);
        }
        self.rounds = self.rounds.wrapping_add(1);
        let hosts = self.hosts;
        let fair = SHARDS.div_ceil(hosts) as usize;
        while self.tasks.len() > fair {
            let Some(shard) = self.tasks.keys().next_back().copied() else { break };
            self.end(shard).await;
            self.release(shard).await;
        }
        // From a random shard, so that two hosts that start together do not compete for every one.
        let first = random() % SHARDS;
        for shard in (0..SHARDS).map(|step| (first + step) % SHARDS) {
            if self.tasks.len() >= fair {
                break;
            }
            if !self.tasks.contains_key(&shard) {
                self.take(shard).await?;
            }
        }
        Ok(())
    }

    async fn renew_member(&self) -> Result<bool, Error> {
        self.work.outbox.lease(self.member, &self.work.holder, self.work.options.lease).await
    }

    /// Extends all leases at once; the task of one that another host has taken is aborted. Returns whether the member lease is
    /// this host's.
    async fn renew(&mut self) -> Result<bool, Error> {
        let numbers: Vec<u32> = self.tasks.keys().copied().chain([self.member]).collect();
        let (begun, length) = (Instant::now(), self.work.options.lease);
        let held = self.work.outbox.renew(&numbers, &self.work.holder, length).await?;
        self.tasks.retain(|shard, task| {
            let holds = held.contains(shard);
            if holds {
                task.lease.send_replace(Some(begun + length));
            } else {
                tracing::warn!(shard, "another host has taken this shard of the outbox");
            }
            holds
        });
        Ok(held.contains(&self.member))
    }

    async fn take(&mut self, shard: u32) -> Result<(), Error> {
        let begun = Instant::now();
        if self.work.outbox.lease(shard, &self.work.holder, self.work.options.lease).await? {
            let (lease, held) = watch::channel(Some(begun + self.work.options.lease));
            let running = tokio::spawn(shard_task::run(Arc::clone(&self.work), shard, held));
            self.tasks.insert(shard, ShardTask { lease, running });
        }
        Ok(())
    }

    /// Ends a shard's task after its current batch.
    async fn end(&mut self, shard: u32) {
        let Some(task) = self.tasks.get_mut(&shard) else { return };
        task.lease.send_replace(None);
        if let Err(error) = (&mut task.running).await {
            tracing::error!(%error, shard, "a shard's task of the relay did not end by itself");
        }
        self.tasks.remove(&shard);
    }

    async fn release(&self, number: u32) {
        if let Err(error) = self.work.outbox.release(number, &self.work.holder).await {
            tracing::debug!(%error, number, "a lease is not released; it expires");
        }
    }

    /// Ends all tasks and releases all leases.
    pub(super) async fn release_all(mut self) {
        for task in self.tasks.values() {
            task.lease.send_replace(None);
        }
        while let Some(shard) = self.tasks.keys().next().copied() {
            self.end(shard).await;
        }
        // All numbers: a lease may have been taken or released just when this was stopped.
        join_all((0..SHARDS).chain([self.member]).map(|number| self.release(number))).await;
    }
}

fn random() -> u32 {
    u32::from_le_bytes(crate::random::bytes::<4>())
}

/// How long a shard's task waits before the next try, after this many failures.
pub(super) fn pause(failures: u32, longest: Duration) -> Duration {
    let doubled = Duration::from_millis(50) * 2_u32.saturating_pow(failures.min(10));
    doubled.min(longest).mul_f64(0.75 + f64::from(random() % 100) / 400.0)
}
