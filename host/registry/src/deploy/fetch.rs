//! Fetching versions that this host has not loaded: from the folder that it was started with, its local copy, the documents.
//!
//! Wherever it comes from, a version is a file with the hash that the rows name, and it is compiled once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::deploy::cluster::Cluster;
use crate::deploy::local_copy::LocalCopy;
use crate::deploy::{ChangeError, ComponentRow, Deployments, blocking};
use crate::{DeployError, Registry};
use engine::Loaded;
use manifest::Bundle;

/// A version that this host needs and has not loaded.
#[derive(Debug, Clone)]
pub(super) struct MissingVersion {
    /// The component's name.
    pub(super) name: String,
    pub(super) sha256: String,
}

/// The files on this machine. Blocking.
#[derive(Clone)]
struct Folders {
    registry: Arc<Registry>,
    local_copy: Option<LocalCopy>,
    seeds: BTreeMap<String, Arc<Bundle>>,
}

impl Folders {
    /// Loads a version; `None` when there is no file of it. Blocks.
    fn load(&self, missing: &MissingVersion) -> Option<Result<Arc<Loaded>, DeployError>> {
        let seed = self.seeds.get(&missing.name).filter(|seed| seed.sha256 == missing.sha256).cloned();
        let bundle = seed.or_else(|| self.local_copy.as_ref()?.bundle(&missing.sha256).map(Arc::new))?;
        Some(self.registry.load(&bundle))
    }
}

impl Deployments {
    pub(super) async fn load_each(
        &self,
        bundles: Vec<Arc<Bundle>>,
    ) -> Result<Vec<Result<Arc<Loaded>, DeployError>>, DeployError> {
        let registry = self.registry.clone();
        blocking(move || Ok(registry.load_each(&bundles))).await
    }

    /// Loads, on all cores, the versions that the rows name and that this host has not loaded.
    pub(super) async fn fetch_missing(
        &self,
        rows: &BTreeMap<String, ComponentRow>,
        ready: &BTreeMap<String, Arc<Loaded>>,
    ) -> Vec<(MissingVersion, Result<Arc<Loaded>, ChangeError>)> {
        let (mut missing, mut spares) = (Vec::new(), Vec::new());
        for row in rows.values().filter(|row| row.serving.is_some()) {
            let served = self.registry.served(&row.name);
            let is_loaded = |sha256: &str| {
                ready.contains_key(sha256) || served.as_ref().is_some_and(|served| served.version(sha256).is_some())
            };
            for sha256 in row.active_hashes().filter(|sha256| !is_loaded(sha256)) {
                let version = MissingVersion { name: row.name.clone(), sha256: sha256.to_owned() };
                match self.registry.spare(sha256) {
                    Some(spare) => spares.push((version, Ok(spare))),
                    None => missing.push(version),
                }
            }
        }
        if missing.is_empty() {
            return spares;
        }
        let (folders, versions) = (self.folders(), missing.clone());
        let found =
            blocking(move || Ok(versions.into_par_iter().map(|version| folders.load(&version)).collect::<Vec<_>>()));
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                let why = error.to_string();
                let failed = missing.into_iter().map(|version| (version, Err(DeployError::Host(why.clone()).into())));
                return spares.into_iter().chain(failed).collect();
            }
        };
        let fetched = missing.into_iter().zip(found).map(async |(version, found)| {
            let loaded = match found {
                Some(loaded) => loaded.map_err(ChangeError::from),
                None => self.fetch_from_documents(&version.sha256).await,
            };
            (version, loaded)
        });
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let fetched = futures_util::stream::iter(fetched).buffer_unordered(cores);
        futures_util::stream::iter(spares).chain(fetched).collect().await
    }

    /// Returns a version, loaded.
    pub(super) async fn fetch(&self, name: &str, sha256: &str) -> Result<Arc<Loaded>, ChangeError> {
        if let Some(served) = self.registry.served(name).and_then(|served| served.version(sha256).cloned()) {
            return Ok(served);
        }
        if let Some(spare) = self.registry.spare(sha256) {
            return Ok(spare);
        }
        let (folders, missing) = (self.folders(), MissingVersion { name: name.to_owned(), sha256: sha256.to_owned() });
        match blocking(move || folders.load(&missing).transpose()).await? {
            Some(loaded) => Ok(loaded),
            None => self.fetch_from_documents(sha256).await,
        }
    }

    async fn fetch_from_documents(&self, sha256: &str) -> Result<Arc<Loaded>, ChangeError> {
        let wasm = self.blobs.get(sha256).await?;
        let wasm =
            wasm.ok_or_else(|| ChangeError::Unknown(format!("the file of the version {sha256} is not there")))?;
        let (registry, local_copy) = (self.registry.clone(), self.local_copy.clone());
        Ok(blocking(move || {
            let bundle = Bundle::read("the component", wasm)?;
            if let Some(local_copy) = local_copy {
                local_copy.save_file(&bundle.sha256, &bundle.wasm);
            }
            registry.load(&bundle)
        })
        .await?)
    }

    /// Saves a component in the local copy. A failure is logged, and the host goes on.
    pub(super) async fn save_locally(&self, bundle: &Arc<Bundle>) -> Result<(), DeployError> {
        let Some(local_copy) = self.local_copy.clone() else { return Ok(()) };
        let bundle = bundle.clone();
        // It syncs the file: a disk that is busy would hold an async worker.
        blocking(move || {
            local_copy.save_file(&bundle.sha256, &bundle.wasm);
            Ok(())
        })
        .await
    }

    fn folders(&self) -> Folders {
        Folders { registry: self.registry.clone(), local_copy: self.local_copy.clone(), seeds: self.seeds().clone() }
    }

    /// Updates the local copy, with which this host starts without the documents, unless it is up to date. A deploy does not
    /// wait for it: a host that crashes before starts with what the documents have or, without them, with its older copy. What
    /// could not be read is tried again at the next poll.
    pub(super) async fn update_local_copy(&self) -> Result<(), DeployError> {
        let cluster = {
            let mut state = self.state.lock().await;
            if std::mem::replace(&mut state.copied, true) {
                return Ok(());
            }
            state.cluster.clone()
        };
        let copied = self.copy_locally(cluster).await;
        if !matches!(copied, Ok(true)) {
            self.state.lock().await.copied = false;
        }
        copied.map(drop)
    }

    /// False when a file could not be read.
    async fn copy_locally(&self, cluster: Arc<Cluster>) -> Result<bool, DeployError> {
        self.save_code().await?;
        let Some(local_copy) = self.local_copy.clone() else { return Ok(true) };
        let (copy, active) = (local_copy.clone(), cluster.clone());
        let missing = blocking(move || {
            let active = active.rows.values().flat_map(ComponentRow::active_hashes);
            Ok(active.filter(|sha256| !copy.has(sha256)).map(str::to_owned).collect::<Vec<_>>())
        });
        let mut complete = true;
        for sha256 in missing.await? {
            let Ok(Some(wasm)) = self.blobs.get(&sha256).await else {
                tracing::debug!(sha256, "a component could not be read for the local copy; it is tried again");
                complete = false;
                continue;
            };
            let copy = local_copy.clone();
            blocking(move || {
                copy.save_file(&sha256, &wasm);
                Ok(())
            })
            .await?;
        }
        let registry = self.registry.clone();
        blocking(move || {
            let rows = &cluster.rows;
            local_copy.save_rows(&rows.values().collect::<Vec<_>>());
            let known = rows.values().flat_map(|row| &row.versions).map(|version| version.sha256.as_str());
            registry.engine().forget_code(&known.collect());
            Ok(complete)
        })
        .await
    }
}
