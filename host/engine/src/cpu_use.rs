//! How busy this host is: the share of all cores that its process has used just now. Touches the system's clocks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long the share is measured.
const WINDOW: Duration = Duration::from_millis(100);
/// From this share of all cores on, in thousandths, a host is busy: its stores and clients are most often on other cores than it,
/// or have the rest.
const BUSY: u32 = 250;

/// The share of all cores that this process used in the last window, in thousandths.
#[derive(Debug, Default)]
pub(super) struct CpuUse(AtomicU32);

impl CpuUse {
    /// Whether requests want the cores.
    pub(super) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= BUSY
    }
}

/// Measures, each time that it is asked to.
pub(super) struct Measuring {
    since: Instant,
    used: Duration,
    cores: u32,
}

impl Measuring {
    /// From now on.
    pub(super) fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { since: Instant::now(), used: used(), cores: u32::try_from(cores).unwrap_or(u32::MAX) }
    }

    /// Stores the share of the window, when one is over.
    pub(super) fn tick(&mut self, cpu_use: &CpuUse) {
        let time = self.since.elapsed();
        if time >= WINDOW {
            let used = used();
            cpu_use.0.store(share(used.saturating_sub(self.used), time, self.cores), Ordering::Relaxed);
            (self.since, self.used) = (Instant::now(), used);
        }
    }
}

/// In thousandths.
fn share(used: Duration, time: Duration, cores: u32) -> u32 {
    let all = time.as_micros().saturating_mul(u128::from(cores)).max(1);
    u32::try_from(used.as_micros().saturating_mul(1_000) / all).unwrap_or(u32::MAX)
}

/// The CPU time of this process, in the kernel and outside of it.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_busy_when_it_uses_a_quarter_of_the_cores() {
        let millis = Duration::from_millis;
        assert_eq!(share(millis(50), millis(100), 2), 250);
        assert_eq!((share(millis(0), millis(100), 2), share(millis(9), millis(0), 2)), (0, 9_000_000));
        let cpu_use = CpuUse::default();
        assert!(!cpu_use.is_busy());
        let mut measuring = Measuring { cores: 1, ..Measuring::begin() };
        let begun = Instant::now();
        while begun.elapsed() < WINDOW {
            std::hint::spin_loop();
        }
        measuring.tick(&cpu_use);
        // Of a window in which this thread alone computed, unless others had the core.
        let first = cpu_use.0.load(Ordering::Relaxed);
        assert!(first > 0);
        measuring.tick(&cpu_use);
        assert_eq!(cpu_use.0.load(Ordering::Relaxed), first, "the next window is not over");
    }
}
