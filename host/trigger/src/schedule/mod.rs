//! The schedule trigger: runs components at the times of their schedules, each tick once in all hosts together.
//!
//! It follows the registry: each `[[schedule]]` of a deployed component has a task on every host, and a lease decides which
//! host runs a tick. It touches the registry, the engine and the documents.

mod lease;
mod row;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, doc};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use row::COLLECTION;

use crate::backoff::Backoff;
use capability::documents::{Commit, Documents, Error, Filter, Query, Write, date};
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

/// Deletes the rows of schedules that are not deployed any more and whose last tick was before a time, in milliseconds since
/// 1970; returns how many. Should such a schedule be deployed again, it begins anew.
///
/// # Errors
/// Those of the store.
pub async fn delete_unused(registry: &Registry, documents: &dyn Documents, before: u64) -> Result<u64, Error> {
    let (deployed, failing) = (registry.components(), registry.failing().names());
    let is_used = |id: &str| {
        let is =
            |component: &str, cron: &str| id.strip_prefix(component).and_then(|id| id.strip_prefix('/')) == Some(cron);
        let mut crons = deployed.iter().flat_map(|loaded| {
            loaded.manifest.schedule.iter().map(move |trigger| (&loaded.manifest.component.name, trigger.cron.as_str()))
        });
        // A component that can't be served now may be served again.
        crons.any(|(component, cron)| is(component, cron))
            || failing.iter().any(|name| id.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    let old = doc! { "last": { "$lt": date(before) } };
    let found = documents.find(Query::all(COLLECTION, Filter::from_document(&old)?)).await?;
    let ids = found.iter().filter_map(|row| row.get_str("_id").ok()).filter(|id| !is_used(id));
    let ids: Vec<Bson> = ids.map(Bson::from).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let filter = Filter::from_document(&doc! { "_id": { "$in": ids }, "last": { "$lt": date(before) } })?;
    let delete = Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false };
    let effects = documents.commit_in_background(Commit { writes: vec![delete], events: Vec::new() }).await?;
    Ok(effects.iter().map(|effect| effect.changed).sum())
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
