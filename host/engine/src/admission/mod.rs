//! Admission: which calls run, and whose turn is next.
//!
//! Callers have equal shares: a caller's calls wait behind its own, and callers take turns. A component can't have all of the
//! host, and calls that open sessions have a part that nothing else takes. The host's own calls, for events and schedules, have
//! half of it at most: the rest is for people. It knows callers and components by name only.

mod desk;
mod shared_time;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use capability::refusals::{Refusal, Refusals};
use desk::{Desk, Grant, Slot};

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A member with a session.
    Member(Arc<str>),
    /// A client without one.
    Address(IpAddr),
    /// Clients that have no limit of their own: those on this machine.
    Unlimited,
    /// The host itself, for events, schedules and presence of a component.
    Component(Arc<str>),
}

/// The limits of admission. Each has a default that a small network never meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionOptions {
    /// Calls that run at once; each has an instance.
    pub running: u32,
    /// Those of one caller.
    pub running_per_caller: u32,
    /// Calls of one caller that wait.
    pub waiting_per_caller: u32,
    /// Calls that wait.
    pub waiting: u32,
    /// How long a call may wait.
    pub wait: Duration,
    /// The bytes of all bodies.
    pub bytes: usize,
    /// The bytes of one caller's.
    pub bytes_per_caller: usize,
    /// Calls of one caller in the idle pool at once.
    pub heavy_per_caller: u32,
}

impl Default for AdmissionOptions {
    fn default() -> Self {
        Self {
            running: 1_000,
            running_per_caller: 64,
            waiting_per_caller: 192,
            waiting: 4_000,
            wait: Duration::from_secs(5),
            bytes: 128 << 20,
            bytes_per_caller: 16 << 20,
            heavy_per_caller: 2,
        }
    }
}

impl AdmissionOptions {
    /// The part of what runs that only calls which open sessions take.
    fn reserved(&self) -> u32 {
        self.running / 20
    }

    /// The most that runs of calls which open sessions.
    fn most_urgent(&self) -> u32 {
        (self.running / 2).max(1)
    }

    /// The most that runs of the host's own calls, of all components together.
    fn most_of_host(&self) -> u32 {
        (self.running / 2).max(1)
    }

    /// The most that runs of one component.
    fn per_component(&self) -> u32 {
        (self.running - self.running / 4).max(1)
    }

    /// The most of one caller that runs.
    fn most_running(&self, caller: &Caller) -> u32 {
        match caller {
            Caller::Member(_) | Caller::Address(_) => self.running_per_caller,
            Caller::Unlimited | Caller::Component(_) => u32::MAX,
        }
    }

    /// The most of one caller that runs or waits.
    fn most_entered(&self, caller: &Caller) -> u32 {
        self.most_running(caller).saturating_add(self.waiting_per_caller)
    }

    fn most_bytes(&self, caller: &Caller) -> usize {
        match caller {
            Caller::Member(_) | Caller::Address(_) => self.bytes_per_caller,
            Caller::Unlimited | Caller::Component(_) => self.bytes,
        }
    }
}

/// A caller, and whether its calls are of those that open sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    caller: Caller,
    urgent: bool,
}

impl Key {
    /// Whether its calls are the host's own. Those that are urgent, the trials of deploys, are counted with the urgent ones.
    fn is_of_host(&self) -> bool {
        !self.urgent && matches!(self.caller, Caller::Component(_))
    }
}

/// Admits calls. One lock guards the desk; nothing waits while it is held.
#[derive(Debug)]
pub struct Admission {
    options: AdmissionOptions,
    refusals: Arc<Refusals>,
    desk: Mutex<Desk>,
}

impl Admission {
    /// With nothing running.
    pub fn new(options: AdmissionOptions, refusals: Arc<Refusals>) -> Self {
        Self { options, refusals, desk: Mutex::new(Desk::new(options)) }
    }

    /// Takes a call in, which may then read its body and wait for its turn. `urgent`: it is of a component that opens
    /// sessions.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn enter(self: &Arc<Self>, caller: Caller, urgent: bool) -> Result<Entered, Refusal> {
        match self.desk().enter(Key { caller, urgent }) {
            Ok(slot) => Ok(Entered { admission: self.clone(), slot, bytes: AtomicUsize::new(0), is_over: false }),
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    fn refused(&self, refusal: Refusal) -> Refusal {
        self.refusals.count(refusal);
        refusal
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the desk, and then wakes the calls whose turn it is.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Desk) -> T) -> T {
        let mut grants = Vec::new();
        let result = {
            let mut desk = self.desk();
            let result = change(&mut desk);
            desk.grant(&mut grants);
            result
        };
        // A call that does not wait any more drops its turn, which comes back here: so not under the lock.
        for Grant { slot, component, begins, sender } in grants {
            let _ = sender.send(Turn { admission: self.clone(), slot, component, begins, is_over: false });
        }
        result
    }
}

