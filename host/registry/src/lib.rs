//! The registry: what is deployed, and which component answers which route.
//!
//! The route table is behind an `ArcSwap`: a request takes one snapshot and is served by exactly one version, and replacing
//! the table waits for no request. Writers are serialised by a lock that no request takes. Touches the engine and, in
//! `deploy`, the documents and a folder.

#![forbid(unsafe_code)]

mod conflict;
pub mod deploy;
mod draining;
mod failing;
mod files;
#[cfg(test)]
mod fuzz;
mod retired;
mod routes;
mod served;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use assets::Assets;
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use tokio::sync::watch;

pub use conflict::RouteConflict;
pub use draining::{DRAIN, Drain};
pub use failing::Failing;
pub use files::FoundFile;
pub use routes::{Found, Route, Routes};
pub use served::{Canary, Served};

use capability::pattern;
use capability::sockets::leases;
use deploy::LARGEST;
use draining::Draining;
use engine::{Engine, EngineError, Loaded};
use manifest::{Application, Bundle, BundleError, Manifest};
use retired::Retired;

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
    /// Another file of the folder has a component of the same name.
    #[error("{} is refused: {name} is in {} already; remove one of the two files", .file.display(), .first.display())]
    Twice {
        /// The component.
        name: String,
        /// The file whose component is served.
        first: PathBuf,
        /// The file that is refused.
        file: PathBuf,
    },
    /// A file of the folder has more bytes than a component may have.
    #[error("{} is refused: it has more than {} MiB, which no component may have", .0.display(), LARGEST >> 20)]
    TooLarge(PathBuf),
    /// There is nothing to serve.
    #[error("there is no component in {0}; build them with `cargo xtask build-components`")]
    Empty(PathBuf),
    /// There are components, and none of them can be served.
    #[error("no component can be served: {}", reasons(.0))]
    NoneServes(BTreeMap<String, String>),
    /// Some components can't be served, and this host serves all or nothing.
    #[error("not all components can be served: {}; mend or remove them, or start without --strict", reasons(.0))]
    Strict(BTreeMap<String, String>),
}

