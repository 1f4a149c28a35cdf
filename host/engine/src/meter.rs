//! The meter: the resources that one call of a component uses, and the limits of its manifest.
//!
//! Memory and tables are counted for the whole instance, not for each memory; CPU as the guest's own time on its thread, without
//! that of host functions. The limit of wall-clock time is in `invoke`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use manifest::Limits;
use rustix::time::{ClockId, clock_gettime};

/// A limit that a call exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Exceeded {
    /// CPU: its own running time.
    #[error("it ran for longer than its limits.cpu-ms")]
    Cpu,
    /// Memory or tables.
    #[error("it asked for more than its limits.memory-kib or limits.table-elements")]
    Memory,
    /// Calls into the host.
    #[error("it made more than its limits.host-calls")]
    HostCalls,
}

/// Ticks after which a guest counts as heavy and runs on in the idle pool.
const LIGHT_TICKS: u32 = 1;
/// Ticks between two yields of a heavy guest in the idle pool. With shorter slices all heavy guests would end late and at
/// the same time, and their callers come back at the same time.
const SLICE: u32 = 25;

/// No host function runs.
const OUTSIDE: u64 = 0;
/// One does, and has not made the guest wait: most never do, and cost no look at the clock.
const INSIDE: u64 = 1;

/// A tick, in nanoseconds.
const TICK: u64 = 1_000_000;

/// The running time of a call; shared between its meter and the task that polls it.
///
/// Most calls end before the first tick, and cost nothing here. From then on the CPU time of the thread is read whenever the
/// guest goes on or stops: at the begin and the end of each poll, of each host function, and at each tick. All of these are on
/// the one thread that polls the call at the time.
#[derive(Debug, Clone, Default)]
pub struct Ticks(Arc<RunningTime>);

#[derive(Debug, Default)]
struct RunningTime {
    /// There was a tick.
    is_measured: AtomicBool,
    /// A host function runs, or waits.
    is_in_host: AtomicBool,
    /// Since when the guest waits for it, in milliseconds of a coarse clock; or [`OUTSIDE`], or [`INSIDE`].
    host_since: AtomicU64,
    /// The CPU time of the thread when the guest went on, in nanoseconds.
    since: AtomicU64,
    /// The guest's own time, in nanoseconds.
    used: AtomicU64,
}

impl Ticks {
    /// Whether that is more than a light guest uses.
    pub fn are_heavy(&self) -> bool {
        self.count() > LIGHT_TICKS
    }

    /// Polls a call to its end.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.go_on(cpu_time);
            let polled = call.as_mut().poll(context);
            if polled.is_pending() {
                self.waits_for_host();
            }
            self.stop(cpu_time);
            polled
        })
        .await
    }

    /// A host function begins. It ends when the result is dropped.
    fn in_host(&self, now: impl FnOnce() -> u64) -> HostTime {
        self.0.host_since.store(INSIDE, Ordering::Relaxed);
        let is_measured = self.0.is_measured.load(Ordering::Relaxed);
        if is_measured {
            self.stop(now);
            self.0.is_in_host.store(true, Ordering::Relaxed);
        }
        HostTime { ticks: self.clone(), is_measured }
    }

    /// For how long the guest has waited for the host function that it is in, in milliseconds; counted from when this is first
    /// asked while it is in there.
    pub(crate) fn waits_for_host(&self) -> u64 {
        match self.0.host_since.load(Ordering::Relaxed) {
            OUTSIDE => 0,
            INSIDE => {
                self.0.host_since.store(coarse_time().max(INSIDE + 1), Ordering::Relaxed);
                0
            }
            since => coarse_time().saturating_sub(since),
        }
    }

    /// The host function has ended.
    fn leave_host(&self, now: impl FnOnce() -> u64) {
        self.0.is_in_host.store(false, Ordering::Relaxed);
        self.go_on(now);
    }

    /// The guest goes on, unless a host function does.
    fn go_on(&self, now: impl FnOnce() -> u64) {
        if self.is_running() {
            self.0.since.store(now(), Ordering::Relaxed);
        }
    }

    /// The guest stops, unless a host function does.
    fn stop(&self, now: impl FnOnce() -> u64) {
        if self.is_running() {
            let ran = now().saturating_sub(self.0.since.load(Ordering::Relaxed));
            self.0.used.fetch_add(ran, Ordering::Relaxed);
        }
    }

    /// A tick while the guest runs. The time before the first one is unknown: a whole tick at most, and most of it may have been
    /// a host function's when there was one.
    fn tick(&self, now: u64, called_host: bool) {
        if self.0.is_measured.swap(true, Ordering::Relaxed) {
            self.stop(|| now);
        } else if !called_host {
            self.0.used.store(TICK, Ordering::Relaxed);
        }
        self.go_on(|| now);
    }

    fn is_running(&self) -> bool {
        self.0.is_measured.load(Ordering::Relaxed) && !self.0.is_in_host.load(Ordering::Relaxed)
    }

    /// The time in ticks, rounded.
    fn count(&self) -> u32 {
        u32::try_from((self.0.used.load(Ordering::Relaxed) + TICK / 2) / TICK).unwrap_or(u32::MAX)
    }
}

