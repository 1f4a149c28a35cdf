//! The state of one call: what its store holds, with typed fields and the one door to every capability.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Meter, wasi::Wasi};
use crate::application::Application;
use crate::capability::Capabilities;
use crate::capability::documents::KeptTurn;
use crate::capability::generations::slot;
use crate::capability::unit::Unit;
use crate::registry::{Grants, Manifest};

/// What every call on this host shares.
pub struct Shared {
    /// The engines behind the capabilities.
    pub capabilities: Capabilities,
    /// What the components have in common.
    pub application: Application,
}

/// Who is behind a call; proved by the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub subject: String,
    /// The session's id.
    pub session: String,
    /// When the session ends by itself, in seconds since 1970.
    pub expires: u64,
}

/// What the host knows about a call besides its payload.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, in the log, in the answer and in incidents.
    pub id: String,
    /// Who calls, where a session was asked for and found.
    pub identity: Option<Identity>,
    /// The socket that calls, where a socket does.
    pub socket: Option<String>,
}

impl Call {
    /// An id that no other call has.
    pub fn new_id() -> String {
        hex::encode(crate::capability::random::bytes::<8>())
    }
}

/// What a call does to its caller's session besides the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CookieChange {
    /// The cookie stays.
    #[default]
    Keep,
    /// A session began: its token goes out.
    Set(crate::capability::sessions::Token),
    /// The caller's own session ended.
    Clear,
}

/// What a call for an event has gathered so far.
struct Gathering {
    unit: Unit,
    away: Arc<AtomicBool>,
}

/// The data of a store: one call of one component.
pub struct State {
    shared: Arc<Shared>,
    manifest: Arc<Manifest>,
    /// The call.
    pub call: Call,
    /// What happens to the cookie when the answer goes out.
    pub cookie: CookieChange,
    /// The turn of a commit that was refused.
    pub turn: KeptTurn,
    gathering: Option<Gathering>,
    /// The generation of the component's effects that the call belongs to; none: to the one that is read.
    generation: Option<u64>,
    /// Every capability refuses the call.
    denied: bool,
    pub(super) meter: Meter,
    pub(super) wasi: Option<Box<Wasi>>,
}

impl State {
    pub(super) fn new(shared: Arc<Shared>, manifest: Arc<Manifest>, call: Call, meter: Meter) -> Self {
        let (cookie, turn) = (CookieChange::Keep, KeptTurn::default());
        Self {
            shared,
            manifest,
            call,
            cookie,
            turn,
            gathering: None,
            generation: None,
            denied: false,
            meter,
            wasi: None,
        }
    }

    /// From here on the call does nothing durable: what it wants done is gathered. `away` is set when a store does not
    /// answer it.
    pub(super) fn gather(&mut self, away: Arc<AtomicBool>) {
        self.gathering = Some(Gathering { unit: Unit::default(), away });
    }

    /// From here on every capability refuses the call.
    pub(super) fn deny(&mut self) {
        self.denied = true;
    }

    /// From here on the call sees and changes this generation of its component's effects.
    pub(super) fn at_generation(&mut self, generation: u64) {
        self.generation = Some(generation);
    }

    /// Where a collection is for this call.
    pub fn placed(&self, collection: String) -> String {
        let Some(owner) = self.application().rebuilt_by(&collection) else { return collection };
        let generation = match self.generation {
            Some(generation) if owner == self.component_name() => generation,
            _ => self.capabilities().generations.of(owner).serving,
        };
        slot(&collection, generation)
    }

    /// What was gathered.
    pub(super) fn gathered(&mut self) -> Unit {
        self.gathering.take().map(|gathering| gathering.unit).unwrap_or_default()
    }

    /// Where the call's work is gathered; none where it is done at once.
    pub fn gathering(&mut self) -> Option<&mut Unit> {
        self.gathering.as_mut().map(|gathering| &mut gathering.unit)
    }

    /// Notes that a store did not answer this call.
    pub fn store_is_away(&self) {
        if let Some(gathering) = &self.gathering {
            gathering.away.store(true, Ordering::Relaxed);
        }
    }

    /// The door: every call into the host passes here before it does anything. The error stops the component.
    pub fn enter(&mut self, call: &'static str) -> wasmtime::Result<()> {
        tracing::trace!(component = self.component_name(), id = self.call.id, call);
        if self.denied {
            return Err(wasmtime::Error::msg(format!("{call} is not allowed while a component is tried out")));
        }
        self.meter.host_call().map_err(wasmtime::Error::new)
    }

    /// The engines behind the capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// What the components have in common.
    pub fn application(&self) -> &Application {
        &self.shared.application
    }

    /// What this component may reach.
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

impl crate::engine::bindings::devconnect::platform::types::Host for State {}
