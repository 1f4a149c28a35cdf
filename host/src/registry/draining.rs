//! Draining: versions that are out of service and may still have calls that run.
//!
//! A version is held by who serves it and by its calls and by nobody else; so it is drained, and its memory free, the moment
//! its last call ends. Here it is only known by name, and cut when that takes too long.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::engine::Loaded;

/// How long a version that was replaced may go on with what it has begun.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Versions that are out of service.
#[derive(Default)]
pub(super) struct Draining(Mutex<Vec<Leaving>>);

struct Leaving {
    version: Weak<Loaded>,
    since: Instant,
    cut: bool,
}

/// A version that is out of service and not drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Its component.
    pub component: String,
    /// Its hash.
    pub sha256: String,
    /// How many of its calls run.
    pub running: u64,
    /// For how long it has been out of service.
    pub since: Duration,
}

impl Draining {
    /// From now on a version is out of service.
    pub(super) fn add(&self, version: &Arc<Loaded>) {
        let leaving = Leaving { version: Arc::downgrade(version), since: Instant::now(), cut: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(leaving);
    }

    /// Those that are not drained.
    pub(super) fn all(&self) -> Vec<Drain> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drain = |leaving: &Leaving| {
            let version = leaving.version.upgrade()?;
            Some(Drain {
                component: version.manifest.component.name.clone(),
                sha256: version.sha256.clone(),
                running: version.counts.running(),
                since: leaving.since.elapsed(),
            })
        };
        all.iter().filter_map(drain).collect()
    }

    /// Cuts what has had its time; true when some have drained since it was called last.
    pub(super) fn cut(&self, time: Duration) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|leaving| leaving.version.strong_count() > 0);
        let drained = all.len() < before;
        for leaving in all.iter_mut().filter(|leaving| !leaving.cut && leaving.since.elapsed() >= time) {
            leaving.cut = true;
            if let Some(version) = leaving.version.upgrade() {
                let (component, running) = (&version.manifest.component.name, version.counts.running());
                tracing::warn!(component, version = version.version(), running, "calls of a replaced version are cut");
                version.cut();
            }
        }
        drained
    }
}