/// The time of a host function, which is not the guest's. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "the time is the guest's again when this is dropped"]
pub struct HostTime {
    ticks: Ticks,
    /// The guest was measured when it began.
    is_measured: bool,
}

impl Drop for HostTime {
    fn drop(&mut self) {
        self.ticks.0.host_since.store(OUTSIDE, Ordering::Relaxed);
        if self.is_measured {
            self.ticks.leave_host(cpu_time);
        }
    }
}

/// A clock that only goes forward, in milliseconds; exact to a few of them.
fn coarse_time() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The CPU time that this thread has used, in nanoseconds.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The memory of a call: its instance's, and what the host holds for it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryUse(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    most: usize,
    used: AtomicUsize,
}

impl MemoryUse {
    fn new(most: usize) -> Self {
        Self(Arc::new(Bytes { most, used: AtomicUsize::new(0) }))
    }

    /// Counts so many bytes more, or none of them when that is too much.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), Exceeded> {
        let more = |used: usize| used.checked_add(bytes).filter(|total| *total <= self.0.most);
        let grown = self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        grown.map(drop).map_err(|_| Exceeded::Memory)
    }
}

/// Counts what one call uses.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    ticks: Ticks,
    host_calls: u32,
    /// There was a host call since the last tick.
    called_host: bool,
    /// Ticks of a heavy guest since it yielded.
    slice: u32,
    memory: MemoryUse,
    table_elements: usize,
    exceeded: Option<Exceeded>,
}

/// What happens to a guest after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// It yields.
    Yield,
    /// It goes on.
    GoOn,
    /// It is stopped: its time or its host calls are used up.
    Spent,
}

impl Meter {
    /// For a call with these limits; its running time is counted in `ticks`.
    pub fn new(limits: Limits, ticks: Ticks) -> Self {
        let (called_host, exceeded) = (false, None);
        let memory = MemoryUse::new(limits.memory_kib as usize * 1024);
        Self { limits, ticks, host_calls: 0, called_host, slice: 0, memory, table_elements: 0, exceeded }
    }

    /// The limit that this call exceeded, if any.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// The memory of the call, to count what the host holds for it.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.memory.clone()
    }

    /// Counts a call into the host, whose time is not the guest's until the result is dropped.
    pub fn host_call(&mut self) -> Result<HostTime, Exceeded> {
        self.count_host_call()?;
        Ok(self.ticks.in_host(cpu_time))
    }

    /// Counts a call into the host whose time is the guest's. After one too many the next tick stops the guest.
    pub(crate) fn count_host_call(&mut self) -> Result<(), Exceeded> {
        self.host_calls = self.host_calls.saturating_add(1);
        self.called_host = true;
        if self.host_calls > self.limits.host_calls {
            self.exceeded = Some(Exceeded::HostCalls);
            return Err(Exceeded::HostCalls);
        }
        Ok(())
    }

    /// How many calls into the host there were.
    pub(crate) fn host_calls(&self) -> u32 {
        self.host_calls
    }

    /// Whether the guest made more host calls than it may.
    pub(crate) fn called_too_often(&self) -> bool {
        self.exceeded == Some(Exceeded::HostCalls)
    }

    /// The ticker ticked while the guest ran.
    pub fn tick(&mut self) -> Tick {
        self.tick_at(cpu_time())
    }

    fn tick_at(&mut self, now: u64) -> Tick {
        let was_heavy = self.ticks.are_heavy();
        self.ticks.tick(now, std::mem::take(&mut self.called_host));
        if self.called_too_often() {
            return Tick::Spent;
        }
        if self.ticks.count() > self.limits.cpu_ms {
            self.exceeded = Some(Exceeded::Cpu);
            return Tick::Spent;
        }
        // It yields at the first heavy tick, to be moved to the idle pool.
        if !was_heavy {
            return Tick::Yield;
        }
        self.slice += 1;
        if self.slice.is_multiple_of(SLICE) { Tick::Yield } else { Tick::GoOn }
    }
}

