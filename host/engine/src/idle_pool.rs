//! The idle pool: a few threads of the lowest priority, where heavy guests run on.
//!
//! A guest that answers quickly never gets here. One that keeps running is moved from the shared threads between two of its
//! ticks, and finishes (or reaches its limit) on CPU time that no other thread uses.

use std::pin::Pin;
use std::task::Poll;

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::task::JoinError;

use crate::Ticks;
use crate::admission::HeavyTurn;

/// Threads of the lowest priority.
pub(super) struct IdlePool(Option<tokio::runtime::Runtime>);

impl IdlePool {
    /// With this number of threads.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("idle-pool")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Polls `work` on the caller's task until it is done or heavy; then, when its `turn` has come, in the pool; from the start
    /// in the pool when it is `expected` to be heavy. None: there was no turn for it.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        mut work: Pin<Box<dyn Future<Output = T> + Send>>,
        ticks: &Ticks,
        expected: bool,
        turn: impl Future<Output = Option<HeavyTurn>>,
    ) -> Result<Option<T>, JoinError> {
        let light = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if ticks.are_heavy() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if !expected && let Some(done) = light.await {
            return Ok(Some(done));
        }
        let Some(turn) = turn.await else { return Ok(None) };
        let work = async move {
            let done = work.await;
            drop(turn);
            done
        };
        match &self.0 {
            Some(pool) => pool.spawn(work).await.map(Some),
            None => Ok(Some(work.await)),
        }
    }
}

impl Drop for IdlePool {
    fn drop(&mut self) {
        // A host may be dropped on an async task, which may not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sets the thread to `SCHED_IDLE`: it yields as soon as any other thread can run. With a low priority only (nice 19) it
/// would keep the core for its time slice, some milliseconds, while requests wait.
fn lower_priority() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let me = thread_priority::thread_native_id();
    if let Err(error) = thread_priority::set_thread_priority_and_policy(me, ThreadPriority::Min, idle) {
        tracing::warn!(?error, "the idle pool runs at the usual priority");
    }
}
