//! One call: a fresh store and instance, under its limits.
//!
//! Its caller polls it; when the caller is dropped it goes on in a task of its own, until it finishes or reaches a limit. Each
//! trigger has a module with its arguments and answer: `http`, `socket`, `presence`, `event`, `tick`.

mod event;
mod going;
mod http;
mod presence;
mod socket;
mod tick;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline};

pub use event::EventCall;
pub(crate) use event::EventExport;
pub(crate) use http::PlatformExport;
pub use http::{Answer, HttpCall};
pub use presence::PresenceCall;
pub(crate) use presence::PresenceExport;
pub(crate) use socket::SocketExport;
pub use socket::{SocketCall, SocketReply};
pub use tick::TickCall;
pub(crate) use tick::TickExport;

use crate::admission::Turn;
use crate::outcome::Began;
use crate::{
    Call, Caller, End, Engine, Entered, Exceeded, Exports, Failure, Loaded, Meter, Outcome, Said, State, Tick, Ticks,
};
use capability::{budget, text};
use going::{Going, InPlace};

/// The most bytes that one host call, or the answer of a call, copies from the guest: the largest commit or body, and more
/// than most guests have memory. More is a trap.
const MAX_LIFTED: usize = 20 << 20;
/// The most resources that a call holds at a time. One more is a trap.
const MAX_HANDLES: usize = 1_000;
/// A call whose time ends while it waits for one host function for so long, or for half of its time, was not served by a store.
/// Milliseconds.
const SLOW: u64 = 1_000;

/// A trigger's call of a component.
pub trait Invocation: Send + Sync + 'static {
    /// The component's answer.
    type Answer: Send + 'static;

    /// The caller and the id.
    fn call(&self) -> &Call;

    /// The trigger in the manifest: a route's path, an event's name.
    fn trigger(&self) -> &str;

    /// The address that the call comes from; none when no client made it.
    fn client(&self) -> Option<&Arc<str>> {
        None
    }

    /// What the component said with this answer.
    fn said(&self, answer: &Self::Answer) -> Said;

    /// Instantiates the component in `store` and calls its export for this trigger.
    fn run(
        &self,
        store: &mut Store<State>,
        exports: &Exports,
    ) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

impl Engine {
    /// Calls a component when the call's turn comes, in the caller's task. Dropped before the turn comes, the call does not
    /// begin; dropped later, it goes on in a task of its own. How it ended is counted: a failure at once, an answer when its
    /// [`End`] is dropped.
    pub async fn invoke<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        entered: Entered,
        invocation: I,
    ) -> Result<(I::Answer, End), Failure> {
        // A task that makes one call after another lets others go on, too, when none of its calls waits.
        tokio::task::coop::consume_budget().await;
        let running = Running::begin(loaded);
        let turn = self.turn(loaded, &entered).await?;
        InPlace::new(running, Going::begin(self, loaded, entered, turn, invocation)).ended().await
    }

    /// The same for the host itself, not for a client.
    pub async fn invoke_for_host<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        invocation: I,
    ) -> Result<(I::Answer, End), Failure> {
        let entered = self.enter_for_host(loaded)?;
        self.invoke(loaded, entered, invocation).await
    }

    /// The same for the host itself, in the caller's task, which has to poll it to its end.
    pub async fn invoke_here<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        invocation: I,
    ) -> Result<(I::Answer, End), Failure> {
        let entered = self.enter_for_host(loaded)?;
        let _running = Running::begin(loaded);
        let turn = self.turn(loaded, &entered).await?;
        ended(loaded, Going::begin(self, loaded, entered, turn, invocation).driven().await)
    }

    fn enter_for_host(&self, loaded: &Loaded) -> Result<Entered, Failure> {
        let entered = self.admission.enter(Caller::Component(loaded.name.clone()), false);
        entered.map_err(|_| self.busy(loaded))
    }

    /// Waits for the call's turn.
    async fn turn(&self, loaded: &Arc<Loaded>, entered: &Entered) -> Result<Turn, Failure> {
        // Most calls don't wait.
        if let Some(turn) = entered.turn_now(&loaded.name) {
            return Ok(turn);
        }
        tokio::select! {
            biased;
            turn = entered.turn(&loaded.name) => turn.map_err(|_| self.busy(loaded)),
            () = loaded.cut.cancelled() => {
                count(loaded, Outcome::Cut);
                Err(Failure::Cut)
            }
        }
    }

    fn busy(&self, loaded: &Loaded) -> Failure {
        count(loaded, Outcome::Busy);
        Failure::Busy
    }

    /// Instantiates a component once, under its limits and with every capability denied, and drops the instance. It takes its
    /// turn among the calls, with those that open sessions: a deploy may be what ends the load. It is not counted.
    pub async fn try_out(self: &Arc<Self>, loaded: &Arc<Loaded>) -> Result<(), Failure> {
        let entered = self.admission.enter(Caller::Component(loaded.name.clone()), true);
        let entered = entered.map_err(|_| Failure::Busy)?;
        let turn = entered.turn(&loaded.name).await.map_err(|_| Failure::Busy)?;
        let trial = Trial(Call { id: Call::new_id(), identity: None, socket: None });
        let driven = Going::begin(self, loaded, entered, turn, trial).driven().await;
        driven.map(drop).map_err(|stopped| stopped.failure)
    }

    async fn run<I: Invocation>(
        &self,
        loaded: &Loaded,
        invocation: I,
        ticks: Ticks,
        deadline: Instant,
    ) -> Driven<I::Answer> {
        let mut store = self.store(loaded, invocation.call(), invocation.client(), ticks.clone());
        let (answered, waited) = {
            // What the call asks of stores ends with it.
            let running = budget::until(deadline.into_std(), invocation.run(&mut store, &loaded.exports));
            let mut running = pin!(ticks.during(running));
            let mut cut_short = pin!(None);
            let answered = poll_fn(|context| {
                if let Poll::Ready(answered) = running.as_mut().poll(context) {
                    return Poll::Ready(Ok(answered));
                }
                // Most calls end at the first poll, and need no timer.
                if cut_short.is_none() {
                    cut_short.set(Some(cut_short_of(loaded, deadline)));
                }
                cut_short.as_mut().as_pin_mut().map_or(Poll::Pending, |cut_short| cut_short.poll(context).map(Err))
            });
            let answered = answered.await;
            // Before the call is dropped, and with it what it waits for.
            let waited = if answered.is_err() { ticks.waits_for_host() } else { 0 };
            (answered, waited)
        };
        let host_calls = store.data().meter.host_calls();
        loaded.counts.add_host_calls(host_calls);
        loaded.total.add_host_calls(host_calls);
        let unserved = store.data().is_unserved();
        let stopped = |failure: Failure, unserved| {
            let outcome = failure.outcome_of(unserved);
            Err(Stopped { failure, outcome })
        };
        match answered {
            Err(failure) => {
                let slow = SLOW.min(u64::from(loaded.manifest.limits.wall_ms) / 2);
                stopped(failure, unserved || waited >= slow)
            }
            Ok(Err(error)) => stopped(failure(&store, &error), unserved),
            Ok(Ok(_)) if store.data().meter.called_too_often() => {
                stopped(Failure::Exceeded(Exceeded::HostCalls), unserved)
            }
            Ok(Ok(answer)) => {
                let outcome = invocation.said(&answer).outcome(unserved);
                Ok((answer, outcome))
            }
        }
    }

    fn store(&self, loaded: &Loaded, call: &Call, client: Option<&Arc<str>>, ticks: Ticks) -> Store<State> {
        let meter = Meter::new(loaded.manifest.limits, ticks);
        let state = State::new(self.shared.clone(), loaded.manifest.clone(), call.clone(), client.cloned(), meter);
        let mut store = Store::new(&self.wasm, state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(MAX_LIFTED);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        // A custom yield: wasmtime's own starves the runtime when many guests spin.
        store.epoch_deadline_callback(|mut context| match context.data_mut().meter.tick() {
            Tick::Yield => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
            Tick::GoOn => Ok(UpdateDeadline::Continue(1)),
            Tick::Spent => Err(wasmtime::Error::new(Exceeded::Cpu)),
        });
        store
    }
}

