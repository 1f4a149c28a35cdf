//! Deploying: what the cluster runs, as documents that every host follows.
//!
//! The host that is asked checks a component, writes its file and then, in one commit, what serves from now on. The head's
//! revision orders these commits: each demands the one it was decided on, so that of two at once one is told. Every host sees
//! the head move, that one too, loads what it lacks and swaps the route table. A crash before the commit changed nothing; after
//! it every host has the new version, the one that died when it starts. Touches the documents, the registry and a folder.

mod blobs;
mod kept;
mod row;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};

pub(crate) use blobs::COLLECTION as BLOBS;
pub use blobs::LARGEST;
pub(crate) use row::COLLECTION;
pub use row::{Row, Version};

use crate::capability::clocks::Clock;
use crate::capability::documents::{Commit, Documents, Error, Filter, Query, Sort, Write, date};
use crate::engine::Loaded;
use crate::registry::{DeployError, Registry};
use blobs::Blobs;
use kept::Kept;

/// Where it is written down what was deployed when. A collection of the host, not of the application.
pub(crate) const LOG: &str = "host-deploys";
/// How often it is looked whether the head has moved.
const LOOK: Duration = Duration::from_millis(500);
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// What is deployed of the component now.
    pub row: Row,
    /// The hash of the version that served before.
    pub before: Option<String>,
    /// False when it served already.
    pub changed: bool,
}

/// All rows at one revision of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cluster {
    /// -1 before the first look.
    revision: i64,
    rows: BTreeMap<String, Row>,
}

impl Cluster {
    /// What is deployed of a component.
    fn row(&self, name: &str) -> Row {
        self.rows.get(name).cloned().unwrap_or_else(|| Row::new(name))
    }
}

/// A change of one row: what it becomes, and which versions are forgotten for it.
struct Plan {
    row: Row,
    forgotten: Vec<Version>,
}

