//! The desk: the counts and queues of admission. All of it is changed under one lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::oneshot;

use capability::refusals::Refusal;

use crate::admission::shared_time::SharedTime;
use crate::admission::{AdmissionOptions, Begins, HeavyTurn, Key, Turn};

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
    /// Where each caller's share is.
    callers: HashMap<Key, Slot>,
    shares: Slab<Share>,
    components: HashMap<Arc<str>, Component>,
    /// Callers with a waiting call and less running than they may; each once.
    ready: Ready,
    /// Callers of the host's own whose turn came while such calls had all that they may; each once.
    parked: VecDeque<Slot>,
    shared_time: SharedTime,
    next: u64,
}

/// The place of a caller's share: a call finds its caller's name once, when it enters. The share stays there as long as the
/// caller has anything, its place in a queue included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// From this weight on, a caller's calls of a component are expected to compute for long.
const HEAVY: u8 = 4;
/// The highest weight.
const HEAVIEST: u8 = 8;

/// What one caller has.
#[derive(Debug)]
struct Share {
    key: Key,
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

impl Share {
    fn of(key: Key) -> Self {
        let (waiting, heavy_waiting) = (VecDeque::new(), VecDeque::new());
        let (weights, is_ready) = (HashMap::new(), false);
        Self { key, entered: 0, running: 0, heavy: 0, bytes: 0, waiting, heavy_waiting, weights, is_ready }
    }
}

/// What one component has.
#[derive(Debug, Default)]
struct Component {
    running: u32,
    /// Calls whose turn came while the component had all that it may.
    blocked: VecDeque<(Slot, Waiter)>,
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
    urgent: VecDeque<Slot>,
    usual: VecDeque<Slot>,
}

impl Ready {
    fn of(&mut self, urgent: bool) -> &mut VecDeque<Slot> {
        if urgent { &mut self.urgent } else { &mut self.usual }
    }
}

/// A call whose turn it is; it counts as running already.
pub(super) struct Grant {
    pub(super) slot: Slot,
    pub(super) component: Arc<str>,
    pub(super) begins: Begins,
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
            shares: Slab::new(),
            components: HashMap::new(),
            ready: Ready::default(),
            parked: VecDeque::new(),
            shared_time: SharedTime::new(),
            next: 0,
        }
    }

    /// Takes a call in; the place of its caller's share.
    pub(super) fn enter(&mut self, key: Key) -> Result<Slot, Refusal> {
        self.shared_time.called(&key.caller, Instant::now());
        if self.entered >= self.options.running.saturating_add(self.options.waiting) {
            return Err(Refusal::CallFull);
        }
        let most = self.options.most_entered(&key.caller);
        let slot = match self.callers.get(&key) {
            Some(slot) => *slot,
            None => {
                let slot = Slot(self.shares.insert(Share::of(key.clone())));
                self.callers.insert(key, slot);
                slot
            }
        };
        match self.shares.get_mut(slot.0) {
            Some(share) if share.entered < most => share.entered += 1,
            _ => {
                self.forget(slot);
                return Err(Refusal::CallCaller);
            }
        }
        self.entered += 1;
        Ok(slot)
    }

    /// Counts bytes of a body.
    pub(super) fn charge(&mut self, slot: Slot, bytes: usize) -> Result<(), Refusal> {
        if self.bytes.saturating_add(bytes) > self.options.bytes {
            return Err(Refusal::BodyFull);
        }
        if let Some(share) = self.shares.get_mut(slot.0) {
            if share.bytes.saturating_add(bytes) > self.options.most_bytes(&share.key.caller) {
                return Err(Refusal::BodyCaller);
            }
            share.bytes += bytes;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// A call is over, and these bytes are free.
    pub(super) fn leave(&mut self, slot: Slot, bytes: usize) {
        self.entered = self.entered.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(share) = self.shares.get_mut(slot.0) {
            share.entered = share.entered.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(bytes);
        }
        self.forget(slot);
    }

    /// Runs a call at once where nothing is in its way. Then it says where the call begins.
    pub(super) fn try_run(&mut self, slot: Slot, component: &Arc<str>) -> Option<Begins> {
        let share = self.shares.get(slot.0)?;
        let is_free = self.has_room(share.key.urgent)
            && self.has_room_of_host(&share.key)
            && share.waiting.is_empty()
            && share.running < self.options.most_running(&share.key.caller);
        (is_free && self.run(slot, component)).then(|| self.begins(slot, component))
    }

    /// Puts a call into its caller's queue; its number.
    pub(super) fn wait(&mut self, slot: Slot, component: &Arc<str>, sender: oneshot::Sender<Turn>) -> u64 {
        self.next += 1;
        let waiter = Waiter { number: self.next, component: component.clone(), sender };
        if let Some(share) = self.shares.get_mut(slot.0) {
            share.waiting.push_back(waiter);
        }
        self.make_ready(slot, false);
        self.next
    }

    /// A call waits no longer; true when it was still in a queue.
    pub(super) fn give_up(&mut self, slot: Slot, component: &Arc<str>, number: u64) -> bool {
        if let Some(share) = self.shares.get_mut(slot.0)
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
    pub(super) fn ended(&mut self, slot: Slot, component: &Arc<str>) {
        self.running = self.running.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(slot.0) {
            share.running = share.running.saturating_sub(1);
            self.urgent = self.urgent.saturating_sub(u32::from(share.key.urgent));
            if share.key.is_of_host() {
                self.of_host = self.of_host.saturating_sub(1);
                self.ready.usual.append(&mut self.parked);
            }
        }
        self.make_ready(slot, false);
        if let Some(of_component) = self.components.get_mut(component) {
            of_component.running = of_component.running.saturating_sub(1);
        }
        self.unblock(component);
        self.forget(slot);
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
            let Some((slot, waiter)) = next else { break };
            let Some(share) = self.shares.get(slot.0) else { continue };
            let has_room = self.has_room_of_host(&share.key);
            let can_run = has_room && share.running < self.options.most_running(&share.key.caller);
            unblocked.push((slot, waiter));
            if can_run {
                break;
            }
        }
        // They have had their turn among the callers: they are the first again, in their order.
        for (slot, waiter) in unblocked.into_iter().rev() {
            if let Some(share) = self.shares.get_mut(slot.0) {
                share.waiting.push_front(waiter);
            }
            self.make_ready(slot, true);
        }
    }

    /// Takes the next calls from the queues, as many as may run.
    pub(super) fn grant(&mut self, grants: &mut Vec<Grant>) {
        for urgent in [true, false] {
            while self.has_room(urgent) {
                let Some(slot) = self.ready.of(urgent).pop_front() else { break };
                let Some(share) = self.shares.get(slot.0) else { continue };
                if !self.has_room_of_host(&share.key) {
                    // It is ready still, and comes again when a call of the host ends.
                    self.parked.push_back(slot);
                    continue;
                }
                let Some(share) = self.shares.get_mut(slot.0) else { continue };
                share.is_ready = false;
                if share.running >= self.options.most_running(&share.key.caller) {
                    // It is ready again when one of its calls ends.
                    continue;
                }
                let Some(waiter) = share.waiting.pop_front() else { continue };
                if self.run(slot, &waiter.component) {
                    let begins = self.begins(slot, &waiter.component);
                    let Waiter { component, sender, .. } = waiter;
                    grants.push(Grant { slot, component, begins, sender });
                } else {
                    let component = self.components.entry(waiter.component.clone()).or_default();
                    component.blocked.push_back((slot, waiter));
                }
                self.make_ready(slot, false);
            }
        }
    }

    /// A turn for a call that computes for long: none when it has it at once, else the receiver to wait for.
    pub(super) fn wait_heavy(&mut self, slot: Slot) -> Option<oneshot::Receiver<HeavyTurn>> {
        let most = self.options.heavy_per_caller;
        let share = self.shares.get_mut(slot.0)?;
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
    pub(super) fn ended_heavy(&mut self, slot: Slot) -> Option<oneshot::Sender<HeavyTurn>> {
        let share = self.shares.get_mut(slot.0)?;
        if let Some(next) = share.heavy_waiting.pop_front() {
            return Some(next);
        }
        share.heavy = share.heavy.saturating_sub(1);
        self.forget(slot);
        None
    }

    /// Where a call begins: in the idle pool when its caller's last ones of this component computed for long, or when all of its
    /// caller's calls together had more than their part of the shared threads.
    pub(super) fn begins(&self, slot: Slot, component: &Arc<str>) -> Begins {
        let Some(share) = self.shares.get(slot.0) else { return Begins::OnSharedThreads };
        if share.weights.get(component).is_some_and(|weight| *weight >= HEAVY) {
            Begins::Heavy
        } else if self.shared_time.is_over(&share.key.caller, Instant::now()) {
            Begins::InPool
        } else {
            Begins::OnSharedThreads
        }
    }

    /// Records whether a call of a component computed for long, and for how long it was polled on the shared threads. What is
    /// light has no weight.
    pub(super) fn learn(&mut self, slot: Slot, component: &Arc<str>, heavy: bool, shared: Duration) {
        let Some(share) = self.shares.get_mut(slot.0) else { return };
        self.shared_time.used(&share.key.caller, shared, Instant::now());
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

    /// Whether one more of the host's own may run; others don't mind.
    fn has_room_of_host(&self, key: &Key) -> bool {
        !key.is_of_host() || self.of_host < self.options.most_of_host()
    }

    /// Counts a call as running; false when its component has all that it may.
    fn run(&mut self, slot: Slot, component: &Arc<str>) -> bool {
        let most = self.options.per_component();
        match self.components.get_mut(component) {
            Some(of_component) if of_component.running >= most => return false,
            Some(of_component) => of_component.running += 1,
            None => _ = self.components.insert(component.clone(), Component { running: 1, ..Component::default() }),
        }
        self.running += 1;
        if let Some(share) = self.shares.get_mut(slot.0) {
            share.running += 1;
            self.urgent += u32::from(share.key.urgent);
            self.of_host += u32::from(share.key.is_of_host());
        }
        true
    }

    /// Puts a caller among those that are ready, unless it is, or has nothing that waits.
    fn make_ready(&mut self, slot: Slot, first: bool) {
        let Some(share) = self.shares.get_mut(slot.0) else { return };
        let most = self.options.most_running(&share.key.caller);
        if share.is_ready || share.waiting.is_empty() || share.running >= most {
            return;
        }
        share.is_ready = true;
        let ready = self.ready.of(share.key.urgent);
        if first { ready.push_front(slot) } else { ready.push_back(slot) }
    }

    /// Removes a caller that has nothing, from the queue as well: its place may be another's next.
    fn forget(&mut self, slot: Slot) {
        let Some(share) = self.shares.get(slot.0) else { return };
        if share.entered > 0 || share.running > 0 || share.heavy > 0 {
            return;
        }
        if share.is_ready {
            for queue in [&mut self.ready.urgent, &mut self.ready.usual, &mut self.parked] {
                queue.retain(|other| *other != slot);
            }
        }
        self.callers.remove(&share.key);
        drop(self.shares.try_remove(slot.0));
    }

    #[cfg(test)]
    pub(super) fn running_of_host(&self) -> u32 {
        self.of_host
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let nothing_runs = self.running == 0 && self.of_host == 0 && self.urgent == 0;
        let nobody_is_known = self.callers.is_empty() && self.shares.is_empty() && self.parked.is_empty();
        nobody_is_known && self.components.is_empty() && nothing_runs && self.bytes == 0
    }
}