/// Where a call begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    /// On the shared threads.
    OnSharedThreads,
    /// In the idle pool. Once it is heavy, it needs a [`HeavyTurn`] there.
    InPool,
    /// In the idle pool, with a [`HeavyTurn`].
    Heavy,
}

/// A call that was taken in. It counts as its caller's until it is dropped.
#[derive(Debug)]
pub struct Entered {
    admission: Arc<Admission>,
    slot: Slot,
    bytes: AtomicUsize,
    /// It has left already.
    is_over: bool,
}

impl Entered {
    /// Counts bytes of the call's body, which are in memory until the call ends.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        self.admission.desk().charge(self.slot, bytes).map_err(|refusal| self.admission.refused(refusal))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The call's turn, if it is now.
    pub(crate) fn turn_now(&self, component: &Arc<str>) -> Option<Turn> {
        let admission = &self.admission;
        let begins = admission.desk().try_run(self.slot, component)?;
        let (admission, component) = (admission.clone(), component.clone());
        Some(Turn { admission, slot: self.slot, component, begins, is_over: false })
    }

    /// Waits for the call's turn. Dropped, it does not wait any more.
    pub(crate) async fn turn(&self, component: &Arc<str>) -> Result<Turn, Refusal> {
        if let Some(turn) = self.turn_now(component) {
            return Ok(turn);
        }
        let admission = &self.admission;
        let (sender, receiver) = oneshot::channel();
        let number = admission.change(|desk| desk.wait(self.slot, component, sender));
        let mut waiting = Waiting { entered: self, component, number, refusal: Refusal::CallUnwanted };
        match tokio::time::timeout(admission.options.wait, receiver).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => {
                waiting.refusal = Refusal::CallWait;
                Err(Refusal::CallWait)
            }
        }
    }

    /// The call has ended: as its turn and this are dropped, under one lock. Records whether it computed for long, and for how long
    /// it was polled on the shared threads.
    pub(crate) fn end(mut self, mut turn: Turn, heavy: bool, shared: Duration) {
        let (slot, bytes) = (self.slot, self.bytes.load(Ordering::Relaxed));
        self.admission.change(|desk| {
            desk.learn(slot, &turn.component, heavy, shared);
            desk.ended(slot, &turn.component);
            desk.leave(slot, bytes);
        });
        (self.is_over, turn.is_over) = (true, true);
    }

    /// Waits until the call may compute for long.
    pub(crate) async fn heavy_turn(&self) -> HeavyTurn {
        let receiver = self.admission.desk().wait_heavy(self.slot);
        let turn = || HeavyTurn { admission: self.admission.clone(), slot: self.slot };
        match receiver {
            None => turn(),
            // The queue keeps its sender until it sends.
            Some(receiver) => receiver.await.unwrap_or_else(|_| turn()),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.is_over {
            self.admission.desk().leave(self.slot, self.bytes.load(Ordering::Relaxed));
        }
    }
}

/// A call in a queue.
struct Waiting<'a> {
    entered: &'a Entered,
    component: &'a Arc<str>,
    number: u64,
    /// What it counts as when it leaves the queue without a turn.
    refusal: Refusal,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Entered { admission, slot, .. } = self.entered;
        if admission.desk().give_up(*slot, self.component, self.number) {
            admission.refused(self.refusal);
        }
    }
}

/// A call's turn: it runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    admission: Arc<Admission>,
    slot: Slot,
    component: Arc<str>,
    begins: Begins,
    /// It has ended already.
    is_over: bool,
}

impl Turn {
    /// Where the call begins.
    pub(crate) fn begins(&self) -> Begins {
        self.begins
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.admission.change(|desk| desk.ended(self.slot, &self.component));
        }
    }
}

/// A call that may compute for long, until this is dropped.
#[derive(Debug)]
pub(crate) struct HeavyTurn {
    admission: Arc<Admission>,
    slot: Slot,
}

impl Drop for HeavyTurn {
    fn drop(&mut self) {
        let next = self.admission.desk().ended_heavy(self.slot);
        if let Some(next) = next {
            // One that does not wait any more drops its turn, which goes to the next.
            let _ = next.send(HeavyTurn { admission: self.admission.clone(), slot: self.slot });
        }
    }
}

#[cfg(test)]
impl Entered {
    fn begins(&self, component: &Arc<str>) -> Begins {
        self.admission.desk().begins(self.slot, component)
    }

    fn learn(&self, component: &Arc<str>, heavy: bool, shared: Duration) {
        self.admission.desk().learn(self.slot, component, heavy, shared);
    }
}

#[cfg(test)]
mod tests;
