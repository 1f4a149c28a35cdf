//! Deploying: what the cluster runs, as documents that every host follows.
//!
//! The host that gets the request checks a component, writes its file and then commits the component's row. The head's revision
//! orders the commits: each requires the revision that it was decided on, so one of two concurrent changes fails. Every host
//! sees the new revision, loads the versions that it has not loaded, and swaps its route table. A crash before the commit
//! changes nothing; after it all hosts serve the new version, the crashed one when it starts. Touches the documents, the
//! registry and a folder.

mod blobs;
mod canary;
mod change;
mod cluster;
mod component_row;
mod fetch;
mod local_copy;
mod retired;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc};
use tokio::sync::Notify;

pub use blobs::LARGEST;
pub use canary::{CanaryRun, Rule, Tally};
pub use change::{DeployOptions, Share};
pub use component_row::{ComponentRow, RetiredVersion, Version};

use crate::{Canary, DRAIN, DeployError, Folder, Registry, Served};
use blobs::Blobs;
use canary::Tallies;
use capability::clocks::Clock;
use capability::deletion;
use capability::documents::{Collection, Commit, Documents, Error, Filter, Index, Query, Sort};
use capability::hosts::Peers;
use cluster::{Cluster, head_revision};
use engine::Loaded;
use fetch::MissingVersion;
use local_copy::LocalCopy;
use manifest::{Bundle, Difference};
use retired::WantedFiles;

/// The collection of the log of changes. It is the host's, not the application's.
const LOG: &str = "host-deploys";
/// The field with the time of a change.
const LOG_TIME: &str = "at";
/// Between two polls of the head's revision while there is something to follow: a canary, or what is not applied yet.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Between two polls when there is nothing: where other hosts tell of their changes, and where they don't.
const TOLD_INTERVAL: Duration = Duration::from_secs(10);
const UNTOLD_INTERVAL: Duration = POLL_INTERVAL;
/// How many seeds are deployed in one commit: a thousand would take longer than a commit may.
const SEEDS_PER_COMMIT: usize = 64;
/// How long a starting host waits for the documents before it starts with its local copy.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// The host's own collections that deploying uses.
pub fn collections() -> Vec<(String, Collection)> {
    let by_time = Index { fields: vec![LOG_TIME.to_owned()], unique: false, where_exists: Vec::new() };
    let log = Collection { indexes: vec![by_time], ..Collection::default() };
    let plain = [component_row::COLLECTION, canary::COLLECTION].map(|name| (name.to_owned(), Collection::default()));
    let indexed = [(LOG.to_owned(), log), (blobs::COLLECTION.to_owned(), blobs::collection())];
    plain.into_iter().chain(indexed).collect()
}

/// Why what is deployed is not changed. The version before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The component is refused.
    #[error(transparent)]
    Component(#[from] DeployError),
    /// It may see or do more than was accepted.
    #[error(
        "{name} asks for more than the version that serves; accept it with --accept-grants:\n{}",
        .difference.lines().join("\n")
    )]
    Grants {
        /// The component.
        name: String,
        /// What changes.
        difference: Difference,
    },
    /// It can't be a canary: a route has another session rule, and the rule is checked before a version is picked.
    #[error(
        "{name} can't be tried out on some: {route} has another session rule than in the version that serves; deploy it without --weight"
    )]
    SessionRuleChanged {
        /// The component.
        name: String,
        /// Method and path.
        route: String,
    },
    /// Another change of the same component was committed meanwhile.
    #[error("another change of {0} came first; look at `devconnect components`, and try again")]
    Conflict(String),
    /// There is no such component, or no such version of it.
    #[error("{0}")]
    Unknown(String),
    /// The documents failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a change did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// The component's row after the change.
    pub row: ComponentRow,
    /// The hash of the version that served before.
    pub before: Option<String>,
    /// False when the row was like this already.
    pub changed: bool,
    /// What changes in what the component may see or do: from the version that served before to the one that is deployed,
    /// promoted or returned to.
    pub difference: Difference,
}

