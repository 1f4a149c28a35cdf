//! The slow lane: a few threads of the lowest priority, where heavy guests go on.
//!
//! A guest that answers quickly never comes here. One that keeps running is taken off the threads that everybody shares,
//! between two of its ticks, and finishes (or meets its limit) where it can only use what nobody else wants.

use std::pin::Pin;
use std::task::Poll;

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::task::JoinError;

use super::Ticks;

/// Threads of the lowest priority.
pub(super) struct SlowLane(Option<tokio::runtime::Runtime>);

impl SlowLane {
    /// With so many threads.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("slow-lane")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Drives `work` on the caller's task until it is done or heavy; then, or from the beginning when it is expected to
    /// be, it goes on in the lane.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        mut work: Pin<Box<dyn Future<Output = T> + Send>>,
        ticks: &Ticks,
        expected: bool,
    ) -> Result<T, JoinError> {
        let light = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if ticks.are_heavy() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let done = if expected { None } else { light.await };
        match (done, &self.0) {
            (Some(done), _) => Ok(done),
            (None, Some(lane)) => lane.spawn(work).await,
            (None, None) => Ok(work.await),
        }
    }
}

impl Drop for SlowLane {
    fn drop(&mut self) {
        // A host may be dropped on an async task, where waiting for threads is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// To the idle policy: such a thread gives way the moment any other one wants to run. A merely low priority (nice 19)
/// keeps the core until its slice is over, some milliseconds, which every good request then waits.
fn lower_priority() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let me = thread_priority::thread_native_id();
    if let Err(error) = thread_priority::set_thread_priority_and_policy(me, ThreadPriority::Min, idle) {
        tracing::warn!(?error, "the slow lane runs at the usual priority");
    }
}
