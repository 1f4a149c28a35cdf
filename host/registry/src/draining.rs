//! Draining: versions that are out of service and may still have running calls.
//!
//! Only the registry and the running calls hold an `Arc` of a version, so it is drained, and its memory freed, when its last
//! call ends. This module has a `Weak` of it, and cuts its calls when draining takes too long. Touches no store.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use engine::Loaded;

/// How long the calls of a replaced version may go on.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Versions that are out of service.
#[derive(Default)]
pub(super) struct Draining(Mutex<Vec<DrainingVersion>>);

struct DrainingVersion {
    version: Weak<Loaded>,
    since: Instant,
    cut: bool,
}

/// A version that is out of service and not drained yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Its component.
    pub component: String,
    /// Its hash.
    pub sha256: String,
    /// How many of its calls are running.
    pub running: u64,
    /// For how long it has been out of service.
    pub since: Duration,
}

impl Draining {
    /// Adds a version that is out of service from now on.
    pub(super) fn add(&self, version: &Arc<Loaded>) {
        let draining = DrainingVersion { version: Arc::downgrade(version), since: Instant::now(), cut: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(draining);
    }

    /// The versions that are not drained yet.
    pub(super) fn all(&self) -> Vec<Drain> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drain = |draining: &DrainingVersion| {
            let version = draining.version.upgrade()?;
            Some(Drain {
                component: version.manifest.component.name.clone(),
                sha256: version.sha256.clone(),
                running: version.counts.running(),
                since: draining.since.elapsed(),
            })
        };
        all.iter().filter_map(drain).collect()
    }

    /// Cuts the calls of versions that are out of service for `time` or longer; true when some drained since the last call.
    pub(super) fn cut(&self, time: Duration) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|draining| draining.version.strong_count() > 0);
        let drained = all.len() < before;
        for draining in all.iter_mut().filter(|draining| !draining.cut && draining.since.elapsed() >= time) {
            draining.cut = true;
            if let Some(version) = draining.version.upgrade() {
                let (component, running) = (&version.manifest.component.name, version.counts.running());
                tracing::warn!(component, version = version.version(), running, "calls of a replaced version are cut");
                version.cut();
            }
        }
        drained
    }
}
