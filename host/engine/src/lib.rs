//! The engine: wasmtime. It compiles components, keeps them ready, and runs each call in a fresh instance.
//!
//! It enforces a call's limits and counts its outcome. It may touch wasmtime, the manifest and the capabilities behind the WIT
//! interfaces; it knows no trigger and no store.

#![forbid(unsafe_code)]

mod admission;
mod aot;
mod asset_memory;
pub mod bindings;
mod build;
mod compile;
mod host;
mod idle_pool;
mod invoke;
mod log_budget;
mod meter;
mod outcome;
mod state;
mod ticker;
mod wasi;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use assets::Assets;
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

pub use admission::{Admission, AdmissionOptions, Caller, Entered};
pub use aot::CodeCache;
pub use bindings::Unable;
pub use build::EngineOptions;
pub use compile::{COMMAND as COMPILE, Compiling, child as compile_as_child};
pub use invoke::{Answer, EventCall, HttpCall, Invocation, PresenceCall, SocketCall, SocketReply, TickCall};
pub use meter::{Exceeded, HostTime, Meter, Tick, Ticks};
pub use outcome::{Counts, End, Failure, Outcome, Said};
pub use state::{Call, CookieChange, Shared, State};

use asset_memory::{AssetMemory, AssetShare};
use manifest::{Bundle, Description, Limits, Manifest};
use native::export::Export;

/// Why an engine can't be built or a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the configuration.
    #[error("the engine can't be built: {0}")]
    Build(String),
    /// The component does not compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// A limit in its manifest is above the operator's.
    #[error("its limits.{name} is {requested}, and at most {most} is allowed here (limits.{name} in devconnect.toml)")]
    Ceiling {
        /// The name of the limit.
        name: &'static str,
        /// The manifest's value.
        requested: u32,
        /// The operator's value.
        most: u32,
    },
    /// Its files are more than this host has memory for.
    #[error(
        "its files have {} KiB in memory, and all files of this host at most {} MiB (engine.asset-mib in devconnect.toml)",
        .bytes.div_ceil(1024), .most >> 20
    )]
    Assets {
        /// The bytes of its files, in all forms.
        bytes: usize,
        /// The operator's value, in bytes.
        most: usize,
    },
    /// It imports an interface that this host does not have.
    #[error("it imports what this host does not have: {0}")]
    Imports(String),
    /// Its manifest has a trigger whose interface it does not export.
    #[error("its manifest has {trigger}, but it does not export {interface}")]
    NoHandler {
        /// As in the manifest.
        trigger: &'static str,
        /// What it would have to export.
        interface: &'static str,
    },
}

/// Compiles, loads and runs components.
pub struct Engine {
    wasm: wasmtime::Engine,
    linker: Linker<State>,
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    idle_pool: idle_pool::IdlePool,
    cache: Option<CodeCache>,
    compiling: Compiling,
    ceilings: Limits,
    asset_memory: AssetMemory,
    most_assets: usize,
    pooled: bool,
    totals: Mutex<BTreeMap<String, Arc<Counts>>>,
}

/// A component ready to be called.
pub struct Loaded {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// What it says of its routes.
    pub description: Arc<Description>,
    /// Its files.
    pub assets: Option<Arc<Assets>>,
    /// The hex SHA-256 of its file, which is its version for the host.
    pub sha256: String,
    /// Its calls since it was loaded.
    pub counts: Arc<Counts>,
    /// The calls of all versions of the component.
    total: Arc<Counts>,
    cut: CancellationToken,
    exports: Exports,
    /// Its name, as admission keeps it.
    name: Arc<str>,
    /// Frees the memory of its files.
    _asset_share: AssetShare,
}

impl Loaded {
    /// Its version: that of the manifest, and the first 12 digits of its file's hash.
    pub fn version(&self) -> String {
        let hash = self.sha256.get(..12).unwrap_or_default();
        format!("{} ({hash})", self.manifest.component.version)
    }

    /// Whether it opens sessions: its calls have a part of the host that no others take.
    pub fn opens_sessions(&self) -> bool {
        self.manifest.grants.sessions.contains(&capability::sessions::SessionUse::Open)
    }

    /// Cancels the running calls and every later one: each fails with [`Failure::Cut`].
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

/// The exports of a component that the triggers call.
pub struct Exports {
    instance: InstancePre<State>,
    http: Option<HttpExport>,
    socket: Option<invoke::SocketExport>,
    presence: Option<invoke::PresenceExport>,
    event: Option<invoke::EventExport>,
    schedule: Option<invoke::TickExport>,
}

/// The HTTP handler of a component.
enum HttpExport {
    /// `devconnect:platform/http-handler`.
    Platform(invoke::PlatformExport),
    /// `wasi:http/incoming-handler`.
    Wasi(ProxyPre<State>),
}

impl Engine {
    /// An engine with its ticker running. `cache` keeps compiled code between starts.
    pub fn new(
        options: &EngineOptions,
        shared: Arc<Shared>,
        cache: Option<CodeCache>,
        compiling: Compiling,
    ) -> Result<Self, EngineError> {
        let build = |error: wasmtime::Error| EngineError::Build(format!("{error:#}"));
        let (wasm, pooled) = build::build(options).map_err(build)?;
        let system = |error: std::io::Error| EngineError::Build(error.to_string());
        ticker::start(&wasm).map_err(system)?;
        let idle_pool = idle_pool::IdlePool::new(options.lanes).map_err(system)?;
        let mut linker = Linker::new(&wasm);
        bindings::Capabilities::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).map_err(build)?;
        host::lend_values(&mut linker).map_err(build)?;
        wasi::add_to_linker(&mut linker).map_err(build)?;
        let limits = AdmissionOptions { running: options.instances, ..options.admission };
        let admission = Arc::new(Admission::new(limits, shared.capabilities.refusals.clone()));
        let (ceilings, totals) = (options.ceilings, Mutex::default());
        let (asset_memory, most_assets) = (AssetMemory::default(), options.asset_bytes);
        Ok(Self {
            wasm,
            linker,
            shared,
            admission,
            idle_pool,
            cache,
            compiling,
            ceilings,
            asset_memory,
            most_assets,
            pooled,
            totals,
        })
    }

