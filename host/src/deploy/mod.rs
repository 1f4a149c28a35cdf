//! Deploying: what the cluster runs, as documents that every host follows.
//!
//! The host that is asked checks a component, writes its file and then, in one commit, what serves from now on. The head's
//! revision orders these commits: each demands the one it was decided on, so that of two at once one is told. Every host sees
//! the head move, that one too, loads what it lacks and swaps the route table. A crash before the commit changed nothing; after
//! it every host has the new version, the one that died when it starts. Touches the documents, the registry and a folder.

mod blobs;
mod change;
mod cluster;
mod fetch;
mod kept;
mod row;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::{RawDocumentBuf, doc};
use tokio::sync::Notify;

pub use blobs::LARGEST;
pub(crate) use blobs::{COLLECTION as BLOBS, collection as blobs};
pub use change::{How, Share};
pub(crate) use row::COLLECTION;
pub use row::{Row, Version};
pub(crate) use trial::COLLECTION as TRIALS;
pub use trial::{Rule, Tally, Trial};

use crate::capability::clocks::Clock;
use crate::capability::documents::{Commit, Documents, Error, Filter, Query, Sort};
use crate::capability::redis::Redis;
use crate::engine::Loaded;
use crate::registry::{Bundle, Canary, DRAIN, DeployError, Registry, Served};
use blobs::Blobs;
use cluster::{Cluster, head};
use fetch::Wanted;
use kept::Kept;
use trial::Tallies;

/// Where it is written down what was deployed when. A collection of the host, not of the application.
pub(crate) const LOG: &str = "host-deploys";
/// How often it is looked whether the head has moved.
const LOOK: Duration = Duration::from_millis(500);
/// How many seeds are deployed in one commit: a thousand would take longer than a commit may.
const AT_ONCE: usize = 64;
/// How long a host that starts waits for the documents before it starts with what it had.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why something is not deployed. What served before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The component itself.
    #[error(transparent)]
    Component(#[from] DeployError),
    /// It asks for what nobody accepted.
    #[error("{name} asks for more than the version that serves: {}; accept it with --accept-grants", .beyond.join(", "))]
    Grants {
        /// The component.
        name: String,
        /// Each thing that is new.
        beyond: Vec<String>,
    },
    /// Who is asked would depend on who answers.
    #[error(
        "{name} can't be tried out on some: {route} has another session rule than in the version that serves; deploy it without --weight"
    )]
    Untriable {
        /// The component.
        name: String,
        /// Method and path.
        route: String,
    },
    /// Somebody else changed the same component meanwhile.
    #[error("another change of {0} came first; look at `devconnect components`, and try again")]
    Conflict(String),
    /// There is no such component, or no such version of it.
    #[error("{0}")]
    Unknown(String),
    /// The documents.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What a change did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// What is deployed of the component now.
    pub row: Row,
    /// The hash of the version that served before.
    pub before: Option<String>,
    /// False when it served already.
    pub changed: bool,
}

/// Follows what the cluster has deployed, and changes it.
pub struct Deployments {
    registry: Arc<Registry>,
    documents: Arc<dyn Documents>,
    blobs: Blobs,
    tallies: Tallies,
    kept: Option<Kept>,
    clock: Arc<dyn Clock>,
    /// What hosts tell each other over that they have changed something; they look all the same.
    bell: Option<Arc<Redis>>,
    /// Who has the lock brings this host to where the cluster is.
    here: tokio::sync::Mutex<Here>,
    /// It was brought somewhere else, which is to be kept.
    moved: Notify,
    /// Before it is, the registry is somebody else's.
    started: AtomicBool,
    /// What is to be deployed where nobody has deployed it, by name; empty once that is known of each.
    seeds: Mutex<BTreeMap<String, Arc<Bundle>>>,
    /// Why this host does not serve what it should, by component.
    failing: Mutex<BTreeMap<String, String>>,
}

/// Where this host is.
struct Here {
    cluster: Arc<Cluster>,
    /// False when some of it is to be tried again.
    settled: bool,
    /// False when this host could not start with it yet.
    kept: bool,
}

