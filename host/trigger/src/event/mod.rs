//! The event trigger: delivers events to components, each as a consumer group of its own.
//!
//! It follows the registry: a component with `[[event]]` topics has a `consumer` while it is deployed. It touches the
//! registry, the engine and the log; a component's effect of an event is a unit of work that `delivery` commits.

pub mod consumed;
mod consumer;
mod dead_letter;
mod delivery;
mod partition;
mod progress;
mod rebuild;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backoff::Backoff;
use capability::documents::Error;
use capability::events::{EventLog, Start, Subscription};
use capability::generations::{Generation, group};
use consumer::{Consumer, End};
use engine::Loaded;
use manifest::{From, Manifest};
pub use rebuild::left;
use registry::Registry;

/// After a subscription that lasted this long the next one is made at once.
const LASTING: Duration = Duration::from_secs(60);
/// How often the generations are polled while one is built.
const GENERATION_POLL: Duration = Duration::from_secs(1);
/// How often they are otherwise, for one that another host begins; this host's own is known at once.
const SELDOM: Duration = Duration::from_secs(5);

/// Delivers events to the deployed components until it is stopped.
pub struct EventTrigger {
    stopped: watch::Sender<bool>,
    following: JoinHandle<()>,
}

/// The subscription that a component's manifest asks for. When it changes, the component gets a new consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DesiredSubscription {
    topics: Vec<String>,
    start: Start,
}

impl DesiredSubscription {
    /// For a generation of a component; none without `[[event]]`. A rebuilt generation starts at the oldest event.
    fn of(manifest: &Manifest, generation: u64) -> Option<Self> {
        let start = match manifest.event.first()?.from {
            From::Latest if generation == 0 => Start::Latest,
            _ => Start::Earliest,
        };
        let mut topics: Vec<String> = manifest.event.iter().map(|trigger| trigger.topic.clone()).collect();
        topics.sort();
        Some(Self { topics, start })
    }
}

/// A consumer's registration: a generation of a component.
#[derive(Clone)]
struct Registration {
    registry: Arc<Registry>,
    component: String,
    generation: u64,
}

impl Registration {
    /// The name of its consumer group, and in its marks.
    fn group(&self) -> String {
        group(&self.component, self.generation)
    }
}

/// A running consumer.
struct RunningConsumer {
    desired: DesiredSubscription,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl EventTrigger {
    /// Starts with the deployed components, and follows every deploy. Needs a runtime.
    pub fn start(registry: Arc<Registry>, log: Arc<dyn EventLog>) -> Self {
        let (stopped, stop) = watch::channel(false);
        let following = tokio::spawn(follow(registry, log, stop));
        Self { stopped, following }
    }

    /// Lets running deliveries finish, commits the offsets of every component, and leaves the groups.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        if self.following.await.is_err() {
            tracing::error!("the event trigger ended by a panic");
        }
    }
}

async fn follow(registry: Arc<Registry>, log: Arc<dyn EventLog>, mut stop: watch::Receiver<bool>) {
    let mut changes = registry.changes();
    let mut consumers: BTreeMap<(String, u64), RunningConsumer> = BTreeMap::new();
    let generations = registry.engine().shared().capabilities.generations.clone();
    let mut backoff = Backoff::store();
    // No event is delivered before the served generations are known.
    while generations.look().await.is_err() {
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
    loop {
        changes.mark_unchanged();
        let deployed = registry.components();
        let mut desired: BTreeMap<(String, u64), DesiredSubscription> = BTreeMap::new();
        for manifest in deployed.iter().map(|loaded| &loaded.manifest) {
            let name = &manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            let active = [Some(serving), building].into_iter().flatten();
            desired.extend(active.filter_map(|generation| {
                Some(((name.clone(), generation), DesiredSubscription::of(manifest, generation)?))
            }));
        }
        let over = consumers.extract_if(.., |key, consumer| desired.get(key) != Some(&consumer.desired));
        end(over.map(|(_, consumer)| consumer).collect()).await;
        for (key, desired) in desired {
            let (component, generation) = key.clone();
            consumers.entry(key).or_insert_with(|| {
                let (sender, stop) = watch::channel(false);
                let registration = Registration { registry: registry.clone(), component, generation };
                let task = tokio::spawn(consume(registration, log.clone(), desired.clone(), stop));
                RunningConsumer { desired, stop: sender, task }
            });
        }
        let poll = tokio::select! {
            changed = changes.changed() => if changed.is_err() { break } else { false },
            () = generations.changed() => false,
            () = tokio::time::sleep(if generations.is_any_built() { GENERATION_POLL } else { SELDOM }) => true,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if poll {
            poll_generations(&registry, log.as_ref(), &deployed).await;
        }
    }
    end(consumers.into_values().collect()).await;
}

/// Reads the generations that other hosts have started and switched, and serves those that have caught up.
async fn poll_generations(registry: &Registry, log: &dyn EventLog, deployed: &[Arc<Loaded>]) {
    let generations = &registry.engine().shared().capabilities.generations;
    let polled = async {
        generations.look().await?;
        for loaded in deployed {
            rebuild::switch(registry, log, loaded).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(why) = polled.await {
        tracing::debug!(%why, "the generations can't be polled; polling again");
    }
}

/// Stops all of them at once, and waits for them.
async fn end(consumers: Vec<RunningConsumer>) {
    for consumer in &consumers {
        consumer.stop.send_replace(true);
    }
    for consumer in consumers {
        if consumer.task.await.is_err() {
            tracing::error!("a consumer ended by a panic");
        }
    }
}

/// Runs the consumer of one generation of a component until it is stopped; when its subscription ends by itself, with a new one.
async fn consume(
    registration: Registration,
    log: Arc<dyn EventLog>,
    desired: DesiredSubscription,
    mut stop: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::store();
    loop {
        let group = registration.group();
        let Some(subscription) = subscribe(log.as_ref(), &group, &desired, &mut stop).await else { return };
        tracing::info!(component = group, topics = ?desired.topics, "it is subscribed to events");
        let begun = Instant::now();
        if Arc::new(Consumer::new(registration.clone(), subscription)).run(stop.clone()).await == End::Stopped {
            return;
        }
        if begun.elapsed() > LASTING {
            backoff = Backoff::store();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Subscribes a group; none when it is stopped before the log answers.
async fn subscribe(
    log: &dyn EventLog,
    group: &str,
    desired: &DesiredSubscription,
    stop: &mut watch::Receiver<bool>,
) -> Option<Box<dyn Subscription>> {
    let mut backoff = Backoff::store();
    loop {
        match log.subscribe(group, &desired.topics, desired.start).await {
            Ok(subscription) => return Some(subscription),
            Err(error) => {
                if backoff.is_first() {
                    tracing::warn!(component = group, %error, "it can't subscribe to events; trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next()) => {}
                    _ = stop.wait_for(|stop| *stop) => return None,
                }
            }
        }
    }
}