fn reasons(failing: &BTreeMap<String, String>) -> String {
    failing.values().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// What a folder of components has.
#[derive(Debug, Default)]
pub struct Folder {
    /// The components by name.
    pub bundles: BTreeMap<String, Arc<Bundle>>,
    /// The files that are not among them, by name, and why.
    pub refused: Vec<(String, DeployError)>,
}

/// What is deployed on this host.
pub struct Registry {
    engine: Arc<Engine>,
    deployed: Mutex<BTreeMap<String, Served>>,
    draining: Draining,
    failing: Failing,
    routes: ArcSwap<Routes>,
    retired: Retired,
    changed: watch::Sender<()>,
}

impl Registry {
    /// A registry with nothing deployed.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            deployed: Mutex::default(),
            draining: Draining::default(),
            failing: Failing::default(),
            routes: ArcSwap::default(),
            retired: Retired::default(),
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

    /// The file at a decoded path: of what serves or, where its name has a hash, of a version that was replaced. `caller` decides
    /// between a version and its canary, as for routes.
    pub fn file(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        self.routes.load().file(path, caller).or_else(|| self.retired.find(path))
    }

    /// The file that a component named for paths like this decoded one, which lead to no route and no file.
    pub fn fallback_file(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        self.routes.load().fallback(path, caller)
    }

    /// Adds the files of a version that was replaced before this host could keep them.
    pub(crate) fn add_retired(&self, component: &str, sha256: &str, assets: &Arc<Assets>) {
        self.retired.add_older(component, sha256, assets);
    }

    /// Drops the files of replaced versions for which `keep` is false, by component and hash.
    pub(crate) fn keep_retired(&self, keep: impl Fn(&str, &str) -> bool) {
        self.retired.retain(keep);
    }

    /// Whether this host has the files of a replaced version.
    pub(crate) fn has_retired(&self, component: &str, sha256: &str) -> bool {
        self.retired.has(component, sha256)
    }

    /// The bytes in memory of the files of replaced versions.
    pub fn retired_bytes(&self) -> usize {
        self.retired.held()
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

    /// The components that this host should serve and can't.
    pub fn failing(&self) -> &Failing {
        &self.failing
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
        let Folder { bundles, refused } = Self::read_folder(folder)?;
        if let Some((_, why)) = refused.into_iter().next() {
            return Err(why);
        }
        let bundles: Vec<_> = bundles.into_values().collect();
        if bundles.is_empty() {
            return Err(DeployError::Empty(folder.to_owned()));
        }
        let loaded = self.load_each(&bundles).into_iter().collect::<Result<Vec<_>, _>>()?;
        let count = loaded.len();
        self.swap(loaded)?;
        Ok(count)
    }

    /// Reads the components of a folder. Compiles none of them. Of two files with the same component the first by name counts.
    ///
    /// # Errors
    /// When the folder itself can't be read.
    pub fn read_folder(folder: &Path) -> Result<Folder, DeployError> {
        let read = |file: PathBuf| (read_component(&file), file);
        let all: Vec<_> = wasm_files(folder)?.into_par_iter().map(read).collect();
        let mut found = Folder::default();
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (bundle, file) in all {
            let known = bundle.and_then(|bundle| match files.entry(bundle.name().to_owned()) {
                Entry::Vacant(place) => {
                    place.insert(file.clone());
                    Ok(bundle)
                }
                Entry::Occupied(first) => {
                    let (name, first) = (first.key().clone(), first.get().clone());
                    Err(DeployError::Twice { name, first, file: file.clone() })
                }
            });
            match known {
                Ok(bundle) => _ = found.bundles.insert(bundle.name().to_owned(), Arc::new(bundle)),
                Err(why) => {
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    found.refused.push((name, why));
                }
            }
        }
        Ok(found)
    }

    /// Makes components ready to be called, one per core at a time, in their order. Deploys none of them.
    pub fn load_each(&self, bundles: &[Arc<Bundle>]) -> Vec<Result<Arc<Loaded>, DeployError>> {
        bundles.par_iter().map(|bundle| self.load(bundle)).collect()
    }

    /// Deploys one component: new requests go to it, and the version before finishes its running calls.
    pub fn deploy(&self, wasm: &[u8]) -> Result<Arc<Loaded>, DeployError> {
        let loaded = self.load(&Bundle::read("the component", wasm.to_vec())?)?;
        self.swap(vec![loaded.clone()])?;
        Ok(loaded)
    }

    /// Deploys these components and no others, but for those that want a route of one before them: they keep the version that
    /// they have, if that one fits, and are not served otherwise. Returns the conflicts.
    pub fn serve(&self, mut components: Vec<Served>) -> Vec<RouteConflict> {
        let mut deployed = self.deployed();
        let mut conflicts = Vec::new();
        loop {
            let conflict = match Routes::of(&components) {
                Ok(routes) => {
                    let by_name = |served: Served| (served.name().to_owned(), served);
                    self.replace(&mut deployed, components.into_iter().map(by_name).collect(), routes);
                    return conflicts;
                }
                Err(conflict) => conflict,
            };
            let place = components.iter().position(|served| served.name() == conflict.second);
            let refused = place.map(|place| components.remove(place));
            let before = deployed
                .get(&conflict.second)
                .filter(|before| refused.as_ref().is_some_and(|refused| !Arc::ptr_eq(&before.stable, &refused.stable)));
            components.extend(before.cloned());
            conflicts.push(conflict);
            if refused.is_none() {
                // It names a component that is not there; what is served stays.
                return conflicts;
            }
        }
    }

    /// Which of these components can be served beside those that are deployed and those before them, and why not the others.
    /// Deploys none of them.
    pub fn fitting(&self, mut components: Vec<Arc<Loaded>>) -> (Vec<Arc<Loaded>>, Vec<RouteConflict>) {
        let deployed = self.deployed().clone();
        let mut conflicts = Vec::new();
        loop {
            let others = deployed.values().filter(|served| {
                !components.iter().any(|component| component.manifest.component.name == served.name())
            });
            let candidates: Vec<Served> = components.iter().cloned().map(Served::whole).collect();
            let Err(conflict) = Routes::of(others.chain(&candidates)) else { return (components, conflicts) };
            let place = components.iter().position(|component| component.manifest.component.name == conflict.second);
            match place {
                Some(place) => _ = components.remove(place),
                // It names none of them: none is let in.
                None => conflicts.extend(components.drain(..).map(|component| RouteConflict {
                    second: component.manifest.component.name.clone(),
                    ..conflict.clone()
                })),
            }
            conflicts.push(conflict);
        }
    }

    /// Checks that a component's routes and socket events are not those of another deployed component. `is_current` tells which
    /// of those that this host serves are deployed. A version that it only keeps, because it can't load the one that replaced
    /// it, does not count.
    pub fn fits(&self, component: &Arc<Loaded>, is_current: impl Fn(&Served) -> bool) -> Result<(), RouteConflict> {
        let deployed = self.deployed().clone();
        let name = &component.manifest.component.name;
        let others = deployed.values().filter(|other| other.name() != name && is_current(other));
        // It comes last, so that the error names it as the second.
        Routes::of(others.chain([&Served::whole(component.clone())])).map(drop)
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
        let routes = Routes::of(next.values())?;
        self.replace(&mut deployed, next, routes);
        Ok(())
    }

    /// The only writer of the route table; `routes` are those of `next`.
    fn replace(&self, deployed: &mut BTreeMap<String, Served>, next: BTreeMap<String, Served>, routes: Routes) {
        let before = std::mem::replace(deployed, next);
        let has_version = |version: &Arc<Loaded>| {
            let served = deployed.get(&version.manifest.component.name);
            served.is_some_and(|served| served.versions().any(|other| Arc::ptr_eq(other, version)))
        };
        let out_of_service: Vec<&Arc<Loaded>> =
            before.values().flat_map(Served::versions).filter(|version| !has_version(version)).collect();
        // Before the table: a page that is open finds its scripts at every moment. Of what was removed nothing stays.
        for version in &out_of_service {
            if let (name, Some(assets)) = (&version.manifest.component.name, &version.assets)
                && deployed.contains_key(name)
            {
                self.retired.add(name, &version.sha256, assets);
            }
        }
        self.routes.store(Arc::new(routes));
        self.retired.retain(|name, sha256| deployed.get(name).is_some_and(|served| served.version(sha256).is_none()));
        out_of_service.into_iter().for_each(|version| self.draining.add(version));
        self.changed.send_replace(());
    }
}

fn read_component(file: &Path) -> Result<Bundle, DeployError> {
    let is_large = |about: std::fs::Metadata| about.is_file() && about.len() > LARGEST as u64;
    if std::fs::metadata(file).is_ok_and(is_large) {
        return Err(DeployError::TooLarge(file.to_owned()));
    }
    Ok(Bundle::read_file(file)?)
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

    /// Attack (54, 61): grants of slices of the host's own cache keys. Outcome: refused: patterns are compared by intersection.
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

    #[test]
    fn what_is_no_component_is_named_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let bundle = |name: &str| {
            let manifest = format!("[component]\nname = \"{name}\"\nversion = \"1\"\n");
            Manifest::bundle(b"\0asm\x0d\0\x01\0".to_vec(), &manifest).unwrap()
        };
        write("a.wasm", &bundle("a"));
        write("b.wasm", &bundle("b"));
        write("c.wasm", &bundle("a"));
        write("half.wasm", &bundle("half")[..12]);
        write("text.wasm", b"no component");
        write("bare.wasm", b"\0asm\x0d\0\x01\0");
        write("application.toml", b"");
        std::fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.wasm")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless.wasm")).unwrap();
        std::fs::File::create(folder.path().join("large.wasm")).unwrap().set_len(LARGEST as u64 + 1).unwrap();
        let Folder { bundles, refused } = Registry::read_folder(folder.path()).unwrap();
        assert_eq!(bundles.keys().collect::<Vec<_>>(), ["a", "b"]);
        let refused: BTreeMap<&str, String> =
            refused.iter().map(|(name, why)| (name.as_str(), why.to_string())).collect();
        for (name, why) in [
            ("bare.wasm", "there is no manifest in it"),
            ("c.wasm", "a is in "),
            ("endless.wasm", "it is no file"),
            ("folder.wasm", "it is no file"),
            ("gone.wasm", "can't read "),
            ("half.wasm", "half.wasm is refused"),
            ("large.wasm", "it has more than 64 MiB"),
            ("text.wasm", "not a WebAssembly component"),
        ] {
            let told = refused.get(name).unwrap_or_else(|| panic!("{name} is not refused: {refused:#?}"));
            assert!(told.contains(why) && told.contains(name), "{name}: {told}");
        }
        assert_eq!(refused.len(), 8);
        assert!(matches!(Registry::read_folder(Path::new("/nowhere")), Err(DeployError::Unreadable { .. })));
    }
}
