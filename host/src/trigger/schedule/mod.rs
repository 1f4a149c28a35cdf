//! The schedule trigger: components do what they have to do at certain times, once a tick in all hosts together.
//!
//! It follows the registry: each `[[schedule]]` of a deployed component is kept by a task here and by its like on every other
//! host, and a document says who has it. It touches the registry, the engine and the documents.

mod row;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use row::COLLECTION;

use crate::registry::{Cron, Registry};
use crate::trigger::event::Pace;
use turn::Schedule;

/// How often the time is looked at.
const BEAT: Duration = Duration::from_secs(1);

/// Has deployed components do what is due, until it is stopped.
pub struct ScheduleTrigger {
    stopped: watch::Sender<bool>,
    following: JoinHandle<()>,
}

impl ScheduleTrigger {
    /// Begins, with what is deployed and what will be. Needs a runtime.
    pub fn start(registry: Arc<Registry>) -> Self {
        let (stopped, stop) = watch::channel(false);
        Self { stopped, following: tokio::spawn(follow(registry, stop)) }
    }

    /// Lets end the parts that have begun; another host goes on with the rest.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        if self.following.await.is_err() {
            tracing::error!("the schedule trigger ended by a panic");
        }
    }
}

async fn follow(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut changes = registry.changes();
    let mut all: BTreeMap<(String, String), (watch::Sender<bool>, JoinHandle<()>)> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let mut wanted: BTreeMap<(String, String), Cron> = BTreeMap::new();
        for loaded in registry.components() {
            let name = &loaded.manifest.component.name;
            let crons = loaded.manifest.schedule.iter().map(|trigger| trigger.cron.clone());
            wanted.extend(crons.map(|cron| ((name.clone(), cron.as_str().to_owned()), cron)));
        }
        let over = all.extract_if(.., |key, _| !wanted.contains_key(key));
        end(over.map(|(_, task)| task).collect()).await;
        for (key, cron) in wanted {
            let component = key.0.clone();
            all.entry(key).or_insert_with(|| {
                let (sender, stop) = watch::channel(false);
                let schedule = Schedule { registry: registry.clone(), component, cron, stop };
                (sender, tokio::spawn(keep(schedule)))
            });
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    end(all.into_values().collect()).await;
}

/// All of them at once.
async fn end(all: Vec<(watch::Sender<bool>, JoinHandle<()>)>) {
    for (stop, _) in &all {
        stop.send_replace(true);
    }
    for (_, task) in all {
        if task.await.is_err() {
            tracing::error!("a schedule ended by a panic");
        }
    }
}

/// One schedule, until it is stopped.
async fn keep(mut schedule: Schedule) {
    let mut pace = Pace::store();
    // Up to when everything is known to be done.
    let mut done = None;
    loop {
        let mut wait = BEAT;
        if done.is_none_or(|done| schedule.is_due(done)) {
            match schedule.look().await {
                Ok(last) => (done, pace) = (Some(last), Pace::store()),
                Err(why) => {
                    if pace.is_first() {
                        tracing::warn!(component = schedule.component, cron = schedule.cron.as_str(), %why, "a schedule waits for the store");
                    }
                    wait = pace.next();
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = schedule.stop.wait_for(|stop| *stop) => return,
        }
    }
}
