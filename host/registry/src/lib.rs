//! The registry: what is deployed, and which component answers which route.
//!
//! The route table is behind an `ArcSwap`: a request takes one snapshot and is served by exactly one version, and replacing
//! the table waits for no request. Writers are serialised by a lock that no request takes. Touches the engine and, in
//! `deploy`, the documents and a folder.

pub mod deploy;
mod draining;
mod routes;
mod served;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use tokio::sync::watch;

pub use draining::{DRAIN, Drain};
pub use routes::{Found, Route, RouteConflict, Routes};
pub use served::{Canary, Served};

use capability::pattern;
use capability::sockets::leases;
use draining::Draining;
use engine::{Engine, EngineError, Loaded};
use manifest::{Application, Bundle, BundleError, Manifest};

/// Why a component is not deployed. The version before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The file is not a component with its manifest inside.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The folder can't be read.
    #[error("can't read {path}: {why}")]
    Unreadable {
        /// Which folder.
        path: PathBuf,
        /// The system's error.
        why: std::io::Error,
    },
    /// It asks for a collection, topic or secret that the application does not have.
    #[error("{name} is refused: its manifest names {what}, which application.toml does not have")]
    Unknown {
        /// The component.
        name: String,
        /// What it asks for.
        what: String,
    },
    /// It asks for something that only the host has.
    #[error("{name} is refused: its manifest grants {what}; leave that to the host")]
    Reserved {
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
    /// Two files of a folder have a component of the same name.
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
    /// A registry with nothing deployed.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            deployed: Mutex::default(),
            draining: Draining::default(),
            routes: ArcSwap::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// The engine that runs the components.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The current route table.
    pub fn routes(&self) -> arc_swap::Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Notifies after each change of what is deployed.
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

    /// The versions that are out of service and not drained yet.
    pub fn draining(&self) -> Vec<Drain> {
        self.draining.all()
    }

    /// Cuts the calls of versions that are out of service for `time` or longer; true when some drained since the last call.
    pub fn cut(&self, time: Duration) -> bool {
        self.draining.cut(time)
    }

    fn deployed(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.deployed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deploys every `.wasm` of a folder, or none of them. Compiles on all cores what is not in the code cache.
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

    /// Reads the components of a folder, by name. Compiles none of them.
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

    /// Makes components ready to be called, one per core at a time, and returns them in their order. Deploys none of them.
    pub fn load_all(&self, bundles: &[Arc<Bundle>]) -> Result<Vec<Arc<Loaded>>, DeployError> {
        bundles.par_iter().map(|bundle| self.load(bundle)).collect()
    }

    /// Deploys one component: new requests go to it, and the version before finishes its running calls.
    pub fn deploy(&self, wasm: &[u8]) -> Result<Arc<Loaded>, DeployError> {
        let loaded = self.load(&Bundle::read("the component", wasm.to_vec())?)?;
        self.swap(vec![loaded.clone()])?;
        Ok(loaded)
    }

    /// Deploys exactly these components.
    pub fn serve(&self, components: Vec<Served>) -> Result<(), RouteConflict> {
        let by_name = |served: Served| (served.name().to_owned(), served);
        self.replace(&mut self.deployed(), components.into_iter().map(by_name).collect())
    }

    /// Checks that a component's routes and socket events are not those of another deployed component.
    pub fn fits(&self, component: &Arc<Loaded>) -> Result<(), RouteConflict> {
        let mut others = self.deployed().clone();
        others.remove(&component.manifest.component.name);
        // It comes last, so that the error names it as the second.
        Routes::of(others.values().chain([&Served::whole(component.clone())])).map(drop)
    }

    /// Makes a component ready to be called. Does not deploy it.
    pub fn load(&self, bundle: &Bundle) -> Result<Arc<Loaded>, DeployError> {
        let name = || bundle.name().to_owned();
        let application = &self.engine.shared().application;
        check_names(&bundle.manifest, application).map_err(|what| DeployError::Unknown { name: name(), what })?;
        check_reserved(&bundle.manifest, application).map_err(|what| DeployError::Reserved { name: name(), what })?;
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
            let has_version = |served: &Served| served.versions().any(|other| Arc::ptr_eq(other, version));
            if !deployed.get(&version.manifest.component.name).is_some_and(has_version) {
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

/// Checks that what a manifest names exists: a name that does not is most likely misspelt.
fn check_names(manifest: &Manifest, application: &Application) -> Result<(), String> {
    let grants = &manifest.grants;
    if let Some(name) = grants.documents.collections().find(|name| !application.collections.contains_key(*name)) {
        return Err(format!("the collection {name:?}"));
    }
    let consumed = manifest.event.iter().map(|trigger| &trigger.topic);
    if let Some(name) = grants.events.iter().chain(consumed).find(|name| !application.topics.contains_key(*name)) {
        return Err(format!("the topic {name:?}"));
    }
    if let Some(name) = grants.signing.iter().find(|name| !application.secrets.contains_key(*name)) {
        return Err(format!("the secret {name:?}"));
    }
    Ok(())
}

/// Checks that a manifest grants nothing that only the host has. Of a cache key it is enough that a granted pattern has one
/// name in common with the host's.
fn check_reserved(manifest: &Manifest, application: &Application) -> Result<(), String> {
    let grants = &manifest.grants;
    let session = &application.session;
    if let Some(name) = grants.documents.collections().find(|name| *name == session.collection) {
        return Err(format!(
            "the collection {name:?}, where sessions are (`sessions = [\"list\"]` is for reading them)"
        ));
    }
    let session_keys = session.cache_key.replace("{hash}", "*");
    if let Some(pattern) = grants.cache.patterns().find(|granted| pattern::intersect(granted, &session_keys)) {
        return Err(format!("the cache keys {pattern:?}, and sessions are under {session_keys:?}"));
    }
    let of_leases =
        |granted: &&str| pattern::reaches(granted, leases::KEY_PREFIX) || pattern::covers(granted, leases::INDEX_KEY);
    if let Some(pattern) = grants.cache.patterns().find(of_leases) {
        let (keys, index) = (leases::KEY_PREFIX, leases::INDEX_KEY);
        return Err(format!("the cache keys {pattern:?}, and who is present is under \"{keys}…\" and {index:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = "
[session]
cookie = 'c'
cookie-age = 1
token-age = 1
subject-claim = 'sub'
secret = 'S'
refusal = 'no'
collection = 'logins'
cache-key = 'session:{hash}'
cache-age = 1
[session.fields]
id = 'i'
subject = 's'
hash = 'h'
created = 'c'
expires = 'e'
revoked = 'r'
[collections.logins]
[collections.people]
[topics]
things = { partitions = 1 }
";

    fn manifest(lines: &str) -> Manifest {
        Manifest::parse(&format!("[component]\nname = 'a'\nversion = '1'\n{lines}\n")).unwrap()
    }

    #[test]
    fn no_part_of_what_is_the_hosts_can_be_granted() {
        let application = Application::parse(APPLICATION).unwrap();
        for key in ["session:*", "session:0*", "session:*f", "session:abc", "*:*", "s*:*", "*n:*", "session:a*b*"] {
            let refused = check_reserved(&manifest(&format!("[grants.cache]\n'{key}' = 'r'")), &application);
            assert!(refused.is_err_and(|what| what.contains(key) && what.contains("sessions are under")), "{key}");
        }
        for key in ["presence:*", "presence:1", "*:*:*", "p*:a:b", "presences", "*", "pres*s"] {
            let refused = check_reserved(&manifest(&format!("[grants.cache]\n'{key}' = 'stale'")), &application);
            assert!(refused.is_err_and(|what| what.contains(key) && what.contains("who is present")), "{key}");
        }
        for key in ["user:*", "user:*:last_seen", "sessions:*", "session:*:x", "presence", "recent:*:*", "a*"] {
            let manifest = manifest(&format!("[grants.cache]\n'{key}' = 'rw'"));
            assert_eq!(check_reserved(&manifest, &application), Ok(()), "{key}");
        }
        let refused = check_reserved(&manifest("[grants.documents]\nlogins = { access = 'r' }"), &application);
        assert!(refused.is_err_and(|what| what.contains("\"logins\"")));
    }

    #[test]
    fn a_name_is_one_of_the_applications_letter_for_letter() {
        let application = Application::parse(APPLICATION).unwrap();
        assert_eq!(check_names(&manifest("[grants]\nevents = ['things']"), &application), Ok(()));
        for (lines, what) in [
            ("[grants]\nevents = ['things.dlq']", "the topic \"things.dlq\""),
            ("[grants]\nevents = ['Things']", "the topic \"Things\""),
            ("[[event]]\ntopic = 'things.dlq'", "the topic \"things.dlq\""),
            ("[[event]]\ntopic = \"things\\u0000\"", "the topic \"things\\0\""),
            ("[[event]]\ntopic = '../things'", "the topic \"../things\""),
            ("[grants.documents]\nPeople = { access = 'r' }", "the collection \"People\""),
            ("[grants.documents]\n'' = { access = 'r' }", "the collection \"\""),
            ("[grants.documents]\nhost-blobs = { access = 'r' }", "the collection \"host-blobs\""),
            ("[grants.documents]\ninvalidations = { access = 'w' }", "the collection \"invalidations\""),
            ("[grants]\nsigning = ['S']", "the secret \"S\""),
        ] {
            assert_eq!(check_names(&manifest(lines), &application), Err(what.to_owned()), "{lines}");
        }
    }
}
