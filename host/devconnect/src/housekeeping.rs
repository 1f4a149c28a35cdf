//! Housekeeping: deletes what is older than it is kept, again and again. Everything that grows by itself is named here: what it
//! is, for how long it is kept, and who deletes it. Any number of hosts may do it at once.

use std::sync::Arc;
use std::time::Duration;

use capability::deletion::{delete_below, delete_older};
use capability::documents::Documents;
use capability::events::{EventLog, SETTLED_LETTERS};
use capability::retention::{Retention, before};
use capability::{invalidations, mail};
use registry::Registry;
use registry::deploy::Deployments;
use trigger::event::consumed::delete_old_marks;
use trigger::schedule;

/// How often. The first time is after as long a pause: consumers have joined their groups by then.
const PAUSE: Duration = Duration::from_secs(900);

/// What keeps the stores from growing for ever.
pub(crate) struct Housekeeping {
    pub(crate) registry: Arc<Registry>,
    pub(crate) deployments: Arc<Deployments>,
    /// Without the checks on components' queries.
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) events: Arc<dyn EventLog>,
    pub(crate) retention: Retention,
}

impl Housekeeping {
    /// Runs until it is aborted.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            self.clean_up().await;
        }
    }

    /// Deletes everything that is too old now. What can't be deleted is deleted the next time.
    pub(crate) async fn clean_up(&self) {
        let (documents, retention) = (self.documents.as_ref(), &self.retention);
        let shared = self.registry.engine().shared();
        let now = shared.capabilities.clock.now();
        let old = |kept| before(now, kept);
        self.count("events", self.events.delete_old(now, retention).await);
        self.count("marks", delete_old_marks(documents, old(retention.marks())).await);
        let settled = delete_older(documents, SETTLED_LETTERS, "at", old(retention.settled_letters()));
        self.count("settled dead letters", settled.await);
        self.count("sessions", shared.capabilities.sessions.delete_expired().await);
        self.count("deploys", self.deployments.delete_old_log(old(retention.deploys)).await);
        let mails = delete_older(documents, mail::COLLECTION, mail::FAILED, old(retention.mails));
        self.count("mails", mails.await);
        // Those of a cache that this network has no more: nobody applies them.
        let invalidations = delete_older(documents, invalidations::COLLECTION, "at", old(retention.unused));
        self.count("invalidations", invalidations.await);
        let schedules = schedule::delete_unused(&self.registry, documents, old(retention.unused));
        self.count("schedules", schedules.await);
        for (collection, expiry) in shared.application.expiring() {
            let bound = expiry.bound(now);
            let expired = delete_below(documents, &collection, &expiry.field, &bound);
            self.count(&collection, expired.await);
        }
    }

    fn count(&self, what: &str, outcome: Result<u64, impl std::fmt::Display>) {
        match outcome {
            Ok(many) => {
                self.registry.engine().shared().capabilities.deleted.count(what, many);
                if many > 0 {
                    tracing::info!(what, many, "deleted, because it was older than it is kept");
                }
            }
            Err(why) => tracing::debug!(what, %why, "it is deleted later"),
        }
    }
}
