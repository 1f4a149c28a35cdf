//! The desk: the counts and queues of admission. All of it is changed under one lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use capability::refusals::Refusal;

use crate::admission::{AdmissionOptions, HeavyTurn, Key, Turn};

/// The counts and queues.
#[derive(Debug)]
pub(super) struct Desk {
    options: AdmissionOptions,
    /// Calls that were taken in.
    entered: u32,
    running: u32,
    /// The part of these that are urgent.
    urgent: u32,
    /// The part of these that are the host's own.
    of_host: u32,
    bytes: usize,
    callers: HashMap<Key, Share>,
    components: HashMap<Arc<str>, Component>,
    /// Callers with a waiting call and less running than they may; each once.
    ready: Ready,
    /// Callers of the host's own whose turn came while such calls had all that they may; each once.
    parked: VecDeque<Key>,
    next: u64,
}

/// From this weight on, a caller's calls of a component are expected to compute for long.
const HEAVY: u8 = 4;
/// The highest weight.
const HEAVIEST: u8 = 8;

/// What one caller has.
#[derive(Debug, Default)]
struct Share {
    entered: u32,
    running: u32,
    heavy: u32,
    bytes: usize,
    waiting: VecDeque<Waiter>,
    heavy_waiting: VecDeque<oneshot::Sender<HeavyTurn>>,
    /// How heavy its recent calls of each component were.
    weights: HashMap<Arc<str>, u8>,
    /// It is among those that are ready.
    is_ready: bool,
}

/// What one component has.
#[derive(Debug, Default)]
struct Component {
    running: u32,
    /// Calls whose turn came while the component had all that it may.
    blocked: VecDeque<(Key, Waiter)>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    component: Arc<str>,
    sender: oneshot::Sender<Turn>,
}

/// The queues of callers.
#[derive(Debug, Default)]
struct Ready {
    urgent: VecDeque<Key>,
    usual: VecDeque<Key>,
}

impl Ready {
    fn of(&mut self, urgent: bool) -> &mut VecDeque<Key> {
        if urgent { &mut self.urgent } else { &mut self.usual }
    }
}

/// A call whose turn it is; it counts as running already.
pub(super) struct Grant {
    pub(super) key: Key,
    pub(super) component: Arc<str>,
    pub(super) sender: oneshot::Sender<Turn>,
}