/// Follows what the cluster has deployed, and changes it.
pub struct Deployments {
    registry: Arc<Registry>,
    documents: Arc<dyn Documents>,
    blobs: Blobs,
    kept: Option<Kept>,
    clock: Arc<dyn Clock>,
    /// Where this host is. Who has the lock brings it to where the cluster is.
    here: tokio::sync::Mutex<Cluster>,
    /// Before it is, the registry is somebody else's.
    started: AtomicBool,
    /// What is to be deployed where nobody has deployed it: by name, the hash and the file.
    seeds: Mutex<BTreeMap<String, (String, PathBuf)>>,
    /// Why this host does not serve what it should, by component.
    failing: Mutex<BTreeMap<String, String>>,
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
            documents,
            kept: folder.map(Kept::new),
            clock,
            here: tokio::sync::Mutex::new(Cluster { revision: -1, rows: BTreeMap::new() }),
            started: AtomicBool::new(false),
            seeds: Mutex::default(),
            failing: Mutex::default(),
        }
    }

    /// Brings this host to where the cluster is, after what is in the folder `seeds` and nobody ever deployed is deployed;
    /// answers how many components serve. Where the documents are away it starts with what it had when it last ran, or else with
    /// the seeds, and the rest happens when they come.
    ///
    /// # Errors
    /// A seed that can't be deployed; nothing that serves.
    pub async fn start(&self, seeds: &Path) -> Result<usize, DeployError> {
        let found = Registry::seeds(seeds)?;
        *self.seeds.lock().unwrap_or_else(PoisonError::into_inner) = found.clone();
        self.started.store(true, Ordering::Relaxed);
        let why = match tokio::time::timeout(PATIENCE, self.head()).await {
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
            self.start_alone(found).await?;
        }
        match self.registry.components().len() {
            0 => Err(DeployError::Empty(seeds.to_owned())),
            count => Ok(count),
        }
    }

    async fn start_alone(&self, seeds: BTreeMap<String, (String, PathBuf)>) -> Result<(), DeployError> {
        if let Some(rows) = self.kept.as_ref().and_then(Kept::rows) {
            self.apply(&rows.into_iter().map(|row| (row.name.clone(), row)).collect(), BTreeMap::new()).await;
            return Ok(());
        }
        let registry = self.registry.clone();
        let files = seeds.into_values().map(|(_, file)| file).collect();
        let loaded = blocking(move || registry.load_files(files)).await?;
        Ok(self.registry.serve(loaded)?)
    }

    /// Until it is dropped; nothing where it was not started.
    pub async fn follow(&self) {
        while self.started.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
            match self.catch_up().await {
                Ok(_) => {}
                Err(Refusal::Component(error)) => {
                    tracing::error!(%error, "what is in the folder of components and nobody deployed yet can't be deployed");
                    self.seeds.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                Err(error) => tracing::debug!(%error, "what is deployed is looked at later"),
            }
        }
    }

    /// All components that were ever deployed, as this host knows them.
    pub async fn rows(&self) -> Result<Vec<Row>, Refusal> {
        Ok(self.catch_up().await?.rows.into_values().collect())
    }

    /// Why this host does not serve a version that it should.
    pub fn failing(&self, component: &str) -> Option<String> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).get(component).cloned()
    }

    /// What was deployed, removed and gone back to, the newest first.
    pub async fn log(&self, most: u32) -> Result<Vec<RawDocumentBuf>, Refusal> {
        let sort = Sort::from_document(&doc! { "_id": -1 })?;
        let query = Query { sort, limit: most, ..Query::all(LOG, Filter::from_document(&doc! {})?) };
        Ok(self.documents.find(query).await?)
    }

    /// Deploys a component: when it answers, this host serves it, and the others are about to.
    pub async fn deploy(&self, wasm: Vec<u8>, accept_grants: bool) -> Result<Deployed, Refusal> {
        let registry = self.registry.clone();
        let (wasm, loaded) = blocking(move || {
            let loaded = registry.load("the component", &wasm)?;
            Ok::<_, DeployError>((wasm, loaded))
        })
        .await?;
        self.try_out(&loaded).await?;
        crate::abort::here("deploy-checked");
        let name = loaded.manifest.component.name.as_str();
        let version = Version {
            sha256: loaded.sha256.clone(),
            version: loaded.manifest.component.version.clone(),
            at: self.clock.now(),
        };
        let decide = |row: &Row| {
            self.registry.fits(&loaded).map_err(DeployError::from)?;
            let accepted = accept_grants || row.versions.iter().any(|known| known.sha256 == loaded.sha256);
            let running = self.registry.component(name).filter(|_| row.serving.is_some());
            let granted = running.map(|running| running.manifest.grants.clone()).unwrap_or_default();
            let beyond = loaded.manifest.grants.beyond(&granted);
            if !accepted && !beyond.is_empty() {
                return Err(Refusal::Grants { name: name.to_owned(), beyond });
            }
            let mut row = row.clone();
            let forgotten = row.serve(version.clone());
            Ok(Plan { row, forgotten })
        };
        // What is refused leaves nothing behind, and what is named is there.
        decide(&self.row(name).await?)?;
        self.blobs.put(&loaded.sha256, &wasm).await?;
        if let Some(kept) = &self.kept {
            kept.keep_file(&loaded.sha256, &wasm);
        }
        crate::abort::here("deploy-stored");
        self.change(name, "deploy", Some(&loaded), decide).await
    }

    /// Goes back to an earlier version: the one whose hash begins like `to`, or the one before.
    pub async fn roll_back(&self, name: &str, to: Option<&str>) -> Result<Deployed, Refusal> {
        let row = self.row(name).await?;
        let target = match to {
            Some(to) => row.versions.iter().find(|version| !to.is_empty() && version.sha256.starts_with(to)),
            None => row.before(),
        };
        let Some(target) = target.cloned() else {
            let known: Vec<&str> = row.versions.iter().filter_map(|version| version.sha256.get(..12)).collect();
            let why = format!("{name} has no such version to go back to; the last ones are {}", known.join(", "));
            return Err(Refusal::Unknown(why));
        };
        let loaded = self.fetch(&target.sha256).await?;
        let before = row.serving.clone();
        self.change(name, "rollback", Some(&loaded), |row| {
            self.registry.fits(&loaded).map_err(DeployError::from)?;
            if row.serving != before || !row.versions.contains(&target) {
                return Err(Refusal::Conflict(name.to_owned()));
            }
            Ok(Plan { row: Row { serving: Some(target.sha256.clone()), ..row.clone() }, forgotten: Vec::new() })
        })
        .await
    }

    /// Takes a component out of service. Its versions stay, to be gone back to.
    pub async fn remove(&self, name: &str) -> Result<Deployed, Refusal> {
        self.change(name, "remove", None, |row| {
            if row.serving.is_none() {
                return Err(unknown(name));
            }
            Ok(Plan { row: Row { serving: None, ..row.clone() }, forgotten: Vec::new() })
        })
        .await
    }

    async fn row(&self, name: &str) -> Result<Row, Refusal> {
        Ok(self.catch_up().await?.row(name))
    }

    /// Instantiates it once, with every capability denied.
    async fn try_out(&self, loaded: &Arc<Loaded>) -> Result<(), Refusal> {
        let tried = self.registry.engine().try_out(loaded).await;
        let name = loaded.manifest.component.name.clone();
        Ok(tried.map_err(|failure| DeployError::Instance { name, why: failure.to_string() })?)
    }

    /// Decides on a row as it is and commits it, again where other components changed meanwhile. Where this one did, whoever
    /// asked decided on something else.
    async fn change(
        &self,
        name: &str,
        what: &str,
        loaded: Option<&Arc<Loaded>>,
        decide: impl Fn(&Row) -> Result<Plan, Refusal>,
    ) -> Result<Deployed, Refusal> {
        let mut first: Option<Row> = None;
        loop {
            let cluster = self.catch_up().await?;
            let row = cluster.row(name);
            if first.get_or_insert_with(|| row.clone()) != &row {
                return Err(Refusal::Conflict(name.to_owned()));
            }
            let plan = decide(&row)?;
            let before = row.serving;
            if before == plan.row.serving {
                return Ok(Deployed { row: plan.row, before, changed: false });
            }
            let commit = self.commit(&plan, what, before.as_deref(), cluster.revision)?;
            match self.documents.commit(commit).await {
                Ok(_) => {
                    crate::abort::here("deploy-committed");
                    let ready = loaded.map(|loaded| (loaded.sha256.clone(), loaded.clone()));
                    self.catch_up_with(ready.into_iter().collect()).await?;
                    crate::abort::here("deploy-served");
                    return Ok(Deployed { row: plan.row, before, changed: true });
                }
                Err(Error::Unmet(0)) => {}
                Err(Error::Unmet(_)) => return Err(Refusal::Conflict(name.to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn commit(&self, plan: &Plan, what: &str, before: Option<&str>, revision: i64) -> Result<Commit, Error> {
        let said = doc! {
            "_id": ObjectId::new(), "at": date(self.clock.now()), "component": &plan.row.name, "what": what,
            "from": before, "to": plan.row.serving.clone(), "revision": revision + 1,
        };
        let document = RawDocumentBuf::try_from(&said).map_err(|error| Error::Invalid(error.to_string()))?;
        let mut writes = vec![row::raise(revision)?];
        // Somebody may have just forgotten it.
        if let Some(serving) = &plan.row.serving {
            writes.push(Blobs::demand(serving)?);
        }
        writes.push(plan.row.write()?);
        writes.push(Write::Insert { collection: LOG.to_owned(), document });
        for version in &plan.forgotten {
            writes.push(Blobs::forget(&version.sha256)?);
        }
        Ok(Commit { writes, events: Vec::new() })
    }

    /// Brings this host to where the cluster is; answers where that is.
    async fn catch_up(&self) -> Result<Cluster, Refusal> {
        self.catch_up_with(BTreeMap::new()).await
    }

    /// The same, with components that are loaded already, by hash.
    async fn catch_up_with(&self, mut ready: BTreeMap<String, Arc<Loaded>>) -> Result<Cluster, Refusal> {
        if !self.started.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("this host does not follow what is deployed".to_owned()).into());
        }
        let mut here = self.here.lock().await;
        let mut cluster = self.look(&here).await?;
        while self.plant(&cluster, &mut ready).await? {
            cluster = self.look(&cluster).await?;
        }
        if cluster.revision != here.revision {
            self.apply(&cluster.rows, ready).await;
            *here = cluster.clone();
        }
        Ok(cluster)
    }

    /// The cluster; what is known of it where the head has not moved.
    async fn look(&self, known: &Cluster) -> Result<Cluster, Error> {
        let mut revision = self.head().await?;
        if revision == known.revision {
            return Ok(known.clone());
        }
        loop {
            let rows = self.read_rows().await?;
            let now = self.head().await?;
            if now == revision {
                return Ok(Cluster { revision, rows });
            }
            revision = now;
        }
    }

    async fn head(&self) -> Result<i64, Error> {
        let query = Query { limit: 1, ..Query::all(COLLECTION, Filter::from_document(&doc! { "_id": row::HEAD })?) };
        if let Some(head) = self.documents.find(query).await?.first() {
            return head.get_i64("revision").map_err(|error| Error::Invalid(error.to_string()));
        }
        match self.documents.commit(Commit { writes: vec![row::head()?], events: Vec::new() }).await {
            Ok(_) | Err(Error::Duplicate { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn read_rows(&self) -> Result<BTreeMap<String, Row>, Error> {
        let mut rows = BTreeMap::new();
        let mut after = row::HEAD.to_owned();
        loop {
            let found =
                self.documents.find(Query::all(COLLECTION, Filter::from_document(&doc! { "_id": { "$gt": &after } })?));
            let found: Vec<Row> = found.await?.iter().filter_map(|document| Row::read(document)).collect();
            let Some(last) = found.last() else { return Ok(rows) };
            after.clone_from(&last.name);
            rows.extend(found.into_iter().map(|row| (row.name.clone(), row)));
        }
    }

    /// Deploys the seeds that nobody ever deployed; true when there were some, or others came first.
    async fn plant(&self, cluster: &Cluster, ready: &mut BTreeMap<String, Arc<Loaded>>) -> Result<bool, Refusal> {
        let seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut unknown = BTreeMap::new();
        for (name, (sha256, file)) in seeds {
            match cluster.rows.get(&name) {
                None => _ = unknown.insert(name, file),
                Some(row) if row.serving.as_ref().is_some_and(|serving| *serving != sha256) => {
                    tracing::info!(component = name, file = %file.display(), "another version is deployed than the one in the folder");
                }
                Some(_) => {}
            }
        }
        if unknown.is_empty() {
            self.seeds.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return Ok(false);
        }
        let registry = self.registry.clone();
        let files: Vec<PathBuf> = unknown.into_values().collect();
        let loaded = blocking({
            let files = files.clone();
            move || registry.load_files(files)
        })
        .await
        .map_err(Refusal::Component)?;
        let mut writes = vec![row::raise(cluster.revision)?];
        for (loaded, file) in loaded.iter().zip(&files) {
            let wasm = std::fs::read(file).map_err(|source| DeployError::Unreadable { path: file.clone(), source })?;
            self.blobs.put(&loaded.sha256, &wasm).await?;
            if let Some(kept) = &self.kept {
                kept.keep_file(&loaded.sha256, &wasm);
            }
            let mut row = Row::new(&loaded.manifest.component.name);
            let version = loaded.manifest.component.version.clone();
            row.serve(Version { sha256: loaded.sha256.clone(), version, at: self.clock.now() });
            writes.push(row.write()?);
        }
        match self.documents.commit(Commit { writes, events: Vec::new() }).await {
            Ok(_) | Err(Error::Unmet(0)) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(loaded.into_iter().map(|loaded| (loaded.sha256.clone(), loaded)));
        Ok(true)
    }

    /// Serves these rows, as far as this host can: what it can't load stays as it is here.
    async fn apply(&self, rows: &BTreeMap<String, Row>, mut ready: BTreeMap<String, Arc<Loaded>>) {
        let (mut next, mut failing) = (Vec::new(), BTreeMap::new());
        for row in rows.values() {
            let Some(serving) = &row.serving else { continue };
            let here = self.registry.component(&row.name);
            if here.as_ref().is_some_and(|here| here.sha256 == *serving) {
                next.extend(here);
                continue;
            }
            let loaded = match ready.remove(serving) {
                Some(loaded) => Ok(loaded),
                None => self.fetch(serving).await,
            };
            match loaded {
                Ok(loaded) => next.push(loaded),
                Err(error) => {
                    tracing::error!(component = row.name, %error, "this host can't load what is deployed, and keeps what it has");
                    failing.insert(row.name.clone(), error.to_string());
                    next.extend(here);
                }
            }
        }
        if let Err(conflict) = self.registry.serve(next) {
            tracing::error!(%conflict, "this host can't serve what is deployed, and keeps what it has");
            failing.insert(conflict.second.clone(), conflict.to_string());
        }
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
        self.keep(rows).await;
    }

    /// Keeps what this host needs to start without the documents.
    async fn keep(&self, rows: &BTreeMap<String, Row>) {
        let Some(kept) = &self.kept else { return };
        for serving in rows.values().filter_map(|row| row.serving.as_ref()).filter(|serving| !kept.has(serving)) {
            if let Ok(Some(wasm)) = self.blobs.get(serving).await {
                kept.keep_file(serving, &wasm);
            }
        }
        kept.keep_rows(&rows.values().collect::<Vec<_>>());
    }

    /// A version from this host's folder or from the documents, ready to be called.
    async fn fetch(&self, sha256: &str) -> Result<Arc<Loaded>, Refusal> {
        let wasm = match self.kept.as_ref().and_then(|kept| kept.file(sha256)) {
            Some(wasm) => wasm,
            None => {
                let wasm = self.blobs.get(sha256).await?;
                let wasm =
                    wasm.ok_or_else(|| Refusal::Unknown(format!("the file of the version {sha256} is not there")))?;
                if let Some(kept) = &self.kept {
                    kept.keep_file(sha256, &wasm);
                }
                wasm
            }
        };
        let registry = self.registry.clone();
        Ok(blocking(move || registry.load("the component", &wasm)).await?)
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::Unknown(format!("no component {name:?} is deployed"))
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
