//! A consumer: one component's subscription, and the deliveries to the component.
//!
//! Three kinds of tasks: one polls the subscription, one commits offsets, and each key with waiting events has one that
//! delivers them in order. A permit is held only while a component is called, never while a delivery waits for a retry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use crate::backoff::Backoff;
use crate::event::Registration;
use crate::event::delivery;
use crate::event::delivery::Delivery;
use crate::event::partition::Partition;
use capability::events::{Next, REPLAY_FOR, Record, Subscription, TopicPartition};
use manifest::EventTrigger;
use registry::Registry;

/// How many deliveries to a component run at once.
const MAX_CONCURRENT_DELIVERIES: u32 = 64;
/// How often offsets are committed. Events processed since the last commit are delivered again after a crash, and then
/// have no effect.
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);
/// How long a consumer that closes waits for its running deliveries.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a consumer that closes waits for its last offsets to be committed.
const LAST_COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was stopped.
    Stopped,
    /// Another one has to take its place.
    Replaced,
}

/// The consumer of one component.
pub(super) struct Consumer {
    pub(super) registry: Arc<Registry>,
    pub(super) component: String,
    /// The generation of the component's effects that it writes.
    pub(super) generation: u64,
    /// The consumer group, and the name in the marks of consumed events.
    pub(super) group: String,
    pub(super) permits: Semaphore,
    subscription: Box<dyn Subscription>,
    partitions: Mutex<HashMap<TopicPartition, Arc<Partition>>>,
}

impl Consumer {
    pub(super) fn new(registration: Registration, subscription: Box<dyn Subscription>) -> Self {
        let group = registration.group();
        let Registration { registry, component, generation } = registration;
        let (permits, partitions) = (Semaphore::new(MAX_CONCURRENT_DELIVERIES as usize), Mutex::default());
        Self { registry, component, generation, group, permits, subscription, partitions }
    }

    /// Whether its generation is being built. Then it publishes and emits nothing: the served generation has done so.
    pub(super) fn is_building(&self) -> bool {
        let generations = &self.registry.engine().shared().capabilities.generations;
        generations.of(&self.component).building == Some(self.generation)
    }

