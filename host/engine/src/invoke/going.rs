//! A call that is going on: in its caller's task, in one of its own, or in the idle pool.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::admission::{Begins, Turn};
use crate::invoke::{Driven, Invocation, Running, Stopped, ended};
use crate::{End, Engine, Entered, Failure, Loaded, Outcome, Ticks};

/// A call that has its turn and has not ended. Dropped, it is given up.
pub(super) struct Going<T> {
    work: Pin<Box<dyn Future<Output = Driven<T>> + Send>>,
    engine: Arc<Engine>,
    loaded: Arc<Loaded>,
    ticks: Ticks,
    deadline: Instant,
    /// How long it was polled on the shared threads.
    shared: Duration,
    // In this order: a call that has a turn has entered.
    turn: Turn,
    entered: Entered,
}

impl<T: Send + 'static> Going<T> {
    /// The call, from now until its deadline. Nothing of it runs before it is polled.
    pub(super) fn begin<I: Invocation<Answer = T>>(
        engine: &Arc<Engine>,
        loaded: &Arc<Loaded>,
        entered: Entered,
        turn: Turn,
        invocation: I,
    ) -> Self {
        let deadline = Instant::now() + Duration::from_millis(u64::from(loaded.manifest.limits.wall_ms));
        let ticks = Ticks::default();
        let run = {
            let (engine, loaded, ticks) = (engine.clone(), loaded.clone(), ticks.clone());
            async move { engine.run(&loaded, invocation, ticks, deadline).await }
        };
        // The state that calls share is behind atomics and locks that stay usable after a panic.
        let run = AssertUnwindSafe(run).catch_unwind();
        let panicked = |_| Err(Stopped::by(Failure::Host("the call panicked".to_owned())));
        let work = Box::pin(run.map(move |ran| ran.unwrap_or_else(panicked)));
        Self {
            work,
            engine: engine.clone(),
            loaded: loaded.clone(),
            ticks,
            deadline,
            shared: Duration::ZERO,
            turn,
            entered,
        }
    }

    /// Polls the call in the caller's task until it is done, or heavy: then in the idle pool, when its turn there has come.
    pub(super) async fn driven(self) -> Driven<T> {
        let Self { engine, loaded, entered, turn, ticks, deadline, mut shared, work } = self;
        let begins = if ticks.are_heavy() { Begins::Heavy } else { turn.begins() };
        let heavy = async {
            tokio::select! {
                turn = tokio::time::timeout_at(deadline, entered.heavy_turn()) => turn.ok(),
                () = loaded.cut.cancelled() => None,
            }
        };
        let driven = match engine.idle_pool.drive(work, &ticks, begins, heavy, &mut shared).await {
            Ok(Some(driven)) => driven,
            Ok(None) if loaded.cut.is_cancelled() => Err(Stopped::by(Failure::Cut)),
            // It waited for its caller's other calls, not for the component.
            Ok(None) => Err(Stopped { failure: Failure::OutOfTime, outcome: Outcome::Busy }),
            Err(error) => Err(Stopped::by(Failure::Host(error.to_string()))),
        };
        entered.end(turn, ticks.are_heavy(), shared);
        driven
    }
}

/// A call in its caller's task. Dropped before it has ended, it goes on in a task of its own.
pub(super) struct InPlace<T: Send + 'static>(Option<(Running, Going<T>)>);

impl<T: Send + 'static> InPlace<T> {
    pub(super) fn new(running: Running, going: Going<T>) -> Self {
        Self(Some((running, going)))
    }

    /// Polls the call to its end; one that computes for long or is for the idle pool, in a task of its own.
    pub(super) async fn ended(mut self) -> Result<(T, End), Failure> {
        let here = self.0.as_ref().is_some_and(|(_, going)| going.turn.begins() == Begins::OnSharedThreads);
        if here && let Some(ended) = poll_fn(|context| self.poll_light(context)).await {
            return ended;
        }
        // Nothing is left only of a call that was polled after its end.
        let Some(rest) = self.0.take() else { return Err(Failure::Host("the call has ended".to_owned())) };
        tokio::spawn(to_its_end(rest)).await.unwrap_or_else(|error| Err(Failure::Host(error.to_string())))
    }

    /// None: the call turns out to be heavy.
    fn poll_light(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(T, End), Failure>>> {
        let Some((_, going)) = &mut self.0 else { return Poll::Ready(None) };
        let begun = Instant::now();
        let polled = going.work.as_mut().poll(context);
        going.shared += begun.elapsed();
        match polled {
            Poll::Ready(driven) => Poll::Ready(self.0.take().map(|(running, going)| {
                let Going { turn, entered, ticks, shared, .. } = going;
                entered.end(turn, ticks.are_heavy(), shared);
                ended(&running.loaded, driven)
            })),
            Poll::Pending if going.ticks.are_heavy() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Drop for InPlace<T> {
    fn drop(&mut self) {
        // Outside of a runtime nothing could poll it.
        if let Some(rest) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(to_its_end(rest));
        }
    }
}

async fn to_its_end<T: Send + 'static>((running, going): (Running, Going<T>)) -> Result<(T, End), Failure> {
    let driven = going.driven().await;
    ended(&running.loaded, driven)
}
