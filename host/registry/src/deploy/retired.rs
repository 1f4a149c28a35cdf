//! The files of replaced versions on this host. The versions that it replaces itself are kept from the moment of the switch; what
//! was replaced before it started is loaded behind it, from the local copy or the documents. Touches the registry, the
//! documents and this host's folder.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::deploy::component_row::{ComponentRow, RetiredVersion};
use crate::deploy::{Deployments, blocking};
use manifest::Bundle;

/// Between two looks whether the time of a version is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Between two tries to read files while the documents are away.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The replaced versions whose files a host serves.
#[derive(Default)]
pub(super) struct WantedFiles {
    versions: Mutex<Vec<Wanted>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Wanted {
    component: String,
    version: RetiredVersion,
    /// There is nothing to read, or it was read.
    settled: bool,
}

impl WantedFiles {
    fn all(&self) -> Vec<Wanted> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn settle(&self, component: &str, sha256: &str) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |wanted: &&mut Wanted| wanted.component == component && wanted.version.sha256 == sha256;
        if let Some(wanted) = versions.iter_mut().find(is_same) {
            wanted.settled = true;
        }
    }
}

impl Deployments {
    /// Serves the files of the replaced versions of these rows, and drops all others.
    pub(super) fn want_files(&self, rows: &BTreeMap<String, ComponentRow>) {
        let of_row = |row: &ComponentRow| {
            let versions = row.retired.clone().into_iter();
            let component = row.name.clone();
            versions.map(move |version| Wanted { component: component.clone(), version, settled: false })
        };
        let mut wanted: Vec<Wanted> = rows.values().filter(|row| row.serving.is_some()).flat_map(of_row).collect();
        // The last replaced first: where there is no room for all, those go on.
        wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.version.at));
        *self.wanted_files.versions.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        self.drop_files();
        self.wanted_files.changed.notify_one();
    }

    /// Drops the files of versions that nobody wants, or whose time is over.
    fn drop_files(&self) {
        let (wanted, now) = (self.wanted_files.all(), self.clock.now());
        self.registry.keep_retired(|component, sha256| {
            let is_same = |wanted: &&Wanted| wanted.component == component && wanted.version.sha256 == sha256;
            wanted.iter().find(is_same).is_some_and(|wanted| !wanted.version.is_over(now))
        });
    }

    /// Loads what this host has not kept, until the future is dropped. Nothing waits for it.
    pub(super) async fn follow_retired(&self) {
        loop {
            self.drop_files();
            let pause = if self.load_files().await { LOOK_INTERVAL } else { RETRY_INTERVAL };
            tokio::select! {
                () = self.wanted_files.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Loads the files of replaced versions that this host has not; false when some could not be read.
    async fn load_files(&self) -> bool {
        let (now, mut all_read) = (self.clock.now(), true);
        for Wanted { component, version, .. } in self.wanted_files.all().into_iter().filter(|wanted| !wanted.settled) {
            if version.is_over(now) || self.registry.has_retired(&component, &version.sha256) {
                continue;
            }
            match self.read_bundle(&version.sha256).await {
                Ok(bundle) => {
                    if let Some(assets) = bundle.and_then(|bundle| bundle.assets) {
                        self.registry.add_retired(&component, &version.sha256, &assets);
                    }
                    // What has no room now has none later: those that are newer have it.
                    self.wanted_files.settle(&component, &version.sha256);
                }
                Err(error) => {
                    tracing::debug!(component, error, "the files of a replaced version are read later");
                    all_read = false;
                }
            }
        }
        // It may have changed while it was read.
        self.drop_files();
        all_read
    }

    /// A known version, with its files; none when there is no such file any more.
    async fn read_bundle(&self, sha256: &str) -> Result<Option<Bundle>, String> {
        let (local_copy, hash) = (self.local_copy.clone(), sha256.to_owned());
        let local = blocking(move || Ok(local_copy.and_then(|copy| copy.bundle(&hash)))).await;
        if let Some(bundle) = local.map_err(|error| error.to_string())? {
            return Ok(Some(bundle));
        }
        let read = tokio::time::timeout(READ_TIMEOUT, self.blobs.get(sha256)).await;
        let read = read.map_err(|_| "the documents do not answer".to_owned())?;
        let Some(wasm) = read.map_err(|error| error.to_string())? else { return Ok(None) };
        let local_copy = self.local_copy.clone();
        let read = blocking(move || {
            let bundle = Bundle::read("the component", wasm)?;
            if let Some(local_copy) = local_copy {
                local_copy.save_file(&bundle.sha256, &bundle.wasm);
            }
            Ok(bundle)
        });
        // A host of before may have deployed what this one refuses; there is nothing to serve of it.
        Ok(read.await.inspect_err(|error| tracing::debug!(%error, "a replaced version can't be read")).ok())
    }
}