    /// Runs until it is stopped, or until it has to be replaced by one that joins the group anew.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) -> End {
        let committer = tokio::spawn(self.clone().commit_offsets());
        let mut backoff = Backoff::store();
        let end = loop {
            let next = tokio::select! {
                next = self.subscription.next() => next,
                _ = stop.wait_for(|stop| *stop) => break End::Stopped,
            };
            match next {
                Ok(Next::Records(topic_partition, records)) => {
                    if !self.on_records(topic_partition, records) {
                        tracing::debug!(
                            component = self.component,
                            "it does not have the topic now; its events come again"
                        );
                        break End::Replaced;
                    }
                    backoff = Backoff::store();
                }
                Ok(Next::Skipped(topic_partition, offset)) => self.on_assigned(topic_partition).skip_to(offset),
                Ok(Next::Revoked(revoked)) => self.on_revoked(&revoked),
                // It never succeeds again: a new one has to join the group.
                Err(error) if self.subscription.is_closed() => {
                    tracing::warn!(component = self.component, %error, "its subscription has ended; it subscribes again");
                    break End::Replaced;
                }
                Err(error) => {
                    if backoff.is_first() {
                        tracing::warn!(component = self.component, %error, "events can't be polled; polling again");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next()) => {}
                        _ = stop.wait_for(|stop| *stop) => break End::Stopped,
                    }
                }
            }
        };
        committer.abort();
        self.close().await;
        end
    }

    /// Lets the running deliveries finish, commits the offsets, and leaves the group.
    async fn close(&self) {
        let all: Vec<Arc<Partition>> = self.partitions().values().cloned().collect();
        all.iter().for_each(|partition| partition.stop());
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, self.permits.acquire_many(MAX_CONCURRENT_DELIVERIES)).await;
        if drained.is_err() {
            tracing::warn!(component = self.component, "a delivery did not finish in time; its events come again");
        }
        let committed = tokio::time::timeout(LAST_COMMIT_TIMEOUT, async {
            for partition in &all {
                self.commit_offset(partition).await;
            }
        });
        if committed.await.is_err() {
            tracing::warn!(component = self.component, "the last offsets are not committed; their events come again");
        }
        self.subscription.close().await;
    }

    /// The partition, which is new when it has just been assigned to this host.
    fn on_assigned(&self, topic_partition: TopicPartition) -> Arc<Partition> {
        let new = || Arc::new(Partition::new(topic_partition.clone()));
        self.partitions().entry(topic_partition.clone()).or_insert_with(new).clone()
    }

    /// Starts to deliver records. False when the component is absent or does not have the topic now: then no later offset of the
    /// partition may be committed, and the group has to be joined anew, which starts at the committed offset.
    fn on_records(self: &Arc<Self>, topic_partition: TopicPartition, records: Vec<Record>) -> bool {
        let Some(trigger) = self.trigger(&topic_partition.topic, EventTrigger::clone) else { return false };
        let partition = self.on_assigned(topic_partition);
        let keys = partition.enqueue(records, |record| trigger.takes(&record.event.kind) && self.is_meant(record));
        self.apply_backpressure(&partition);
        for key in keys {
            tokio::spawn(self.clone().run_lane(partition.clone(), key));
        }
        true
    }

    /// Delivers the events of one key in order until none is left.
    async fn run_lane(self: Arc<Self>, partition: Arc<Partition>, key: String) {
        let batch = |trigger: &EventTrigger| trigger.batch as usize;
        while let Some(records) =
            partition.dequeue(&key, self.trigger(&partition.topic_partition.topic, batch).unwrap_or(1))
        {
            let delivery = Delivery { consumer: &self, partition: &partition };
            if delivery.deliver(records).await == delivery::End::Stopped {
                return;
            }
            // A key with many events would keep other tasks off this thread.
            tokio::task::yield_now().await;
        }
    }

    /// A property of the deployed version's trigger for a topic; none when that version does not subscribe to it.
    pub(super) fn trigger<T>(&self, topic: &str, look: impl FnOnce(&EventTrigger) -> T) -> Option<T> {
        let loaded = self.registry.component(&self.component)?;
        loaded.manifest.event.iter().find(|trigger| trigger.topic == topic).map(look)
    }

    /// An event is processed.
    pub(super) fn finish(&self, partition: &Partition, record: &Record) {
        partition.finish(record);
        self.apply_backpressure(partition);
    }

    /// False for an event that was replayed for another component.
    fn is_meant(&self, record: &Record) -> bool {
        let mut headers = record.event.headers.iter();
        headers.find(|(name, _)| name == REPLAY_FOR).is_none_or(|(_, component)| *component == self.component)
    }

    /// Pauses the partition when too much waits, and resumes it when there is room again.
    fn apply_backpressure(&self, partition: &Partition) {
        // The partition may be assigned to this host again, as a new `Partition`, which must not be paused here.
        if partition.is_stopped() {
            return;
        }
        match partition.pause_change() {
            Some(true) => self.subscription.pause(&partition.topic_partition),
            Some(false) => self.subscription.resume(&partition.topic_partition),
            None => {}
        }
    }

    fn on_revoked(&self, revoked: &[TopicPartition]) {
        let mut partitions = self.partitions();
        for partition in revoked.iter().filter_map(|topic_partition| partitions.remove(topic_partition)) {
            partition.stop();
        }
    }

    async fn commit_offsets(self: Arc<Self>) {
        let mut every = tokio::time::interval(COMMIT_INTERVAL);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let all: Vec<Arc<Partition>> = self.partitions().values().cloned().collect();
            for partition in all {
                self.commit_offset(&partition).await;
            }
        }
    }

    async fn commit_offset(&self, partition: &Partition) {
        let Some(offset) = partition.to_commit() else { return };
        capability::abort::here("offset");
        match self.subscription.commit(&partition.topic_partition, offset).await {
            Ok(true) => {
                capability::abort::here("remembered");
                partition.committed(offset);
            }
            // The partition was revoked; the subscription is about to report that.
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(component = self.component, %error, "an offset is not committed; trying again");
            }
        }
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<TopicPartition, Arc<Partition>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
