//! One call: a fresh store and instance, under its limits.
//!
//! It goes on when its caller is dropped, until it finishes or reaches a limit. Each trigger has a module with its arguments
//! and answer: `http`, `socket`, `presence`, `event`, `tick`.

mod event;
mod http;
mod presence;
mod socket;
mod tick;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline};

pub use event::EventCall;
pub use http::{Answer, HttpCall};
pub use presence::PresenceCall;
pub use socket::{SocketCall, SocketReply};
pub use tick::TickCall;

use crate::admission::Turn;
use crate::{
    Call, Caller, End, Engine, Entered, Exceeded, Exports, Failure, Loaded, Meter, Outcome, Said, State, Tick, Ticks,
};
use capability::{budget, text};

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

    /// The address that the call comes from; empty when no client made it.
    fn client(&self) -> &str {
        ""
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
    /// Calls a component when the call's turn comes, in a task of its own. Dropped before the turn comes, the call does not
    /// begin. How it ended is counted: a failure at once, an answer when its [`End`] is dropped.
    pub async fn invoke<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        entered: Entered,
        invocation: I,
    ) -> Result<(I::Answer, End), Failure> {
        let running = Running::begin(loaded);
        let turn = self.turn(loaded, &entered).await?;
        let engine = self.clone();
        let task = tokio::spawn(async move {
            let answer = ended(&running.0, engine.drive(&running.0, &entered, invocation).await);
            // In this order: a call that has a turn has entered.
            drop((turn, entered));
            answer
        });
        task.await.unwrap_or_else(|error| Err(Failure::Host(error.to_string())))
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
        let _turn = self.turn(loaded, &entered).await?;
        // The state that calls share is behind atomics and locks that stay usable after a panic.
        let driven = AssertUnwindSafe(self.drive(loaded, &entered, invocation)).catch_unwind().await;
        let panicked = |_| Err(Stopped::by(Failure::Host("the call panicked".to_owned())));
        ended(loaded, driven.unwrap_or_else(panicked))
    }

    fn enter_for_host(&self, loaded: &Loaded) -> Result<Entered, Failure> {
        let entered = self.admission.enter(Caller::Component(loaded.name.clone()), false);
        entered.map_err(|_| self.busy(loaded))
    }

    /// Waits for the call's turn.
    async fn turn(&self, loaded: &Arc<Loaded>, entered: &Entered) -> Result<Turn, Failure> {
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
        let _turn = entered.turn(&loaded.name).await.map_err(|_| Failure::Busy)?;
        let trial = Trial(Call { id: Call::new_id(), identity: None, socket: None });
        self.drive(loaded, &entered, trial).await.map(drop).map_err(|stopped| stopped.failure)
    }

    async fn drive<I: Invocation>(
        self: &Arc<Self>,
        component: &Arc<Loaded>,
        entered: &Entered,
        invocation: I,
    ) -> Driven<I::Answer> {
        let deadline = Instant::now() + Duration::from_millis(u64::from(component.manifest.limits.wall_ms));
        let ticks = Ticks::default();
        let work = {
            let (engine, component, ticks) = (self.clone(), component.clone(), ticks.clone());
            Box::pin(async move { engine.run(&component, invocation, ticks, deadline).await })
        };
        let begins = entered.begins(&component.name);
        let heavy = async {
            tokio::select! {
                turn = tokio::time::timeout_at(deadline, entered.heavy_turn()) => turn.ok(),
                () = component.cut.cancelled() => None,
            }
        };
        let mut shared = Duration::ZERO;
        let result = match self.idle_pool.drive(work, &ticks, begins, heavy, &mut shared).await {
            Ok(Some(result)) => result,
            Ok(None) if component.cut.is_cancelled() => Err(Stopped::by(Failure::Cut)),
            // It waited for its caller's other calls, not for the component.
            Ok(None) => Err(Stopped { failure: Failure::OutOfTime, outcome: Outcome::Busy }),
            Err(error) => Err(Stopped::by(Failure::Host(error.to_string()))),
        };
        entered.learn(&component.name, ticks.are_heavy(), shared);
        result
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
            let answered = tokio::select! {
                // Most calls end at the first poll, before `cancelled` is polled.
                biased;
                answered = tokio::time::timeout_at(deadline, running.as_mut()) => answered,
                () = loaded.cut.cancelled() => return Err(Stopped::by(Failure::Cut)),
            };
            // Before the call is dropped, and with it what it waits for.
            (answered, ticks.waits_for_host())
        };
        let unserved = store.data().is_unserved();
        let stopped = |failure: Failure, unserved| {
            let outcome = failure.outcome_of(unserved);
            Err(Stopped { failure, outcome })
        };
        match answered {
            Err(_) => {
                let slow = SLOW.min(u64::from(loaded.manifest.limits.wall_ms) / 2);
                stopped(Failure::OutOfTime, unserved || waited >= slow)
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

    fn store(&self, loaded: &Loaded, call: &Call, client: &str, ticks: Ticks) -> Store<State> {
        let meter = Meter::new(loaded.manifest.limits, ticks);
        let state = State::new(self.shared.clone(), loaded.manifest.clone(), call.clone(), client.to_owned(), meter);
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
struct Running(Arc<Loaded>);

impl Running {
    fn begin(loaded: &Arc<Loaded>) -> Self {
        loaded.counts.begin();
        loaded.total.begin();
        Self(loaded.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.counts.end();
        self.0.total.end();
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