/// Why a call is not waited for any more, once it is so.
async fn cut_short_of(loaded: &Loaded, deadline: Instant) -> Failure {
    let cut_short = async {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(deadline) => Failure::OutOfTime,
            () = loaded.cut.cancelled() => Failure::Cut,
        }
    };
    // A call that uses up the budget of its task does not live longer for it.
    tokio::task::unconstrained(cut_short).await
}

/// The result of a call, which is not counted yet.
type Driven<T> = Result<(T, Outcome), Stopped>;

/// A call without an answer, and how it counts.
struct Stopped {
    failure: Failure,
    outcome: Outcome,
}

impl Stopped {
    /// As the failure counts by itself.
    fn by(failure: Failure) -> Self {
        let outcome = failure.outcome();
        Self { failure, outcome }
    }
}

/// Counts a failure; an answer is counted by its [`End`].
fn ended<T>(loaded: &Loaded, driven: Driven<T>) -> Result<(T, End), Failure> {
    let end = |outcome| End::new(&loaded.counts, &loaded.total, outcome);
    match driven {
        Ok((answer, outcome)) => Ok((answer, end(outcome))),
        Err(Stopped { failure, outcome }) => {
            drop(end(outcome));
            Err(failure)
        }
    }
}

/// The instantiation of a component that is about to be deployed.
struct Trial(Call);

impl Invocation for Trial {
    type Answer = ();

    fn call(&self) -> &Call {
        &self.0
    }

    fn trigger(&self) -> &str {
        "deploy"
    }

    fn said(&self, _instantiated: &()) -> Said {
        Said::Done
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<()> {
        store.data_mut().deny();
        exports.instance.instantiate_async(&mut *store).await?;
        if store.data().called_denied() {
            return Err(wasmtime::Error::msg("it calls WASI before it has a request, which is not allowed"));
        }
        Ok(())
    }
}

/// A call that has begun and not ended: a version is drained when it has none.
struct Running {
    loaded: Arc<Loaded>,
    began: Began,
}

impl Running {
    fn begin(loaded: &Arc<Loaded>) -> Self {
        let began = Began::here();
        loaded.counts.begin(began);
        loaded.total.begin(began);
        Self { loaded: loaded.clone(), began }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.loaded.counts.end(self.began);
        self.loaded.total.end(self.began);
    }
}

/// Counts how a call ended.
fn count(loaded: &Loaded, outcome: Outcome) {
    loaded.counts.add(outcome);
    loaded.total.add(outcome);
}

/// The failure of a call: an exceeded limit, or else a trap.
fn failure(store: &Store<State>, error: &wasmtime::Error) -> Failure {
    let exceeded = store.data().meter.exceeded().or_else(|| error.downcast_ref().copied());
    if let Some(exceeded) = exceeded {
        return Failure::Exceeded(exceeded);
    }
    Failure::Trap(text::cut_format(format_args!("{error:#}"), text::MAX_TRAP))
}
