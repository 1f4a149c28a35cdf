//! The event trigger: components are told what happened, each as a group of consumers of its own.
//!
//! It follows the registry: a component with `[[event]]` topics has a `consumer` here as long as it is deployed. It touches
//! the registry, the engine and the log; what a component does for an event is a unit of work that `delivery` commits.

mod consumer;
mod dead_letter;
mod delivery;
mod pace;
mod partition;
mod progress;
mod rebuild;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::capability::documents::Error;
use crate::capability::events::{EventLog, Start, Subscription, forget_consumed};
use crate::capability::generations::{Generation, group};
use crate::engine::Loaded;
use crate::registry::{From, Manifest, Registry};
use consumer::Consumer;
pub(super) use pace::Pace;
pub use rebuild::left;

/// How often it is looked for generations.
const LOOK: Duration = Duration::from_secs(1);
/// How often marks of events whose effect is long done are forgotten.
const FORGET: Duration = Duration::from_secs(3_600);

/// Tells the deployed components what happened, until it is stopped.
pub struct EventTrigger {
    stopped: watch::Sender<bool>,
    following: JoinHandle<()>,
    forgetting: JoinHandle<()>,
}

/// What a component wants to be told: where it differs, it is another subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    topics: Vec<String>,
    start: Start,
}

impl Wish {
    /// Of a generation of a component; none without `[[event]]`. What is rebuilt begins at the beginning.
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

/// Who is told: a generation of a component.
#[derive(Clone)]
struct Told {
    registry: Arc<Registry>,
    component: String,
    generation: u64,
}

impl Told {
    /// The name of its group of consumers, and in its marks.
    fn group(&self) -> String {
        group(&self.component, self.generation)
    }
}

/// A component that is being told.
struct Following {
    wish: Wish,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl EventTrigger {
    /// Begins, with what is deployed and what will be. Needs a runtime.
    pub fn start(registry: Arc<Registry>, log: Arc<dyn EventLog>) -> Self {
        let (stopped, stop) = watch::channel(false);
        let forgetting = tokio::spawn(forget(registry.clone()));
        let following = tokio::spawn(follow(registry, log, stop));
        Self { stopped, following, forgetting }
    }

    /// Lets end what has begun, remembers how far every component has come, and leaves the groups.
    pub async fn stop(self) {
        self.forgetting.abort();
        self.stopped.send_replace(true);
        if self.following.await.is_err() {
            tracing::error!("the event trigger ended by a panic");
        }
    }
}

async fn follow(registry: Arc<Registry>, log: Arc<dyn EventLog>, mut stop: watch::Receiver<bool>) {
    let mut changes = registry.changes();
    let mut all: BTreeMap<(String, u64), Following> = BTreeMap::new();
    let generations = registry.engine().shared().capabilities.generations.clone();
    let mut pace = Pace::store();
    // Before it is known which generation is read, nothing is told to a wrong one.
    while generations.look().await.is_err() {
        tokio::select! {
            () = tokio::time::sleep(pace.next()) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
    loop {
        changes.mark_unchanged();
        let deployed = registry.components();
        let mut wishes: BTreeMap<(String, u64), Wish> = BTreeMap::new();
        for manifest in deployed.iter().map(|loaded| &loaded.manifest) {
            let name = &manifest.component.name;
            let Generation { serving, building } = generations.of(name);
            let told = [Some(serving), building].into_iter().flatten();
            wishes.extend(told.filter_map(|told| Some(((name.clone(), told), Wish::of(manifest, told)?))));
        }
        let over = all.extract_if(.., |key, following| wishes.get(key) != Some(&following.wish));
        end(over.map(|(_, following)| following).collect()).await;
        for (key, wish) in wishes {
            let (component, generation) = key.clone();
            all.entry(key).or_insert_with(|| {
                let (sender, stop) = watch::channel(false);
                let told = Told { registry: registry.clone(), component, generation };
                let task = tokio::spawn(consume(told, log.clone(), wish.clone(), stop));
                Following { wish, stop: sender, task }
            });
        }
        let beat = tokio::select! {
            changed = changes.changed() => if changed.is_err() { break } else { false },
            () = tokio::time::sleep(LOOK) => true,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if beat {
            look(&registry, log.as_ref(), &deployed).await;
        }
    }
    end(all.into_values().collect()).await;
}

/// Looks for generations that other hosts have begun and switched, and switches to those that have come far enough.
async fn look(registry: &Registry, log: &dyn EventLog, deployed: &[Arc<Loaded>]) {
    let generations = &registry.engine().shared().capabilities.generations;
    let looked = async {
        generations.look().await?;
        for loaded in deployed {
            rebuild::switch(registry, log, loaded).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(why) = looked.await {
        tracing::debug!(%why, "it is looked for generations later");
    }
}

/// All of them at once.
async fn end(all: Vec<Following>) {
    for following in &all {
        following.stop.send_replace(true);
    }
    for following in all {
        if following.task.await.is_err() {
            tracing::error!("a consumer ended by a panic");
        }
    }
}

/// One generation of a component, from its subscription until it is stopped.
async fn consume(told: Told, log: Arc<dyn EventLog>, wish: Wish, mut stop: watch::Receiver<bool>) {
    let Some(subscription) = subscribe(log.as_ref(), &told.group(), &wish, &mut stop).await else { return };
    tracing::info!(component = told.group(), topics = ?wish.topics, "it is told what happens");
    Arc::new(Consumer::new(told, subscription)).run(stop).await;
}

/// None when it is stopped before the log answers.
async fn subscribe(
    log: &dyn EventLog,
    component: &str,
    wish: &Wish,
    stop: &mut watch::Receiver<bool>,
) -> Option<Box<dyn Subscription>> {
    let mut pace = Pace::store();
    loop {
        match log.subscribe(component, &wish.topics, wish.start).await {
            Ok(subscription) => return Some(subscription),
            Err(error) => {
                if pace.is_first() {
                    tracing::warn!(component, %error, "it is not told anything yet");
                }
                tokio::select! {
                    () = tokio::time::sleep(pace.next()) => {}
                    _ = stop.wait_for(|stop| *stop) => return None,
                }
            }
        }
    }
}

async fn forget(registry: Arc<Registry>) {
    loop {
        // First of all consumers go on where they were: after a long rest, what they are told again has old marks.
        tokio::time::sleep(FORGET).await;
        let capabilities = &registry.engine().shared().capabilities;
        let (documents, now) = (capabilities.documents.as_ref(), capabilities.clock.now());
        if let Err(why) = forget_consumed(documents, now).await {
            tracing::debug!(%why, "old marks of events are forgotten later");
        }
    }
}