/// Follows what is deployed in the cluster, and changes it.
pub struct Deployments {
    registry: Arc<Registry>,
    documents: Arc<dyn Documents>,
    blobs: Blobs,
    tallies: Tallies,
    local_copy: Option<LocalCopy>,
    clock: Arc<dyn Clock>,
    /// Notifies other hosts of a change; they poll all the same.
    peers: Option<Arc<dyn Peers>>,
    /// What this host has applied; locked while it catches up.
    state: tokio::sync::Mutex<LocalState>,
    /// Notified when this host has applied another revision, so that the local copy is updated.
    revision_applied: Notify,
    /// Until it is true, the registry is not written from here.
    started: AtomicBool,
    /// The components of the folder that are deployed unless they ever were, by name; empty once that is settled.
    seeds: Mutex<BTreeMap<String, Arc<Bundle>>>,
    /// Whether this host starts only when it can serve every component.
    strict: bool,
    /// The replaced versions whose files this host serves.
    wanted_files: WantedFiles,
    /// The canary runs that a rule can't end, by their ids: each is logged once.
    stuck: Mutex<BTreeSet<String>>,
}

/// The state that this host has applied.
struct LocalState {
    cluster: Arc<Cluster>,
    /// False when applying some of it is retried.
    settled: bool,
    /// Whether the local copy has this state.
    copied: bool,
}

