//! The schedule trigger: runs components at the times of their schedules, each tick once in all hosts together.
//!
//! It follows the registry: each `[[schedule]]` of a deployed component has a task on every host, and a lease decides which
//! host runs a tick. It touches the registry, the engine and the documents.

mod lease;
mod row;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use row::COLLECTION;

use crate::backoff::Backoff;
use lease::Schedule;
use manifest::Cron;
use registry::Registry;

/// How often it is checked whether a tick is due.
const POLL: Duration = Duration::from_secs(1);

/// Runs the due ticks of the deployed components until it is stopped.
pub struct ScheduleTrigger {
    stopped: watch::Sender<bool>,
    following: JoinHandle<()>,
}

impl ScheduleTrigger {
    /// Starts with the deployed components, and follows every deploy. Needs a runtime.
    pub fn start(registry: Arc<Registry>) -> Self {
        let (stopped, stop) = watch::channel(false);
        Self { stopped, following: tokio::spawn(follow(registry, stop)) }
    }

    /// Lets the running parts finish; another host runs the rest.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        if self.following.await.is_err() {
            tracing::error!("the schedule trigger ended by a panic");
        }
    }
}

async fn follow(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut changes = registry.changes();
    let mut schedules: BTreeMap<(String, String), (watch::Sender<bool>, JoinHandle<()>)> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let mut desired: BTreeMap<(String, String), Cron> = BTreeMap::new();
        for loaded in registry.components() {
            let name = &loaded.manifest.component.name;
            let crons = loaded.manifest.schedule.iter().map(|trigger| trigger.cron.clone());
            desired.extend(crons.map(|cron| ((name.clone(), cron.as_str().to_owned()), cron)));
        }
        let over = schedules.extract_if(.., |key, _| !desired.contains_key(key));
        end(over.map(|(_, task)| task).collect()).await;
        for (key, cron) in desired {
            let component = key.0.clone();
            schedules.entry(key).or_insert_with(|| {
                let (sender, stop) = watch::channel(false);
                let schedule = Schedule { registry: registry.clone(), component, cron, stop };
                (sender, tokio::spawn(run(schedule)))
            });
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    end(schedules.into_values().collect()).await;
}

/// Stops all of them at once, and waits for them.
async fn end(schedules: Vec<(watch::Sender<bool>, JoinHandle<()>)>) {
    for (stop, _) in &schedules {
        stop.send_replace(true);
    }
    for (_, task) in schedules {
        if task.await.is_err() {
            tracing::error!("a schedule ended by a panic");
        }
    }
}

/// Runs one schedule until it is stopped.
async fn run(mut schedule: Schedule) {
    let mut backoff = Backoff::store();
    // The last tick that is known to be finished.
    let mut done = None;
    loop {
        let mut wait = POLL;
        if done.is_none_or(|done| schedule.is_due(done)) {
            match schedule.run_due().await {
                Ok(last) => (done, backoff) = (Some(last), Backoff::store()),
                Err(why) => {
                    if backoff.is_first() {
                        tracing::warn!(component = schedule.component, cron = schedule.cron.as_str(), %why, "a schedule waits for the store");
                    }
                    wait = backoff.next();
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = schedule.stop.wait_for(|stop| *stop) => return,
        }
    }
}
