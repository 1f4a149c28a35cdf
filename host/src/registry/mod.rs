//! The registry: what is deployed, and which component answers which route.
//!
//! The route table sits behind an `ArcSwap`: a request takes one snapshot and is served by exactly one version, and a
//! replacement waits for nobody. Writers are serialised by a lock that no request takes.

mod bundle;
mod draining;
mod manifest;
mod routes;
mod schedule;
mod served;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use tokio::sync::watch;

pub use bundle::Bundle;
pub use draining::{DRAIN, Drain};
pub use manifest::{
    About, BodyRule, EventTrigger, From, Grants, HttpTrigger, Manifest, ManifestError, Method, PresenceTrigger,
    SECTION, SessionRule, SessionUse, SocketTrigger,
};
pub use routes::{Found, Route, RouteConflict, Routes};
pub use schedule::{Cron, ScheduleTrigger};
pub use served::{Canary, Served};

use crate::application::Application;
use crate::engine::{Engine, EngineError, Loaded};
use draining::Draining;

/// Why a component is not deployed. What served before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The file can't be read.
    #[error("can't read {path}: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// Its manifest is refused.
    #[error("{name} is refused: {why}")]
    Manifest {
        /// The component, or its file while its name is not known.
        name: String,
        /// Why.
        why: ManifestError,
    },
    /// It asks for a collection, topic or secret that the application does not have.
    #[error("{name} is refused: its manifest names {what}, which application.toml does not have")]
    Unknown {
        /// The component.
        name: String,
        /// What it asks for.
        what: String,
    },
    /// The engine can't load it.
    #[error("{name} is refused: {why}")]
    Engine {
        /// The component.
        name: String,
        /// Why.
        why: EngineError,
    },
    /// An instance of it can't be made, under its limits and with every capability denied.
    #[error("{name} is refused: it can't be instantiated: {why}")]
    Instance {
        /// The component.
        name: String,
        /// Why.
        why: String,
    },
    /// The host failed.
    #[error("the host failed: {0}")]
    Host(String),
    /// Another component has the route already.
    #[error("{0}")]
    Conflict(#[from] RouteConflict),
    /// Two files of a folder have one name.
    #[error("{0} is twice in the folder of components: the same name is in the manifests of two files")]
    Twice(String),
    /// There is nothing to serve.
    #[error("there is no component in {0}; build them with `cargo xtask build-components`")]
    Empty(PathBuf),
}

/// What is deployed on this host.
pub struct Registry {
    engine: Arc<Engine>,
    deployed: Mutex<BTreeMap<String, Served>>,
    draining: Draining,
    routes: ArcSwap<Routes>,
    changed: watch::Sender<()>,
}

impl Registry {
    /// With nothing deployed.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            deployed: Mutex::default(),
            draining: Draining::default(),
            routes: ArcSwap::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// The engine that its components run on.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The route table of this moment.
    pub fn routes(&self) -> arc_swap::Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Tells each time that something else is deployed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The version of a component that serves.
    pub fn component(&self, name: &str) -> Option<Arc<Loaded>> {
        self.deployed().get(name).map(|served| served.stable.clone())
    }

    /// The versions of all components that serve, by name.
    pub fn components(&self) -> Vec<Arc<Loaded>> {
        self.deployed().values().map(|served| served.stable.clone()).collect()
    }

    /// A component with its canary.
    pub fn served(&self, name: &str) -> Option<Served> {
        self.deployed().get(name).cloned()
    }

    /// The versions that are out of service and not drained.
    pub fn draining(&self) -> Vec<Drain> {
        self.draining.all()
    }

    /// Cuts the calls of versions that have been out of service for so long; true when some have drained since the last time.
    pub fn cut(&self, time: Duration) -> bool {
        self.draining.cut(time)
    }