impl Desk {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self {
            options,
            entered: 0,
            running: 0,
            urgent: 0,
            of_host: 0,
            bytes: 0,
            callers: HashMap::new(),
            components: HashMap::new(),
            ready: Ready::default(),
            parked: VecDeque::new(),
            next: 0,
        }
    }

    /// Takes a call in.
    pub(super) fn enter(&mut self, key: &Key) -> Result<(), Refusal> {
        if self.entered >= self.options.running.saturating_add(self.options.waiting) {
            return Err(Refusal::CallFull);
        }
        let most = self.options.most_entered(&key.caller);
        let share = match self.callers.get_mut(key) {
            Some(share) => share,
            None => self.callers.entry(key.clone()).or_default(),
        };
        if share.entered >= most {
            return Err(Refusal::CallCaller);
        }
        share.entered += 1;
        self.entered += 1;
        Ok(())
    }

    /// Counts bytes of a body.
    pub(super) fn charge(&mut self, key: &Key, bytes: usize) -> Result<(), Refusal> {
        if self.bytes.saturating_add(bytes) > self.options.bytes {
            return Err(Refusal::BodyFull);
        }
        if let Some(share) = self.callers.get_mut(key) {
            if share.bytes.saturating_add(bytes) > self.options.most_bytes(&key.caller) {
                return Err(Refusal::BodyCaller);
            }
            share.bytes += bytes;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// A call is over, and these bytes are free.
    pub(super) fn leave(&mut self, key: &Key, bytes: usize) {
        self.entered = self.entered.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(share) = self.callers.get_mut(key) {
            share.entered = share.entered.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(bytes);
        }
        self.forget(key);
    }

    /// Runs a call at once where nothing is in its way.
    pub(super) fn try_run(&mut self, key: &Key, component: &Arc<str>) -> bool {
        let free = self.has_room(key.urgent) && self.has_room_of_host(key);
        let Some(share) = self.callers.get(key) else { return false };
        let of_component = self.components.get(component).map_or(0, |component| component.running);
        let runs = free
            && share.waiting.is_empty()
            && share.running < self.options.most_running(&key.caller)
            && of_component < self.options.per_component();
        if runs {
            self.run(key, component);
        }
        runs
    }

    /// Puts a call into its caller's queue; its number.
    pub(super) fn wait(&mut self, key: &Key, component: &Arc<str>, sender: oneshot::Sender<Turn>) -> u64 {
        self.next += 1;
        let waiter = Waiter { number: self.next, component: component.clone(), sender };
        if let Some(share) = self.callers.get_mut(key) {
            share.waiting.push_back(waiter);
        }
        self.make_ready(key, false);
        self.next
    }

    /// A call waits no longer; true when it was still in a queue.
    pub(super) fn give_up(&mut self, key: &Key, component: &Arc<str>, number: u64) -> bool {
        if let Some(share) = self.callers.get_mut(key)
            && let Some(at) = share.waiting.iter().position(|waiter| waiter.number == number)
        {
            share.waiting.remove(at);
            return true;
        }
        let Some(component) = self.components.get_mut(component) else { return false };
        let at = component.blocked.iter().position(|(_, waiter)| waiter.number == number);
        at.and_then(|at| component.blocked.remove(at)).is_some()
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, key: &Key, component: &Arc<str>) {
        self.running = self.running.saturating_sub(1);
        self.urgent = self.urgent.saturating_sub(u32::from(key.urgent));
        if key.is_of_host() {
            self.of_host = self.of_host.saturating_sub(1);
            self.ready.usual.append(&mut self.parked);
        }
        if let Some(share) = self.callers.get_mut(key) {
            share.running = share.running.saturating_sub(1);
        }
        self.make_ready(key, false);
        if let Some(of_component) = self.components.get_mut(component) {
            of_component.running = of_component.running.saturating_sub(1);
        }
        self.unblock(component);
        self.forget(key);
    }

    /// Gives blocked calls of a component back to their callers' queues, until one of them can run. A caller that runs all that
    /// it may can't use the component's room, and must not keep it from those behind.
    fn unblock(&mut self, component: &Arc<str>) {
        let mut unblocked = Vec::new();
        while let Some(of_component) = self.components.get_mut(component) {
            let next = of_component.blocked.pop_front();
            if of_component.running == 0 && of_component.blocked.is_empty() {
                self.components.remove(component);
            }
            let Some((key, waiter)) = next else { break };
            let Some(share) = self.callers.get(&key) else { continue };
            let can_run = share.running < self.options.most_running(&key.caller) && self.has_room_of_host(&key);
            unblocked.push((key, waiter));
            if can_run {
                break;
            }
        }
        // They have had their turn among the callers: they are the first again, in their order.
        for (key, waiter) in unblocked.into_iter().rev() {
            if let Some(share) = self.callers.get_mut(&key) {
                share.waiting.push_front(waiter);
            }
            self.make_ready(&key, true);
        }
    }

    /// Takes the next calls from the queues, as many as may run.
    pub(super) fn grant(&mut self, grants: &mut Vec<Grant>) {
        for urgent in [true, false] {
            while self.has_room(urgent) {
                let Some(key) = self.ready.of(urgent).pop_front() else { break };
                if !self.has_room_of_host(&key) {
                    // It is ready still, and comes again when a call of the host ends.
                    self.parked.push_back(key);
                    continue;
                }
                let Some(share) = self.callers.get_mut(&key) else { continue };
                share.is_ready = false;
                if share.running >= self.options.most_running(&key.caller) {
                    // It is ready again when one of its calls ends.
                    continue;
                }
                let Some(waiter) = share.waiting.pop_front() else { continue };
                let component = self.components.entry(waiter.component.clone()).or_default();
                if component.running >= self.options.per_component() {
                    component.blocked.push_back((key.clone(), waiter));
                } else {
                    self.run(&key, &waiter.component);
                    let Waiter { component, sender, .. } = waiter;
                    grants.push(Grant { key: key.clone(), component, sender });
                }
                self.make_ready(&key, false);
            }
        }
    }

    /// A turn for a call that computes for long: none when it has it at once, else the receiver to wait for.
    pub(super) fn wait_heavy(&mut self, key: &Key) -> Option<oneshot::Receiver<HeavyTurn>> {
        let most = self.options.heavy_per_caller;
        let share = self.callers.get_mut(key)?;
        if share.heavy < most {
            share.heavy += 1;
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        share.heavy_waiting.retain(|waiter| !waiter.is_closed());
        share.heavy_waiting.push_back(sender);
        Some(receiver)
    }

    /// A call that computed for long has ended: the next one of its caller, which gets the turn.
    pub(super) fn ended_heavy(&mut self, key: &Key) -> Option<oneshot::Sender<HeavyTurn>> {
        let share = self.callers.get_mut(key)?;
        if let Some(next) = share.heavy_waiting.pop_front() {
            return Some(next);
        }
        share.heavy = share.heavy.saturating_sub(1);
        self.forget(key);
        None
    }

    /// Whether the caller's call of a component is expected to compute for long, as its last ones did.
    pub(super) fn expects_heavy(&self, key: &Key, component: &Arc<str>) -> bool {
        let weight = self.callers.get(key).and_then(|share| share.weights.get(component));
        weight.is_some_and(|weight| *weight >= HEAVY)
    }

    /// Records whether a call of a component computed for long. What is light has no weight.
    pub(super) fn learn(&mut self, key: &Key, component: &Arc<str>, heavy: bool) {
        let Some(share) = self.callers.get_mut(key) else { return };
        match share.weights.get_mut(component) {
            Some(weight) if heavy => *weight = (*weight + 1).min(HEAVIEST),
            Some(weight) if *weight > 1 => *weight -= 1,
            Some(_) => _ = share.weights.remove(component),
            None if heavy => _ = share.weights.insert(component.clone(), 1),
            None => {}
        }
    }

    fn has_room(&self, urgent: bool) -> bool {
        let options = &self.options;
        if urgent {
            self.running < options.running && self.urgent < options.most_urgent()
        } else {
            self.running < options.running - options.reserved()
        }
    }

    /// Whether a call may run as far as the share of the host's own calls is concerned.
    fn has_room_of_host(&self, key: &Key) -> bool {
        !key.is_of_host() || self.of_host < self.options.most_of_host()
    }

    fn run(&mut self, key: &Key, component: &Arc<str>) {
        self.running += 1;
        self.urgent += u32::from(key.urgent);
        self.of_host += u32::from(key.is_of_host());
        if let Some(share) = self.callers.get_mut(key) {
            share.running += 1;
        }
        match self.components.get_mut(component) {
            Some(component) => component.running += 1,
            None => self.components.entry(component.clone()).or_default().running += 1,
        }
    }

    /// Puts a caller among those that are ready, unless it is, or has nothing that waits.
    fn make_ready(&mut self, key: &Key, first: bool) {
        let Some(share) = self.callers.get_mut(key) else { return };
        if share.is_ready || share.waiting.is_empty() || share.running >= self.options.most_running(&key.caller) {
            return;
        }
        share.is_ready = true;
        let ready = self.ready.of(key.urgent);
        if first { ready.push_front(key.clone()) } else { ready.push_back(key.clone()) }
    }

    /// Removes a caller that has nothing.
    fn forget(&mut self, key: &Key) {
        let gone = |share: &Share| share.entered == 0 && share.running == 0 && share.heavy == 0;
        if self.callers.get(key).is_some_and(gone) {
            self.callers.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) fn running_of_host(&self) -> u32 {
        self.of_host
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let nothing_runs = self.running == 0 && self.of_host == 0 && self.urgent == 0;
        self.callers.is_empty() && self.components.is_empty() && nothing_runs && self.bytes == 0
    }
}
