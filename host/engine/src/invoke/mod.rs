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

use crate::weight::Weight;
use crate::{Call, Engine, Exceeded, Exports, Failure, Loaded, Meter, Outcome, State, Tick, Ticks};
use capability::text;

/// The most bytes that one host call, or the answer of a call, copies from the guest: the largest commit or body, and more
/// than most guests have memory. More is a trap.
const MAX_LIFTED: usize = 20 << 20;
/// The most resources that a call holds at a time. One more is a trap.
const MAX_HANDLES: usize = 1_000;

/// A trigger's call of a component.
pub trait Invocation: Send + Sync + 'static {
    /// The component's answer.
    type Answer: Send + 'static;

    /// The caller and the id.
    fn call(&self) -> &Call;

    /// The trigger in the manifest: a route's path, an event's name.
    fn trigger(&self) -> &str;

    /// How a call with this answer counts.
    fn outcome(&self, _answer: &Self::Answer) -> Outcome {
        Outcome::Answered
    }

    /// Instantiates the component in `store` and calls its export for this trigger.
    fn run(
        &self,
        store: &mut Store<State>,
        exports: &Exports,
    ) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

impl Engine {
    /// Calls a component and counts how it ended, in a task of its own.
    pub async fn invoke<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        invocation: I,
    ) -> Result<I::Answer, Failure> {
        let (engine, component) = (self.clone(), loaded.clone());
        let task = tokio::spawn(async move { engine.drive(&component, invocation).await });
        task.await.unwrap_or_else(|error| Err(Failure::Host(error.to_string())))
    }

    /// The same in the caller's task, which has to poll it to its end.
    pub async fn invoke_here<I: Invocation>(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        invocation: I,
    ) -> Result<I::Answer, Failure> {
        // The state that calls share is behind atomics and locks that stay usable after a panic.
        let driven = AssertUnwindSafe(self.drive(loaded, invocation)).catch_unwind().await;
        driven.unwrap_or_else(|_| Err(Failure::Host("the call panicked".to_owned())))
    }

    /// Instantiates a component once, under its limits and with every capability denied, and drops the instance.
    pub async fn try_out(&self, loaded: &Loaded) -> Result<(), Failure> {
        let call = Call { id: Call::new_id(), identity: None, socket: None };
        let ticks = Ticks::default();
        let mut store = self.store(loaded, &call, ticks.clone());
        store.data_mut().deny();
        let longest = Duration::from_millis(u64::from(loaded.manifest.limits.wall_ms));
        let tried = ticks.during(loaded.exports.instance.instantiate_async(&mut store));
        match tokio::time::timeout(longest, tried).await {
            Err(_) => Err(Failure::OutOfTime),
            Ok(Err(error)) => Err(failure(&store, &error)),
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn drive<I: Invocation>(
        self: &Arc<Self>,
        component: &Arc<Loaded>,
        invocation: I,
    ) -> Result<I::Answer, Failure> {
        let _running = (component.counts.begin(), component.total.begin());
        let deadline = Instant::now() + Duration::from_millis(u64::from(component.manifest.limits.wall_ms));
        let (ticks, weight) = (Ticks::default(), component.weights.get(invocation.trigger()));
        let work = {
            let (engine, component, ticks) = (self.clone(), component.clone(), ticks.clone());
            Box::pin(async move { engine.run(&component, invocation, ticks, deadline).await })
        };
        let driven = self.idle_pool.drive(work, &ticks, weight.is_some_and(Weight::is_heavy)).await;
        let result = driven.unwrap_or_else(|error| Err(Failure::Host(error.to_string())));
        if let Some(weight) = weight {
            weight.learn(ticks.are_heavy());
        }
        let outcome = result.as_ref().map_or_else(Failure::outcome, |(_, outcome)| *outcome);
        component.counts.add(outcome);
        component.total.add(outcome);
        result.map(|(answer, _)| answer)
    }

    async fn run<I: Invocation>(
        &self,
        loaded: &Loaded,
        invocation: I,
        ticks: Ticks,
        deadline: Instant,
    ) -> Result<(I::Answer, Outcome), Failure> {
        let permit = tokio::time::timeout_at(deadline, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Failure::Busy) };
        let mut store = self.store(loaded, invocation.call(), ticks.clone());
        let running = ticks.during(invocation.run(&mut store, &loaded.exports));
        let answered = tokio::select! {
            // Most calls end at the first poll, before `cancelled` is polled.
            biased;
            answered = tokio::time::timeout_at(deadline, running) => answered,
            () = loaded.cut.cancelled() => return Err(Failure::Cut),
        };
        match answered {
            Err(_) => Err(Failure::OutOfTime),
            Ok(Err(error)) => Err(failure(&store, &error)),
            Ok(Ok(answer)) => {
                let outcome = invocation.outcome(&answer);
                Ok((answer, outcome))
            }
        }
    }

    fn store(&self, loaded: &Loaded, call: &Call, ticks: Ticks) -> Store<State> {
        let meter = Meter::new(loaded.manifest.limits, ticks);
        let state = State::new(self.shared.clone(), loaded.manifest.clone(), call.clone(), meter);
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

/// The failure of a call: an exceeded limit, or else a trap.
fn failure(store: &Store<State>, error: &wasmtime::Error) -> Failure {
    if let Some(exceeded) = store.data().meter.exceeded() {
        return Failure::Exceeded(exceeded);
    }
    Failure::Trap(text::cut_format(format_args!("{error:#}"), text::MAX_TRAP))
}
