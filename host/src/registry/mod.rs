//! The registry: what is deployed, and which component answers which route.
//!
//! The route table sits behind an `ArcSwap`: a request takes one snapshot and is served by exactly one version, and a
//! replacement waits for nobody. Writers are serialised by a lock that no request takes.

mod manifest;
mod routes;
mod schedule;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

pub use manifest::{
    About, BodyRule, EventTrigger, From, Grants, HttpTrigger, Manifest, ManifestError, Method, PresenceTrigger,
    SECTION, SessionRule, SessionUse, SocketTrigger,
};
pub use routes::{Found, Route, RouteConflict, Routes};
pub use schedule::{Cron, ScheduleTrigger};

use crate::application::Application;
use crate::engine::{Engine, EngineError, Loaded};

/// Why a component is not deployed. What served before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The file can't be read.
    #[error("can't read {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its manifest is refused.
    #[error("{name} is refused: {source}")]
    Manifest {
        /// The component, or its file while its name is not known.
        name: String,
        /// Why.
        source: ManifestError,
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
    #[error("{name} is refused: {source}")]
    Engine {
        /// The component.
        name: String,
        /// Why.
        source: EngineError,
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
    /// There is nothing to serve.
    #[error("there is no component in {0}; build them with `cargo xtask build-components`")]
    Empty(PathBuf),
}

/// What is deployed on this host.
pub struct Registry {
    engine: Arc<Engine>,
    deployed: Mutex<BTreeMap<String, Arc<Loaded>>>,
    routes: ArcSwap<Routes>,
    changed: watch::Sender<()>,
}

impl Registry {
    /// With nothing deployed.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, deployed: Mutex::default(), routes: ArcSwap::default(), changed: watch::Sender::new(()) }
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

    /// A deployed component.
    pub fn component(&self, name: &str) -> Option<Arc<Loaded>> {
        self.deployed.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All deployed components, by name.
    pub fn components(&self) -> Vec<Arc<Loaded>> {
        self.deployed.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Deploys every `.wasm` of a folder, or none of them. Compiles what is not compiled yet, on all cores.
    pub fn deploy_folder(&self, folder: &Path) -> Result<usize, DeployError> {
        let files = wasm_files(folder)?;
        if files.is_empty() {
            return Err(DeployError::Empty(folder.to_owned()));
        }
        let loaded = self.load_files(files)?;
        let count = loaded.len();
        self.swap(loaded)?;
        Ok(count)
    }

    /// The components of a folder by name: the hash and the file of each. None of them is compiled.
    pub fn seeds(folder: &Path) -> Result<BTreeMap<String, (String, PathBuf)>, DeployError> {
        let mut seeds = BTreeMap::new();
        for file in wasm_files(folder)? {
            let wasm = std::fs::read(&file).map_err(|source| DeployError::Unreadable { path: file.clone(), source })?;
            let shown = file.display().to_string();
            let manifest =
                Manifest::of_component(&wasm).map_err(|source| DeployError::Manifest { name: shown, source })?;
            seeds.insert(manifest.component.name, (hex::encode(Sha256::digest(&wasm)), file));
        }
        Ok(seeds)
    }

    /// Makes components ready to be called, on all cores, in the order of their files. None of them is deployed.
    pub fn load_files(&self, files: Vec<PathBuf>) -> Result<Vec<Arc<Loaded>>, DeployError> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| self.load_file(file))).collect();
            let loaded = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(DeployError::Host("loading a component panicked".to_owned())))
            });
            loaded.collect()
        })
    }

    /// Deploys one component: from here on requests go to it, and the version before it finishes what it has.
    pub fn deploy(&self, wasm: &[u8]) -> Result<Arc<Loaded>, DeployError> {
        let loaded = self.load("the component", wasm)?;
        self.swap(vec![loaded.clone()])?;
        Ok(loaded)
    }

    /// From here on exactly these components are deployed.
    pub fn serve(&self, components: Vec<Arc<Loaded>>) -> Result<(), RouteConflict> {
        let mut deployed = self.deployed.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |component: Arc<Loaded>| (component.manifest.component.name.clone(), component);
        self.replace(&mut deployed, components.into_iter().map(named).collect())
    }

    /// Whether a component could be deployed beside the others.
    pub fn fits(&self, component: &Arc<Loaded>) -> Result<(), RouteConflict> {
        let mut others = self.deployed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        others.remove(&component.manifest.component.name);
        // It comes last, so that it is the one that is told.
        Routes::of(others.values().chain([component])).map(drop)
    }

    fn load_file(&self, path: &Path) -> Result<Arc<Loaded>, DeployError> {
        let wasm = std::fs::read(path).map_err(|source| DeployError::Unreadable { path: path.to_owned(), source })?;
        self.load(&path.display().to_string(), &wasm)
    }

    /// Makes a component ready to be called. It is not deployed. `origin` names it where its manifest does not.
    pub fn load(&self, origin: &str, wasm: &[u8]) -> Result<Arc<Loaded>, DeployError> {
        let manifest =
            Manifest::of_component(wasm).map_err(|source| DeployError::Manifest { name: origin.to_owned(), source })?;
        let name = manifest.component.name.clone();
        check_names(&manifest, &self.engine.shared().application)
            .map_err(|what| DeployError::Unknown { name: name.clone(), what })?;
        self.engine.load(wasm, manifest).map(Arc::new).map_err(|source| DeployError::Engine { name, source })
    }

    fn swap(&self, loaded: Vec<Arc<Loaded>>) -> Result<(), DeployError> {
        let mut deployed = self.deployed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = deployed.clone();
        for component in loaded {
            next.insert(component.manifest.component.name.clone(), component);
        }
        Ok(self.replace(&mut deployed, next)?)
    }

    /// The only writer of the route table.
    fn replace(
        &self,
        deployed: &mut BTreeMap<String, Arc<Loaded>>,
        next: BTreeMap<String, Arc<Loaded>>,
    ) -> Result<(), RouteConflict> {
        let routes = Routes::of(next.values())?;
        *deployed = next;
        self.routes.store(Arc::new(routes));
        self.changed.send_replace(());
        Ok(())
    }
}

fn wasm_files(folder: &Path) -> Result<Vec<PathBuf>, DeployError> {
    let unreadable = |source| DeployError::Unreadable { path: folder.to_owned(), source };
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
