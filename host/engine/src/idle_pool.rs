//! The idle pool: a few threads of the lowest priority, where heavy guests run on.
//!
//! A guest that answers quickly gets here only when its caller has had much of the shared threads. One that keeps running is
//! moved from them between two of its ticks, and finishes (or reaches its limit) on CPU time that no other thread uses. Only the
//! guest is here: what stores do for it, under their locks, runs on the runtime that it came from.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::runtime::Handle;
use tokio::task::JoinError;

use crate::Ticks;
use crate::admission::{Begins, HeavyTurn};

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

    /// Runs `work` to its end, where it `begins` and, once it is heavy and its `turn` has come, in the pool. None: there was no
    /// turn for it. The time that it was polled on the caller's task is added to `shared`.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        mut work: Work<T>,
        ticks: &Ticks,
        begins: Begins,
        turn: impl Future<Output = Option<HeavyTurn>>,
        shared: &mut Duration,
    ) -> Result<Option<T>, JoinError> {
        let light = match begins {
            Begins::Heavy => None,
            Begins::OnSharedThreads => {
                let mut light = pin!(light(&mut work, ticks));
                std::future::poll_fn(|context| {
                    let begun = Instant::now();
                    let polled = light.as_mut().poll(context);
                    *shared += begun.elapsed();
                    polled
                })
                .await
            }
            Begins::InPool => {
                let ticks = ticks.clone();
                let mut lent = Lent::here(work);
                let (done, lent) = self.run(async move { (light(&mut lent, &ticks).await, lent) }).await?;
                work = lent.work;
                done
            }
        };
        if let Some(done) = light {
            return Ok(Some(done));
        }
        let Some(turn) = turn.await else { return Ok(None) };
        let lent = Lent::here(work);
        // The turn ends here: admission's lock is not for a thread of the lowest priority.
        let (done, turn) = self.run(async move { (lent.await, turn) }).await?;
        drop(turn);
        Ok(Some(done))
    }

    /// Runs a task in the pool.
    async fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError> {
        match &self.0 {
            Some(pool) => pool.spawn(task).await,
            None => Ok(task.await),
        }
    }
}

/// A call's work.
type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls work until it is done, or heavy (none).
async fn light<T>(work: &mut (impl Future<Output = T> + Unpin), ticks: &Ticks) -> Option<T> {
    std::future::poll_fn(|context| match Pin::new(&mut *work).poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if ticks.are_heavy() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// A call in the pool. The tasks, timers and blocking work that it begins are its home's, whose threads have the usual
/// priority: a store's transaction does not wait, with its locks, until the machine has nothing else to do.
struct Lent<T> {
    home: Handle,
    work: Work<T>,
}

impl<T> Lent<T> {
    /// Of the current runtime.
    fn here(work: Work<T>) -> Self {
        Self { home: Handle::current(), work }
    }
}

impl<T> Future for Lent<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Self { home, work } = &mut *self;
        let _home = home.enter();
        work.as_mut().poll(context)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::admission::{Admission, AdmissionOptions, Caller};

    fn thread() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_a_call_in_the_pool_begins_runs_outside_of_it() {
        let pool = IdlePool::new(1).unwrap();
        let admission = Arc::new(Admission::new(AdmissionOptions::default(), Arc::default()));
        let entered = admission.enter(Caller::Unlimited, false).unwrap();
        let work = Box::pin(async {
            let begun = thread();
            let spawned = tokio::spawn(async {
                let first = thread();
                tokio::time::sleep(Duration::from_millis(1)).await;
                // What it spawns in turn as well.
                let second = tokio::spawn(async { thread() }).await.unwrap();
                [first, thread(), second]
            });
            let spawned = spawned.await.unwrap();
            let blocking = tokio::task::spawn_blocking(thread).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            ([begun, thread()], spawned, blocking)
        });
        let turn = async { Some(entered.heavy_turn().await) };
        let mut shared = Duration::ZERO;
        let done = pool.drive(work, &Ticks::default(), Begins::Heavy, turn, &mut shared).await.unwrap();
        let (guest, spawned, blocking) = done.unwrap();
        assert_eq!(shared, Duration::ZERO);
        assert_eq!(guest, ["idle-pool", "idle-pool"]);
        assert!(spawned.iter().chain([&blocking]).all(|thread| thread != "idle-pool"), "{spawned:?}, {blocking}");
    }

    #[tokio::test]
    async fn a_light_call_in_the_pool_needs_no_turn() {
        let pool = IdlePool::new(1).unwrap();
        let turn = async { panic!("it waits for a turn") };
        let work = Box::pin(async {
            tokio::task::yield_now().await;
            thread()
        });
        let mut shared = Duration::ZERO;
        let done = pool.drive(work, &Ticks::default(), Begins::InPool, turn, &mut shared).await.unwrap();
        assert_eq!(done.as_deref(), Some("idle-pool"));
    }

    #[tokio::test]
    async fn the_time_of_polls_outside_of_the_pool_is_known() {
        let pool = IdlePool::new(1).unwrap();
        let spin = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(5) {}
        };
        let work = Box::pin(async move {
            spin();
            tokio::time::sleep(Duration::from_millis(500)).await;
            spin();
        });
        let mut shared = Duration::ZERO;
        let turn = std::future::ready(None);
        assert!(
            pool.drive(work, &Ticks::default(), Begins::OnSharedThreads, turn, &mut shared).await.unwrap().is_some()
        );
        assert!(shared >= Duration::from_millis(10), "{shared:?}");
        assert!(shared < Duration::from_millis(500), "waiting is not polling: {shared:?}");
    }
}
