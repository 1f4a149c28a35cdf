//! The state of one call: the data of its wasmtime store, and the access to every capability.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log_budget::LogBudgets;
use crate::wasi::Wasi;
use crate::{HostTime, Meter};
use capability::Capabilities;
use capability::cache::Reads;
use capability::documents::HeldKeyLock;
use capability::generations::slot;
use capability::sessions::Identity;
use capability::unit_of_work::UnitOfWork;
use manifest::Application;
use manifest::{Grants, Manifest};

/// What all calls on this host share.
pub struct Shared {
    /// The capabilities.
    pub capabilities: Capabilities,
    /// `application.toml`.
    pub application: Application,
    pub(super) log_budgets: LogBudgets,
}

impl Shared {
    /// With these capabilities, for this application.
    pub fn new(capabilities: Capabilities, application: Application) -> Self {
        Self { capabilities, application, log_budgets: LogBudgets::default() }
    }
}

/// A call, without its payload.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, in the log, the response and incidents.
    pub id: Arc<str>,
    /// The caller's identity, where the trigger checks sessions and there is one.
    pub identity: Option<Identity>,
    /// The calling socket, where the call is a socket's.
    pub socket: Option<String>,
}

impl Call {
    /// A new random id.
    pub fn new_id() -> Arc<str> {
        hex::encode(capability::random::bytes::<8>()).into()
    }
}

/// What a call does to its caller's session cookie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CookieChange {
    /// The cookie stays.
    #[default]
    Keep,
    /// A session was opened: the cookie gets its token.
    Set(capability::sessions::Token),
    /// The caller's own session was ended: the cookie is cleared.
    Clear,
}

/// The unit of work that a call for an event or a tick gathers.
struct Gathering {
    unit: UnitOfWork,
    store_unavailable: Arc<AtomicBool>,
}

/// The data of a wasmtime store: one call of one component.
pub struct State {
    shared: Arc<Shared>,
    manifest: Arc<Manifest>,
    /// The call.
    pub call: Call,
    /// The address that the call comes from; none when no client made it.
    client: Option<Arc<str>>,
    /// The change of the cookie with the response.
    pub cookie: CookieChange,
    /// The key lock of a refused commit, held for the retry.
    pub held_lock: HeldKeyLock,
    gathering: Option<Gathering>,
    /// The generation of the component's effects that the call belongs to; none: the served one.
    generation: Option<u64>,
    /// Every capability is denied.
    denied: bool,
    /// A store or the host itself did not serve the call.
    unserved: AtomicBool,
    /// How many requests it has sent to servers of others, or tried to.
    fetches: u32,
    /// When the call began, in milliseconds since 1970.
    begun: u64,
    /// What the call has read of the cache.
    pub(crate) reads: Reads,
    /// A function of WASI was called while it is.
    called_denied: bool,
    pub(super) meter: Meter,
    pub(super) wasi: Option<Box<Wasi>>,
}

impl State {
    pub(super) fn new(
        shared: Arc<Shared>,
        manifest: Arc<Manifest>,
        call: Call,
        client: Option<Arc<str>>,
        meter: Meter,
    ) -> Self {
        let (cookie, held_lock) = (CookieChange::Keep, HeldKeyLock::default());
        let begun = shared.capabilities.clock.now();
        Self {
            shared,
            manifest,
            call,
            client,
            cookie,
            held_lock,
            gathering: None,
            generation: None,
            denied: false,
            unserved: AtomicBool::new(false),
            fetches: 0,
            begun,
            reads: Reads::begun(begun),
            called_denied: false,
            meter,
            wasi: None,
        }
    }

    /// From here on the call commits nothing: its writes are gathered. `store_unavailable` is set when a store does not answer.
    pub(super) fn gather(&mut self, store_unavailable: Arc<AtomicBool>) {
        self.gathering = Some(Gathering { unit: UnitOfWork::default(), store_unavailable });
    }

    /// From here on every capability is denied.
    pub(super) fn deny(&mut self) {
        self.denied = true;
    }

    /// From here on the call reads and writes this generation of its component's effects.
    pub(super) fn at_generation(&mut self, generation: u64) {
        self.generation = Some(generation);
    }

    /// The slot of a collection for this call.
    pub fn slot_of(&self, collection: String) -> String {
        let Some(owner) = self.application().rebuilt_by(&collection) else { return collection };
        let generation = match self.generation {
            Some(generation) if owner == self.component_name() => generation,
            _ => self.capabilities().generations.of(owner).serving,
        };
        slot(&collection, generation)
    }

    /// The gathered unit of work.
    pub(super) fn gathered(&mut self) -> UnitOfWork {
        self.gathering.take().map(|gathering| gathering.unit).unwrap_or_default()
    }

    /// The unit of work that gathers the call's writes; none where they are committed at once.
    pub fn gathering(&mut self) -> Option<&mut UnitOfWork> {
        self.gathering.as_mut().map(|gathering| &mut gathering.unit)
    }

    /// Records that a store did not answer this call, or that the host was too busy to serve it. How the call ends then says
    /// nothing about the component.
    pub fn record_store_unavailable(&self) {
        self.unserved.store(true, Ordering::Relaxed);
        if let Some(gathering) = &self.gathering {
            gathering.store_unavailable.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request to a server of others; how many there are with it.
    pub(crate) fn count_fetch(&mut self) -> u32 {
        self.fetches = self.fetches.saturating_add(1);
        self.fetches
    }

    /// Whether the call may still fill the cache with what it has read.
    pub(crate) fn may_fill(&self) -> bool {
        capability::cache::may_fill(self.begun, self.capabilities().clock.now())
    }

    /// Whether a store or the host itself did not serve the call.
    pub(super) fn is_unserved(&self) -> bool {
        self.unserved.load(Ordering::Relaxed)
    }

    /// Every host function calls this first: it counts and limits host calls. The function's time is not the guest's as long as
    /// the result is kept. The error stops the component.
    pub fn enter(&mut self, call: &'static str) -> wasmtime::Result<HostTime> {
        tracing::trace!(component = self.component_name(), id = &*self.call.id, call);
        if self.denied {
            return Err(wasmtime::Error::msg(format!("{call} is not allowed while a component is tried out")));
        }
        self.meter.host_call().map_err(wasmtime::Error::new)
    }

    /// Every function of WASI calls this first, as the platform's call [`State::enter`]. Its result can't stop the component, so
    /// the next tick does, and a call that ends before that has failed all the same.
    pub(super) fn enter_wasi(&mut self) {
        tracing::trace!(component = self.component_name(), id = &*self.call.id, "a function of WASI");
        self.called_denied |= self.denied;
        // The meter remembers it.
        let _ = self.meter.count_host_call();
    }

    /// Whether a function was called while all are denied.
    pub(super) fn called_denied(&self) -> bool {
        self.called_denied
    }

    /// What all calls share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The address that the call comes from; empty when no client made it.
    pub(crate) fn client(&self) -> &str {
        self.client.as_deref().unwrap_or_default()
    }

    /// The capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// `application.toml`.
    pub fn application(&self) -> &Application {
        &self.shared.application
    }

    /// This component's grants.
    pub fn grants(&self) -> &Grants {
        &self.manifest.grants
    }

    /// This component's name.
    pub fn component_name(&self) -> &str {
        &self.manifest.component.name
    }

    /// This call's id.
    pub fn call_id(&self) -> &str {
        &self.call.id
    }
}

impl crate::bindings::devconnect::platform::types::Host for State {}