    /// Admits calls: a call enters there before it is invoked.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Whether instances come from the pool.
    pub fn pooled(&self) -> bool {
        self.pooled
    }

    /// The bytes in memory of the files of all loaded versions.
    pub fn asset_bytes(&self) -> usize {
        self.asset_memory.held()
    }

    /// The calls of each component by outcome, over all its versions since the host started.
    pub fn totals(&self) -> Vec<(String, Arc<Counts>)> {
        let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
    }

    fn total(&self, component: &str) -> Arc<Counts> {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.entry(component.to_owned()).or_default().clone()
    }

    /// The state that all calls share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Deletes the compiled code of all components but these, by their hashes.
    pub fn forget_code(&self, but: &BTreeSet<&str>) {
        if let Some(cache) = &self.cache {
            cache.delete_others(but);
        }
    }

    /// Compiles a component, or loads its compiled code from the cache, and makes it ready to be called.
    ///
    /// Compiling takes tens of milliseconds per 100 KB: call it off the request path.
    pub fn load(&self, bundle: &Bundle) -> Result<Loaded, EngineError> {
        let Bundle { manifest, description, assets, sha256, wasm } = bundle;
        if let Some((name, requested, most)) = manifest.limits.beyond(&self.ceilings) {
            return Err(EngineError::Ceiling { name, requested, most });
        }
        let bytes = assets.as_ref().map_or(0, |assets| assets.held());
        let most = self.most_assets;
        let asset_share = self.asset_memory.take(bytes, most).ok_or(EngineError::Assets { bytes, most })?;
        let component = match self.cache.as_ref().and_then(|cache| cache.load(&self.wasm, sha256)) {
            Some(component) => component,
            None => self.compile(wasm, sha256)?,
        };
        let exports = self.exports(&component, manifest)?;
        let total = self.total(&manifest.component.name);
        Ok(Loaded {
            manifest: manifest.clone(),
            description: description.clone(),
            assets: assets.clone(),
            sha256: sha256.clone(),
            counts: Arc::default(),
            total,
            cut: CancellationToken::new(),
            exports,
            name: manifest.component.name.as_str().into(),
            _asset_share: asset_share,
        })
    }

    fn compile(&self, wasm: &[u8], sha256: &str) -> Result<Component, EngineError> {
        let code = self.compiling.compile(&self.wasm, self.pooled, wasm)?;
        let component = code.load(&self.wasm).map_err(|error| EngineError::Compile(compile::short(&error)))?;
        if let Some(cache) = &self.cache {
            cache.store(&self.wasm, sha256, &code);
        }
        Ok(component)
    }

    /// Finds the exports that the manifest's triggers call.
    fn exports(&self, component: &Component, manifest: &Manifest) -> Result<Exports, EngineError> {
        let instance =
            self.linker.instantiate_pre(component).map_err(|error| EngineError::Imports(compile::short(&error)))?;
        let function = |interface: &str, name: &str| {
            let interface = component.get_export_index(None, interface)?;
            component.get_export_index(Some(&interface), name)
        };
        let wanted = |wanted: bool, trigger, interface, name| match (wanted, function(interface, name)) {
            (false, _) => Ok(None),
            (true, Some(found)) => Ok(Some(found)),
            (true, None) => Err(EngineError::NoHandler { trigger, interface }),
        };
        let http = match function(bindings::HTTP_HANDLER, "handle") {
            _ if manifest.http.is_empty() => None,
            Some(handle) => Some(HttpExport::Platform(Export::new(instance.clone(), handle))),
            None => {
                Some(ProxyPre::new(instance.clone()).map(HttpExport::Wasi).map_err(|_| EngineError::NoHandler {
                    trigger: "[[http]] routes",
                    interface: "devconnect:platform/http-handler@0.1.0 or wasi:http/incoming-handler@0.2",
                })?)
            }
        };
        let socket = wanted(!manifest.socket.is_empty(), "[[socket]] events", bindings::SOCKET_HANDLER, "handle")?;
        let presence = wanted(manifest.presence.is_some(), "[presence]", bindings::PRESENCE_HANDLER, "changed")?;
        let event = wanted(!manifest.event.is_empty(), "[[event]] topics", bindings::EVENT_HANDLER, "handle")?;
        let schedule = wanted(!manifest.schedule.is_empty(), "[[schedule]]", bindings::SCHEDULE_HANDLER, "handle")?;
        Ok(Exports {
            http,
            socket: socket.map(|handle| Export::new(instance.clone(), handle)),
            presence: presence.map(|changed| Export::new(instance.clone(), changed)),
            event: event.map(|handle| Export::new(instance.clone(), handle)),
            schedule: schedule.map(|handle| Export::new(instance.clone(), handle)),
            instance,
        })
    }
}