impl wasmtime::ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if let Err(exceeded) = self.memory.grow(desired.saturating_sub(current)) {
            self.exceeded = Some(exceeded);
            return Ok(false);
        }
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements as usize {
            self.exceeded = Some(Exceeded::Memory);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use wasmtime::ResourceLimiter as _;

    use super::*;

    fn meter(limits: Limits) -> Meter {
        Meter::new(limits, Ticks::default())
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut meter = meter(Limits { memory_kib: 128, ..Limits::default() });
        assert!(meter.memory_growing(0, 65_536, None).unwrap());
        assert!(meter.memory_growing(0, 65_536, None).unwrap());
        assert!(!meter.memory_growing(65_536, 65_537, None).unwrap());
        assert_eq!(meter.exceeded(), Some(Exceeded::Memory));
    }

    #[test]
    fn what_the_host_holds_is_memory_too() {
        let mut meter = meter(Limits { memory_kib: 128, ..Limits::default() });
        let held = meter.memory();
        held.grow(65_536).unwrap();
        assert!(meter.memory_growing(0, 65_536, None).unwrap());
        assert_eq!(held.grow(1), Err(Exceeded::Memory));
        assert!(!meter.memory_growing(65_536, 65_537, None).unwrap());
    }

    #[test]
    fn one_host_call_too_many_ends_at_the_next_tick() {
        let mut meter = meter(Limits { host_calls: 2, ..Limits::default() });
        assert_eq!([meter.count_host_call(), meter.count_host_call()], [Ok(()), Ok(())]);
        assert_ne!(meter.tick(), Tick::Spent);
        assert_eq!(meter.count_host_call(), Err(Exceeded::HostCalls));
        assert_eq!((meter.tick(), meter.exceeded()), (Tick::Spent, Some(Exceeded::HostCalls)));
    }

    /// A guest that runs by a clock of the test, in nanoseconds.
    struct Guest {
        meter: Meter,
        ticks: Ticks,
        now: u64,
    }

    impl Guest {
        fn new(cpu_ms: u32) -> Self {
            let ticks = Ticks::default();
            let meter = Meter::new(Limits { cpu_ms, host_calls: 1_000_000, ..Limits::default() }, ticks.clone());
            Self { meter, ticks, now: 5_000_000_000 }
        }

        /// Runs for so long.
        fn run(&mut self, micros: u64) {
            self.now += micros * 1_000;
        }

        fn tick(&mut self) -> Tick {
            self.meter.tick_at(self.now)
        }

        /// Calls a host function that takes so long.
        fn call(&mut self, micros: u64) {
            self.meter.called_host = true;
            let host = self.ticks.in_host(|| self.now);
            let is_measured = host.is_measured;
            // It would read the thread's clock.
            std::mem::forget(host);
            self.now += micros * 1_000;
            if is_measured {
                self.ticks.leave_host(|| self.now);
            }
        }

        /// Is not polled, and goes on on a thread with another clock.
        fn wait(&mut self, other_clock: u64) {
            self.ticks.stop(|| self.now);
            self.now = other_clock;
            self.ticks.go_on(|| self.now);
        }
    }

    #[test]
    fn running_time_ends() {
        let mut guest = Guest::new(3);
        for _ in 0..3 {
            guest.run(1_000);
            assert_ne!(guest.tick(), Tick::Spent);
        }
        guest.run(1_000);
        assert_eq!(guest.tick(), Tick::Spent);
        assert_eq!(guest.meter.exceeded(), Some(Exceeded::Cpu));
    }

    /// Attack (57): a host call in each tick, to hide CPU time. Outcome: the guest's own time is measured.
    #[test]
    fn a_host_call_a_tick_hides_nothing() {
        let mut guest = Guest::new(20);
        let ended = (0..1_000).find(|_| {
            guest.run(900);
            guest.call(1);
            guest.run(99);
            guest.tick() == Tick::Spent
        });
        assert!(ended.is_some_and(|ticks| (20..=22).contains(&ticks)), "{ended:?}");
    }

    #[test]
    fn the_hosts_time_is_not_the_guests() {
        let mut guest = Guest::new(2);
        for _ in 0..1_000 {
            guest.run(1);
            guest.call(5_000);
            assert_eq!(guest.tick(), Tick::Yield);
        }
        assert!(!guest.ticks.are_heavy());
    }

    #[test]
    fn waiting_is_not_running_and_threads_have_clocks_of_their_own() {
        let mut guest = Guest::new(2);
        for n in 0..100 {
            guest.run(10);
            assert_ne!(guest.tick(), Tick::Spent);
            guest.wait(if n % 2 == 0 { 900_000_000_000 } else { 7 });
        }
    }

    #[test]
    fn a_host_function_may_wait_too() {
        let mut guest = Guest::new(2);
        guest.run(1_000);
        guest.tick();
        let host = guest.ticks.in_host(|| guest.now);
        guest.wait(1_000_000_000_000);
        guest.wait(3);
        std::mem::forget(host);
        guest.ticks.leave_host(|| guest.now);
        assert_eq!(guest.ticks.count(), 1);
        guest.run(400);
        guest.tick();
        assert_eq!(guest.ticks.count(), 1);
        guest.run(200);
        guest.tick();
        assert_eq!(guest.ticks.count(), 2);
    }

    #[test]
    fn a_guest_that_goes_on_is_heavy_and_has_longer_turns() {
        let mut guest = Guest::new(1_000);
        for _ in 0..LIGHT_TICKS {
            guest.run(1_000);
            assert_eq!(guest.tick(), Tick::Yield);
            assert!(!guest.ticks.are_heavy());
        }
        guest.run(1_000);
        assert_eq!(guest.tick(), Tick::Yield);
        assert!(guest.ticks.are_heavy());
        let slice = (0..SLICE).map(|_| {
            guest.run(1_000);
            guest.tick()
        });
        let slice: Vec<Tick> = slice.collect();
        assert_eq!(slice.iter().filter(|tick| **tick == Tick::Yield).count(), 1);
        assert_eq!(slice.last(), Some(&Tick::Yield));
    }

    #[test]
    fn a_wait_for_the_host_is_known_while_it_lasts() {
        let ticks = Ticks::default();
        assert_eq!(ticks.waits_for_host(), 0);
        let host = ticks.in_host(cpu_time);
        while ticks.waits_for_host() < 20 {
            std::thread::yield_now();
        }
        drop(host);
        assert_eq!(ticks.waits_for_host(), 0);
    }

    #[test]
    fn the_clock_is_that_of_the_thread() {
        let begun = cpu_time();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(cpu_time() - begun < 10 * TICK, "sleeping takes no time of it");
        let mut number = 1_u64;
        while cpu_time() - begun < 2 * TICK {
            number = std::hint::black_box(number.wrapping_mul(31));
        }
    }

    #[tokio::test]
    async fn a_call_that_is_left_waiting_in_a_host_function_is_timed_from_then() {
        let ticks = Ticks::default();
        let call = async {
            let _host = ticks.in_host(cpu_time);
            assert_eq!(ticks.0.host_since.load(Ordering::Relaxed), INSIDE, "nothing waits yet");
            std::future::pending::<()>().await;
        };
        let mut call = pin!(ticks.during(call));
        assert!(call.as_mut().now_or_never().is_none());
        assert!(ticks.0.host_since.load(Ordering::Relaxed) > INSIDE);
        while ticks.waits_for_host() < 20 {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn only_polls_count() {
        let ticks = Ticks::default();
        ticks.tick(cpu_time(), true);
        ticks.during(tokio::time::sleep(std::time::Duration::from_millis(30))).await;
        assert!(!ticks.are_heavy());
        let spins = async {
            let begun = cpu_time();
            while cpu_time() - begun < 3 * TICK {}
        };
        ticks.during(spins).await;
        assert!(ticks.are_heavy());
    }
}