    fn deployed(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.deployed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deploys every `.wasm` of a folder, or none of them. Compiles what is not compiled yet, on all cores.
    pub fn deploy_folder(&self, folder: &Path) -> Result<usize, DeployError> {
        let bundles: Vec<_> = Self::bundles(folder)?.into_values().collect();
        if bundles.is_empty() {
            return Err(DeployError::Empty(folder.to_owned()));
        }
        let loaded = self.load_all(&bundles)?;
        let count = loaded.len();
        self.swap(loaded)?;
        Ok(count)
    }

    /// The components of a folder by name. None of them is compiled.
    pub fn bundles(folder: &Path) -> Result<BTreeMap<String, Arc<Bundle>>, DeployError> {
        let read = |file: PathBuf| Bundle::read_file(&file);
        let all = wasm_files(folder)?.into_par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut bundles = BTreeMap::new();
        for bundle in all {
            let name = bundle.name().to_owned();
            if bundles.insert(name.clone(), Arc::new(bundle)).is_some() {
                return Err(DeployError::Twice(name));
            }
        }
        Ok(bundles)
    }

    /// Makes components ready to be called, one a core at a time, in their order. None of them is deployed.
    pub fn load_all(&self, bundles: &[Arc<Bundle>]) -> Result<Vec<Arc<Loaded>>, DeployError> {
        bundles.par_iter().map(|bundle| self.load(bundle)).collect()
    }

    /// Deploys one component: from here on requests go to it, and the version before it finishes what it has.
    pub fn deploy(&self, wasm: &[u8]) -> Result<Arc<Loaded>, DeployError> {
        let loaded = self.load(&Bundle::read("the component", wasm.to_vec())?)?;
        self.swap(vec![loaded.clone()])?;
        Ok(loaded)
    }

    /// From here on exactly these components are deployed.
    pub fn serve(&self, components: Vec<Served>) -> Result<(), RouteConflict> {
        let named = |served: Served| (served.name().to_owned(), served);
        self.replace(&mut self.deployed(), components.into_iter().map(named).collect())
    }

    /// Whether a component could be deployed beside the others.
    pub fn fits(&self, component: &Arc<Loaded>) -> Result<(), RouteConflict> {
        let mut others = self.deployed().clone();
        others.remove(&component.manifest.component.name);
        // It comes last, so that it is the one that is told.
        Routes::of(others.values().chain([&Served::whole(component.clone())])).map(drop)
    }

    /// Makes a component ready to be called. It is not deployed.
    pub fn load(&self, bundle: &Bundle) -> Result<Arc<Loaded>, DeployError> {
        let name = || bundle.name().to_owned();
        check_names(&bundle.manifest, &self.engine.shared().application)
            .map_err(|what| DeployError::Unknown { name: name(), what })?;
        self.engine.load(bundle).map(Arc::new).map_err(|why| DeployError::Engine { name: name(), why })
    }

    fn swap(&self, loaded: Vec<Arc<Loaded>>) -> Result<(), DeployError> {
        let mut deployed = self.deployed();
        let mut next = deployed.clone();
        for component in loaded {
            next.insert(component.manifest.component.name.clone(), Served::whole(component));
        }
        Ok(self.replace(&mut deployed, next)?)
    }

    /// The only writer of the route table.
    fn replace(
        &self,
        deployed: &mut BTreeMap<String, Served>,
        next: BTreeMap<String, Served>,
    ) -> Result<(), RouteConflict> {
        let routes = Routes::of(next.values())?;
        let before = std::mem::replace(deployed, next);
        self.routes.store(Arc::new(routes));
        for version in before.values().flat_map(Served::versions) {
            let stays = |served: &Served| served.versions().any(|stays| Arc::ptr_eq(stays, version));
            if !deployed.get(&version.manifest.component.name).is_some_and(stays) {
                self.draining.add(version);
            }
        }
        self.changed.send_replace(());
        Ok(())
    }
}

fn wasm_files(folder: &Path) -> Result<Vec<PathBuf>, DeployError> {
    let unreadable = |why| DeployError::Unreadable { path: folder.to_owned(), why };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A grant of something that does not exist is a spelling mistake; it is found here and not in production.
fn check_names(manifest: &Manifest, application: &Application) -> Result<(), String> {
    let grants = &manifest.grants;
    if let Some(name) = grants.documents.collections().find(|name| !application.collections.contains_key(*name)) {
        return Err(format!("the collection {name:?}"));
    }
    if let Some(name) = grants.documents.collections().find(|name| **name == *application.session.collection) {
        return Err(format!("the collection {name:?} to a component (it is the host's own; see `sessions`)"));
    }
    let consumed = manifest.event.iter().map(|trigger| &trigger.topic);
    if let Some(name) = grants.events.iter().chain(consumed).find(|name| !application.topics.contains_key(*name)) {
        return Err(format!("the topic {name:?}"));
    }
    if let Some(name) = grants.signing.iter().find(|name| !application.secrets.contains_key(*name)) {
        return Err(format!("the secret {name:?}"));
    }
    let session_key = application.session.cache_key.replace("{hash}", "*");
    let sample = application.session.cache_key.replace("{hash}", "0");
    let reserved = |pattern: &&str| *pattern == session_key || crate::capability::cache::covers(pattern, &sample);
    if let Some(pattern) = grants.cache.patterns().find(reserved) {
        return Err(format!("the cache keys {pattern:?} to a component (the host's sessions are there)"));
    }
    Ok(())
}
