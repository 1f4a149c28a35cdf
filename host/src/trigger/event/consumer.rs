//! A consumer: one component's subscription, and everything that is on its way to the component.
//!
//! Three kinds of tasks: one asks the log for what is next, one remembers what is finished, and each key that has events
//! has one that tells them in order. A place is held only while a component is called, never while one waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::Told;
use super::delivery::{self, Delivery};
use super::pace::Pace;
use super::partition::Partition;
use crate::capability::events::{Next, Place, REPLAY_FOR, Record, Subscription};
use crate::registry::{EventTrigger, Registry};

/// How many events of a component are told at once.
const PLACES: u32 = 64;
/// How often it is looked for what is to be remembered: what was finished since is told again after a crash, and has no
/// effect then.
const REMEMBER: Duration = Duration::from_millis(50);
/// How long a consumer that ends waits for the components it has called.
const DRAIN: Duration = Duration::from_secs(30);

/// How long it waits for the log to remember what was finished last.
const LAST: Duration = Duration::from_secs(5);

/// One component's.
pub(super) struct Consumer {
    pub(super) registry: Arc<Registry>,
    pub(super) component: String,
    /// Which generation of the component's effects it has.
    pub(super) generation: u64,
    /// The name in the marks of events that had their effect.
    pub(super) group: String,
    pub(super) places: Semaphore,
    subscription: Box<dyn Subscription>,
    partitions: Mutex<HashMap<Place, Arc<Partition>>>,
}

impl Consumer {
    pub(super) fn new(told: Told, subscription: Box<dyn Subscription>) -> Self {
        let group = told.group();
        let Told { registry, component, generation } = told;
        let (places, partitions) = (Semaphore::new(PLACES as usize), Mutex::default());
        Self { registry, component, generation, group, places, subscription, partitions }
    }

    /// Whether what it does is not read yet: then it says nothing to others, who have heard it already.
    pub(super) fn is_building(&self) -> bool {
        let generations = &self.registry.engine().shared().capabilities.generations;
        generations.of(&self.component).building == Some(self.generation)
    }

    /// Until it is stopped.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let remembering = tokio::spawn(self.clone().remember());
        let mut pace = Pace::store();
        loop {
            let next = tokio::select! {
                next = self.subscription.next() => next,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match next {
                Ok(Next::Records(place, records)) => {
                    self.begin(place, records);
                    pace = Pace::store();
                }
                Ok(Next::Taken(places)) => self.lose(&places),
                Err(error) => {
                    if pace.is_first() {
                        tracing::warn!(component = self.component, %error, "it is told nothing for now");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pace.next()) => {}
                        _ = stop.wait_for(|stop| *stop) => break,
                    }
                }
            }
        }
        remembering.abort();
        self.close().await;
    }

    /// Lets end what has begun, remembers it, and gives the partitions back.
    async fn close(&self) {
        let all: Vec<Arc<Partition>> = self.partitions().values().cloned().collect();
        all.iter().for_each(|partition| partition.end());
        let drained = tokio::time::timeout(DRAIN, self.places.acquire_many(PLACES)).await;
        if drained.is_err() {
            tracing::warn!(
                component = self.component,
                "an event that it was told is not finished; it is told it again"
            );
        }
        let remembered = tokio::time::timeout(LAST, async {
            for partition in &all {
                self.remember_one(partition).await;
            }
        });
        if remembered.await.is_err() {
            tracing::warn!(
                component = self.component,
                "the log does not remember what was finished last; it comes again"
            );
        }
        self.subscription.close().await;
    }

    fn begin(self: &Arc<Self>, place: Place, records: Vec<Record>) {
        // Without it somebody else will begin where this one ends.
        let Some(trigger) = self.trigger(&place.topic, EventTrigger::clone) else { return };
        let new = || Arc::new(Partition::new(place.clone()));
        let partition = self.partitions().entry(place.clone()).or_insert_with(new).clone();
        let keys = partition.put(records, |record| trigger.takes(&record.event.kind) && self.is_meant(record));
        self.flow(&partition);
        for key in keys {
            tokio::spawn(self.clone().lane(partition.clone(), key));
        }
    }

    /// Tells the events of one key, one after the other, as long as there are any.
    async fn lane(self: Arc<Self>, partition: Arc<Partition>, key: String) {
        let batch = |trigger: &EventTrigger| trigger.batch as usize;
        while let Some(records) = partition.take(&key, self.trigger(&partition.place.topic, batch).unwrap_or(1)) {
            let delivery = Delivery { consumer: &self, partition: &partition };
            if delivery.deliver(records).await == delivery::End::Over {
                return;
            }
            // One key's events after another would not let anybody else on this thread.
            tokio::task::yield_now().await;
        }
    }

    /// Something that the deployed version of the component says of a topic; none when it does not want it any more.
    pub(super) fn trigger<T>(&self, topic: &str, look: impl FnOnce(&EventTrigger) -> T) -> Option<T> {
        let loaded = self.registry.component(&self.component)?;
        loaded.manifest.event.iter().find(|trigger| trigger.topic == topic).map(look)
    }

    /// An event is finished.
    pub(super) fn finish(&self, partition: &Partition, record: &Record) {
        partition.finish(record);
        self.flow(partition);
    }

    /// Whether an event is not one that is published again for another component.
    fn is_meant(&self, record: &Record) -> bool {
        let mut headers = record.event.headers.iter();
        headers.find(|(name, _)| name == REPLAY_FOR).is_none_or(|(_, component)| *component == self.component)
    }

    fn flow(&self, partition: &Partition) {
        // It may be this host's again, by another one that must not be stopped.
        if partition.is_over() {
            return;
        }
        match partition.turn() {
            Some(true) => self.subscription.pause(&partition.place),
            Some(false) => self.subscription.resume(&partition.place),
            None => {}
        }
    }

    fn lose(&self, places: &[Place]) {
        let mut partitions = self.partitions();
        for lost in places.iter().filter_map(|place| partitions.remove(place)) {
            lost.end();
        }
    }

    async fn remember(self: Arc<Self>) {
        let mut every = tokio::time::interval(REMEMBER);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let all: Vec<Arc<Partition>> = self.partitions().values().cloned().collect();
            for partition in all {
                self.remember_one(&partition).await;
            }
        }
    }

    async fn remember_one(&self, partition: &Partition) {
        let Some(offset) = partition.to_remember() else { return };
        crate::abort::here("offset");
        match self.subscription.finished(&partition.place, offset).await {
            Ok(true) => {
                crate::abort::here("remembered");
                partition.remember(offset);
            }
            // The subscription is about to say so.
            Ok(false) => {}
            Err(error) => tracing::debug!(component = self.component, %error, "what is finished is remembered later"),
        }
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<Place, Arc<Partition>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