impl Deployments {
    /// Follows these documents; `folder` is for the local copy, with which this host starts without them.
    pub fn new(
        registry: Arc<Registry>,
        documents: Arc<dyn Documents>,
        folder: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            registry,
            blobs: Blobs::new(documents.clone()),
            tallies: Tallies::new(documents.clone()),
            documents,
            local_copy: folder.map(LocalCopy::new),
            clock,
            peers: None,
            state: tokio::sync::Mutex::new(LocalState {
                cluster: Arc::new(Cluster::unknown()),
                settled: true,
                copied: true,
            }),
            revision_applied: Notify::new(),
            started: AtomicBool::new(false),
            seeds: Mutex::default(),
            strict: false,
            wanted_files: WantedFiles::default(),
            stuck: Mutex::default(),
        }
    }

    /// With peers that are notified of each change.
    #[must_use]
    pub fn with_peers(self, peers: Option<Arc<dyn Peers>>) -> Self {
        Self { peers, ..self }
    }

    /// For a host that refuses to start when there is a component that it can't serve.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Deploys the components of the folder `seeds` that were never deployed, and then serves what is deployed; returns how
    /// many components serve. What can't be served is logged, and is in [`Registry::failing`]. When the documents are not
    /// available it starts with its local copy or, without one, with the seeds, and catches up when they are.
    ///
    /// # Errors
    /// When no component serves; where the host is strict, also when one doesn't.
    pub async fn start(&self, seeds: &Path) -> Result<usize, DeployError> {
        let folder = seeds.to_owned();
        let Folder { bundles, refused } = blocking(move || Registry::read_folder(&folder)).await?;
        *self.seeds() = bundles;
        self.refuse(refused)?;
        self.started.store(true, Ordering::Relaxed);
        let why = match tokio::time::timeout(START_TIMEOUT, head_revision(self.documents.as_ref())).await {
            Ok(Ok(_)) => match self.catch_up().await {
                Ok(_) => None,
                Err(ChangeError::Component(error)) => return Err(error),
                Err(error) => Some(error.to_string()),
            },
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it has not answered for {START_TIMEOUT:?}")),
        };
        if let Some(why) = why {
            tracing::warn!(
                why,
                "the document store does not say what is deployed; this host starts with its local copy or its folder"
            );
            self.start_without_documents().await?;
        }
        let failing = self.registry.failing().all();
        match self.registry.components().len() {
            _ if self.strict && !failing.is_empty() => Err(DeployError::Strict(failing)),
            0 if failing.is_empty() => Err(DeployError::Empty(seeds.to_owned())),
            0 => Err(DeployError::NoneServes(failing)),
            count => Ok(count),
        }
    }

    /// Reports what of the folder of components can't be served.
    ///
    /// # Errors
    /// When the host is strict.
    fn refuse(&self, refused: Vec<(String, DeployError)>) -> Result<(), DeployError> {
        if refused.is_empty() {
            return Ok(());
        }
        for (name, why) in refused {
            let why = why.to_string();
            tracing::error!(component = name, why, "this component of the folder is not served");
            self.seeds().remove(&name);
            self.registry.failing().add_of_folder(name, why);
        }
        if self.strict { Err(DeployError::Strict(self.registry.failing().all())) } else { Ok(()) }
    }

    /// Loads seeds and returns those that can be served. The others are seeds no more.
    async fn load_seeds(&self, seeds: Vec<Arc<Bundle>>) -> Result<Vec<Arc<Loaded>>, DeployError> {
        let (mut loaded, mut refused) = (Vec::new(), Vec::new());
        let results = self.load_each(seeds.clone()).await?;
        for (seed, result) in seeds.iter().zip(results) {
            match result {
                Ok(version) => loaded.push(version),
                Err(why) => refused.push((seed.name().to_owned(), why)),
            }
        }
        let (fitting, conflicts) = self.registry.fitting(loaded);
        refused.extend(conflicts.into_iter().map(|conflict| (conflict.second.clone(), DeployError::from(conflict))));
        self.refuse(refused)?;
        Ok(fitting)
    }

    async fn start_without_documents(&self) -> Result<(), DeployError> {
        if let Some(rows) = self.local_copy.as_ref().and_then(LocalCopy::rows) {
            self.apply(&rows.into_iter().map(|row| (row.name.clone(), row)).collect(), BTreeMap::new()).await;
            return Ok(());
        }
        let seeds = self.seeds().values().cloned().collect();
        let fitting = self.load_seeds(seeds).await?;
        // They have no conflicts.
        self.registry.serve(fitting.into_iter().map(Served::whole).collect());
        Ok(())
    }

    /// Follows the cluster until the future is dropped. A host that was not started only cuts versions that do not drain.
    pub async fn follow(&self) {
        tokio::join!(self.follow_rows(), self.follow_retired());
    }

    async fn follow_rows(&self) {
        let mut notifications = self.peers.as_ref().map(|peers| peers.deploys());
        // When the head's revision is polled next, unless somebody tells of a change before.
        let mut next = Instant::now();
        loop {
            let notified = async {
                match &mut notifications {
                    Some(notifications) => notifications.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            // A lost notification is made up for by the next poll.
            let told = tokio::select! {
                open = notified => {
                    if !open {
                        notifications = None;
                    }
                    true
                }
                () = self.revision_applied.notified() => true,
                () = tokio::time::sleep(POLL_INTERVAL) => false,
            };
            if self.registry.cut(DRAIN) {
                trim_memory().await;
            }
            if !self.started.load(Ordering::Relaxed) || (!told && Instant::now() < next) {
                continue;
            }
            let followed = async {
                let cluster = self.catch_up().await?;
                if let Err(error) = self.update_local_copy().await {
                    tracing::warn!(%error, "the local copy is not updated");
                }
                self.judge(cluster.rows.values()).await;
                Ok::<bool, ChangeError>(cluster.rows.values().any(|row| row.canary.is_some()))
            };
            next = Instant::now();
            match followed.await {
                Ok(has_canary) => {
                    let settled = !has_canary && self.state.lock().await.settled;
                    let is_told = notifications.is_some() && self.peers.as_ref().is_some_and(|peers| peers.hears());
                    next += match (settled, is_told) {
                        (false, _) => Duration::ZERO,
                        (true, true) => TOLD_INTERVAL,
                        (true, false) => UNTOLD_INTERVAL,
                    };
                }
                Err(ChangeError::Component(error)) => {
                    tracing::error!(%error, "a component of the folder that was never deployed can't be deployed");
                    self.seeds().clear();
                }
                Err(error) => {
                    tracing::debug!(%error, "this host could not catch up with what is deployed, and tries again")
                }
            }
        }
    }

    /// The rows of all components that were ever deployed.
    pub async fn rows(&self) -> Result<Vec<ComponentRow>, ChangeError> {
        Ok(self.catch_up().await?.rows.values().cloned().collect())
    }

    /// How the calls of a canary ended, on all hosts.
    pub async fn tally_of(&self, row: &ComponentRow) -> Result<Option<Tally>, ChangeError> {
        match &row.canary {
            Some(run) => Ok(Some(self.tally(row, run).await?)),
            None => Ok(None),
        }
    }

    /// The log of changes, the newest first; at most `limit` entries.
    pub async fn log(&self, limit: u32) -> Result<Vec<RawDocumentBuf>, ChangeError> {
        let sort = Sort::from_document(&doc! { "_id": -1 })?;
        let query = Query { sort, limit, ..Query::all(LOG, Filter::from_document(&doc! {})?) };
        Ok(self.documents.find(query).await?)
    }

    /// Deletes the entries of the log of changes from before a time, in milliseconds since 1970; returns how many.
    pub async fn delete_old_log(&self, before: u64) -> Result<u64, Error> {
        deletion::delete_older(self.documents.as_ref(), LOG, LOG_TIME, before).await
    }

    /// Whether this is the first time that a canary run can't be ended.
    fn is_newly_stuck(&self, run: &CanaryRun) -> bool {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).insert(run.id.clone())
    }

    fn seeds(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Bundle>>> {
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies what is deployed in the cluster, and returns it.
    async fn catch_up(&self) -> Result<Arc<Cluster>, ChangeError> {
        self.catch_up_with(BTreeMap::new()).await
    }

    /// The same, with versions that are loaded already, by hash.
    async fn catch_up_with(&self, mut loaded: BTreeMap<String, Arc<Loaded>>) -> Result<Arc<Cluster>, ChangeError> {
        if !self.started.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("this host does not follow what is deployed".to_owned()).into());
        }
        let mut state = self.state.lock().await;
        let documents = self.documents.as_ref();
        let mut cluster = Cluster::read(documents, &state.cluster).await?;
        loop {
            // What is deployed is served before a seed is checked beside it.
            let changed = cluster.revision != state.cluster.revision;
            if changed || !state.settled {
                let settled = self.apply(&cluster.rows, std::mem::take(&mut loaded)).await;
                let copied = state.copied && !changed && !settled;
                *state = LocalState { cluster: cluster.clone(), settled, copied };
                if changed {
                    self.revision_applied.notify_one();
                }
            }
            if !self.deploy_seeds(&cluster, &mut loaded).await? {
                break;
            }
            cluster = Cluster::read(documents, &cluster).await?;
        }
        self.registry.failing().forget_of_folder(&cluster.rows);
        let seeds = std::mem::take(&mut *self.seeds());
        let had_seeds = !seeds.is_empty();
        for (name, seed) in seeds {
            let serving = cluster.rows.get(&name).and_then(|row| row.serving.as_ref());
            if serving.is_some_and(|serving| *serving != seed.sha256) {
                tracing::info!(component = name, "another version is deployed than the one in the folder");
            }
        }
        if had_seeds {
            trim_memory().await;
        }
        Ok(cluster)
    }

    /// Deploys some of the seeds that were never deployed, unless another change came first; false when there are none.
    async fn deploy_seeds(
        &self,
        cluster: &Cluster,
        ready: &mut BTreeMap<String, Arc<Loaded>>,
    ) -> Result<bool, ChangeError> {
        let unknown: Vec<Arc<Bundle>> = self
            .seeds()
            .iter()
            .filter(|(name, _)| !cluster.rows.contains_key(*name))
            .map(|(_, seed)| seed.clone())
            .take(SEEDS_PER_COMMIT)
            .collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let loaded = self.load_seeds(unknown.clone()).await?;
        if loaded.is_empty() {
            return Ok(true);
        }
        let mut writes = vec![component_row::raise_head(cluster.revision)?];
        let fits = |seed: &Arc<Bundle>| loaded.iter().any(|version| version.sha256 == seed.sha256);
        let fitting: Vec<Arc<Bundle>> = unknown.into_iter().filter(fits).collect();
        for seed in &fitting {
            let Bundle { manifest, sha256, wasm, .. } = &**seed;
            self.blobs.put(sha256, wasm, self.clock.now()).await?;
            writes.push(Blobs::mark_named(sha256)?);
            self.save_locally(seed).await?;
            let mut row = ComponentRow::new(&manifest.component.name);
            let version = manifest.component.version.clone();
            row.serve(Version { sha256: sha256.clone(), version, at: self.clock.now() });
            writes.push(row.write()?);
        }
        match self.documents.commit(Commit { writes, events: Vec::new() }).await {
            Ok(_) | Err(Error::Unmet(0)) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(loaded.into_iter().map(|loaded| (loaded.sha256.clone(), loaded)));
        Ok(true)
    }

    /// Serves these rows. A component whose version can't be loaded goes on serving the one that it has. True when nothing is
    /// retried.
    async fn apply(&self, rows: &BTreeMap<String, ComponentRow>, mut ready: BTreeMap<String, Arc<Loaded>>) -> bool {
        let failed_before = self.registry.failing();
        let mut failing = BTreeMap::new();
        let mut settled = true;
        for (MissingVersion { name, sha256 }, loaded) in self.fetch_missing(rows, &ready).await {
            match loaded {
                Ok(loaded) => _ = ready.insert(sha256, loaded),
                Err(error) => {
                    let why = error.to_string();
                    if failed_before.known(&name).as_ref() != Some(&why) {
                        tracing::error!(
                            component = name,
                            why,
                            "this host can't load what is deployed, and keeps what it has"
                        );
                    }
                    settled &= matches!(error, ChangeError::Component(_));
                    failing.insert(name, why);
                }
            }
        }
        let (mut next, mut kept) = (Vec::new(), Vec::new());
        for row in rows.values() {
            let Some(serving) = &row.serving else { continue };
            let served = self.registry.served(&row.name);
            let version = |sha256: &str| {
                ready.get(sha256).or_else(|| served.as_ref().and_then(|served| served.version(sha256))).cloned()
            };
            let Some(stable) = version(serving) else {
                kept.extend(served);
                continue;
            };
            let canary =
                row.canary.as_ref().and_then(|run| Some(Canary { version: version(&run.sha256)?, weight: run.weight }));
            next.push(Served { stable, canary });
        }
        // Of two that want one route, the one that serves already has it.
        next.sort_by_key(|served| self.registry.component(served.name()).is_none());
        // Seeds that were served while the documents were not available, and are not deployed yet.
        let seeds: Vec<String> = self.seeds().keys().filter(|name| !rows.contains_key(*name)).cloned().collect();
        next.extend(seeds.iter().filter_map(|name| self.registry.served(name)));
        // What is deployed has its routes, also where this host keeps a version that had them before.
        next.extend(kept);
        for conflict in self.registry.serve(next) {
            let (name, why) = (conflict.second.clone(), conflict.to_string());
            if failed_before.known(&name).as_ref() != Some(&why) {
                tracing::error!(component = name, why, "this host can't serve what is deployed, and keeps what it has");
            }
            failing.entry(name).or_insert(why);
        }
        self.registry.failing().set_deployed(failing);
        self.want_files(rows);
        settled
    }
}

/// Returns free memory of the allocator to the system: by itself the allocator keeps most of what versions and their files had
/// taken, in fragments.
async fn trim_memory() {
    let _ = tokio::task::spawn_blocking(native::allocator::trim).await;
}

/// Runs work that blocks, such as compiling and reading files, on a thread for blocking work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(DeployError::Host(error.to_string())),
    }
}