impl Deployments {
    /// Of these documents; `folder` keeps what this host needs to start without them.
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
            kept: folder.map(Kept::new),
            clock,
            bell: None,
            here: tokio::sync::Mutex::new(Here { cluster: Arc::new(Cluster::unknown()), settled: true, kept: true }),
            moved: Notify::new(),
            started: AtomicBool::new(false),
            seeds: Mutex::default(),
            failing: Mutex::default(),
        }
    }

    /// With a way to tell other hosts at once.
    #[must_use]
    pub fn with_bell(self, bell: Option<Arc<Redis>>) -> Self {
        Self { bell, ..self }
    }

    /// Brings this host to where the cluster is, after what is in the folder `seeds` and nobody ever deployed is deployed;
    /// answers how many components serve. Where the documents are away it starts with what it had when it last ran, or else with
    /// the seeds, and the rest happens when they come.
    ///
    /// # Errors
    /// A seed that can't be deployed; nothing that serves.
    pub async fn start(&self, seeds: &Path) -> Result<usize, DeployError> {
        let folder = seeds.to_owned();
        *self.seeds() = blocking(move || Registry::bundles(&folder)).await?;
        self.started.store(true, Ordering::Relaxed);
        let why = match tokio::time::timeout(PATIENCE, head(self.documents.as_ref())).await {
            Ok(Ok(_)) => match self.catch_up().await {
                Ok(_) => None,
                Err(Refusal::Component(error)) => return Err(error),
                Err(error) => Some(error.to_string()),
            },
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it has not answered for {PATIENCE:?}")),
        };
        if let Some(why) = why {
            tracing::warn!(
                why,
                "the document store does not say what is deployed; this host starts with what it knows"
            );
            self.start_alone().await?;
        }
        match self.registry.components().len() {
            0 => Err(DeployError::Empty(seeds.to_owned())),
            count => Ok(count),
        }
    }

    async fn start_alone(&self) -> Result<(), DeployError> {
        if let Some(rows) = self.kept.as_ref().and_then(Kept::rows) {
            self.apply(&rows.into_iter().map(|row| (row.name.clone(), row)).collect(), BTreeMap::new()).await;
            return Ok(());
        }
        let seeds = self.seeds().values().cloned().collect();
        let loaded = self.load_all(seeds).await?;
        Ok(self.registry.serve(loaded.into_iter().map(Served::whole).collect())?)
    }

    /// Until it is dropped. A host that was not started only cuts what does not drain.
    pub async fn follow(&self) {
        let mut rung = self.bell.as_ref().map(|bell| bell.deploys());
        loop {
            let ringing = async {
                match &mut rung {
                    Some(rung) => rung.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            // What is not heard is seen.
            tokio::select! {
                heard = ringing => if !heard { rung = None },
                () = self.moved.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.registry.cut(DRAIN) {
                give_back().await;
            }
            if !self.started.load(Ordering::Relaxed) {
                continue;
            }
            let looked = async {
                let cluster = self.catch_up().await?;
                self.keep_here().await;
                self.judge(cluster.rows.values()).await
            };
            match looked.await {
                Ok(()) => {}
                Err(Refusal::Component(error)) => {
                    tracing::error!(%error, "what is in the folder of components and nobody deployed yet can't be deployed");
                    self.seeds().clear();
                }
                Err(error) => tracing::debug!(%error, "what is deployed is looked at later"),
            }
        }
    }

    /// All components that were ever deployed, as this host knows them.
    pub async fn rows(&self) -> Result<Vec<Row>, Refusal> {
        Ok(self.catch_up().await?.rows.values().cloned().collect())
    }

    /// Why this host does not serve a version that it should.
    pub fn why_failing(&self, component: &str) -> Option<String> {
        self.failing().get(component).cloned()
    }

    /// How the calls of a canary ended, on all hosts.
    pub async fn tally_of(&self, row: &Row) -> Result<Option<Tally>, Refusal> {
        match &row.canary {
            Some(trial) => Ok(Some(self.tally(row, trial).await?)),
            None => Ok(None),
        }
    }

    /// What was deployed, removed and gone back to, the newest first.
    pub async fn log(&self, most: u32) -> Result<Vec<RawDocumentBuf>, Refusal> {
        let sort = Sort::from_document(&doc! { "_id": -1 })?;
        let query = Query { sort, limit: most, ..Query::all(LOG, Filter::from_document(&doc! {})?) };
        Ok(self.documents.find(query).await?)
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seeds(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Bundle>>> {
        self.seeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings this host to where the cluster is; answers where that is.
    async fn catch_up(&self) -> Result<Arc<Cluster>, Refusal> {
        self.catch_up_with(BTreeMap::new()).await
    }

    /// The same, with components that are loaded already, by hash.
    async fn catch_up_with(&self, mut ready: BTreeMap<String, Arc<Loaded>>) -> Result<Arc<Cluster>, Refusal> {
        if !self.started.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("this host does not follow what is deployed".to_owned()).into());
        }
        let mut here = self.here.lock().await;
        let documents = self.documents.as_ref();
        let mut cluster = Cluster::look(documents, &here.cluster).await?;
        while self.plant(&cluster, &mut ready).await? {
            cluster = Cluster::look(documents, &cluster).await?;
        }
        let moved = cluster.revision != here.cluster.revision;
        if moved || !here.settled {
            let settled = self.apply(&cluster.rows, ready).await;
            let kept = here.kept && !moved && !settled;
            *here = Here { cluster: cluster.clone(), settled, kept };
            if moved {
                self.moved.notify_one();
            }
        }
        let seeds = std::mem::take(&mut *self.seeds());
        let planted = !seeds.is_empty();
        for (name, seed) in seeds {
            let serving = cluster.rows.get(&name).and_then(|row| row.serving.as_ref());
            if serving.is_some_and(|serving| *serving != seed.sha256) {
                tracing::info!(component = name, "another version is deployed than the one in the folder");
            }
        }
        if planted {
            give_back().await;
        }
        Ok(cluster)
    }

    /// Deploys some of the seeds that nobody ever deployed; true when there were some, or others came first.
    async fn plant(&self, cluster: &Cluster, ready: &mut BTreeMap<String, Arc<Loaded>>) -> Result<bool, Refusal> {
        let unknown: Vec<Arc<Bundle>> = self
            .seeds()
            .iter()
            .filter(|(name, _)| !cluster.rows.contains_key(*name))
            .map(|(_, seed)| seed.clone())
            .take(AT_ONCE)
            .collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let loaded = self.load_all(unknown.clone()).await.map_err(Refusal::Component)?;
        let mut writes = vec![row::raise(cluster.revision)?];
        for Bundle { manifest, sha256, wasm } in unknown.iter().map(AsRef::as_ref) {
            self.blobs.put(sha256, wasm, self.clock.now()).await?;
            writes.push(Blobs::name(sha256)?);
            if let Some(kept) = &self.kept {
                kept.keep_file(sha256, wasm);
            }
            let mut row = Row::new(&manifest.component.name);
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

    /// Serves these rows, as far as this host can: what it can't load stays as it is here. True when nothing is to be tried
    /// again.
    async fn apply(&self, rows: &BTreeMap<String, Row>, mut ready: BTreeMap<String, Arc<Loaded>>) -> bool {
        let known = self.failing().clone();
        let mut failing = BTreeMap::new();
        let mut settled = true;
        for (Wanted { name, sha256 }, loaded) in self.fetch_lacking(rows, &ready).await {
            match loaded {
                Ok(loaded) => _ = ready.insert(sha256, loaded),
                Err(error) => {
                    let why = error.to_string();
                    if known.get(&name) != Some(&why) {
                        tracing::error!(
                            component = name,
                            why,
                            "this host can't load what is deployed, and keeps what it has"
                        );
                    }
                    settled &= matches!(error, Refusal::Component(_));
                    failing.insert(name, why);
                }
            }
        }
        let mut next = Vec::new();
        for row in rows.values() {
            let Some(serving) = &row.serving else { continue };
            let here = self.registry.served(&row.name);
            let version = |sha256: &str| {
                ready.get(sha256).or_else(|| here.as_ref().and_then(|here| here.version(sha256))).cloned()
            };
            let Some(stable) = version(serving) else {
                next.extend(here);
                continue;
            };
            let canary = row
                .canary
                .as_ref()
                .and_then(|trial| Some(Canary { version: version(&trial.sha256)?, weight: trial.weight }));
            next.push(Served { stable, canary });
        }
        if let Err(conflict) = self.registry.serve(next) {
            let why = conflict.to_string();
            if known.get(&conflict.second) != Some(&why) {
                tracing::error!(why, "this host can't serve what is deployed, and keeps what it has");
            }
            failing.insert(conflict.second, why);
        }
        *self.failing() = failing;
        settled
    }
}

/// Has the allocator give back to the system what versions and their files had taken: by itself it keeps most of it, in pieces.
async fn give_back() {
    #[cfg(target_env = "gnu")]
    let _ = tokio::task::spawn_blocking(|| {
        // SAFETY: it takes a number and touches what is free, under the allocator's own locks.
        #[expect(unsafe_code, reason = "a function of the C library")]
        unsafe {
            libc::malloc_trim(0)
        }
    })
    .await;
}

/// Compiling takes long, and reading files may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(DeployError::Host(error.to_string())),
    }
}
