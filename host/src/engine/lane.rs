//! The slow lane: a few threads of the lowest priority, where heavy guests go on.
//!
//! A guest that answers quickly never comes here. One that keeps running is taken off the threads that everybody shares,
//! between two of its ticks, and finishes (or meets its limit) where it can only use what nobody else wants.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::task::JoinError;

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

    /// Drives `work` on the caller's task until it is done or `heavy` is raised; then it goes on in the lane.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        mut work: Pin<Box<dyn Future<Output = T> + Send>>,
        heavy: &Arc<AtomicBool>,
    ) -> Result<T, JoinError> {
        let light = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if heavy.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match (light.await, &self.0) {
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

/// Of this thread only: on Linux a thread has a priority of its own.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19) {
        tracing::warn!(%error, "the slow lane runs at the usual priority");
    }
}
