//! The meter: the resources that one call of a component uses, and the limits of its manifest.
//!
//! Memory and tables are counted for the whole instance, not for each memory; CPU in ticks of the guest's own running time.
//! The limit of wall-clock time is in `invoke`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use manifest::Limits;

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

/// How many ticks of its own running time a call has used; shared between its meter and the task that polls it.
#[derive(Debug, Clone, Default)]
pub struct Ticks(Arc<AtomicU32>);

impl Ticks {
    /// Whether that is more than a light guest uses.
    pub fn are_heavy(&self) -> bool {
        self.0.load(Ordering::Relaxed) > LIGHT_TICKS
    }
}

/// Counts what one call uses.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    ticks: Ticks,
    host_calls: u32,
    /// There was a host call since the last tick: the time since then is not the guest's.
    in_host: bool,
    memory: usize,
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
    /// It is stopped: its time is used up.
    Spent,
}

impl Meter {
    /// For a call with these limits; its running time is counted in `ticks`.
    pub fn new(limits: Limits, ticks: Ticks) -> Self {
        Self { limits, ticks, host_calls: 0, in_host: false, memory: 0, table_elements: 0, exceeded: None }
    }

    /// The limit that this call exceeded, if any.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Counts a call into the host.
    pub fn host_call(&mut self) -> Result<(), Exceeded> {
        self.host_calls += 1;
        self.in_host = true;
        if self.host_calls > self.limits.host_calls {
            self.exceeded = Some(Exceeded::HostCalls);
            return Err(Exceeded::HostCalls);
        }
        Ok(())
    }

    /// The ticker ticked while the guest ran.
    pub fn tick(&mut self) -> Tick {
        // The time of host calls is not counted; their number is limited.
        if std::mem::take(&mut self.in_host) {
            return Tick::Yield;
        }
        let ticks = self.ticks.0.fetch_add(1, Ordering::Relaxed) + 1;
        if ticks > self.limits.cpu_ms {
            self.exceeded = Some(Exceeded::Cpu);
            return Tick::Spent;
        }
        // It yields at the first heavy tick, to be moved to the idle pool.
        if ticks <= LIGHT_TICKS + 1 || ticks.is_multiple_of(SLICE) { Tick::Yield } else { Tick::GoOn }
    }
}

impl wasmtime::ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory_kib as usize * 1024 {
            self.exceeded = Some(Exceeded::Memory);
            return Ok(false);
        }
        self.memory = total;
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
    fn running_time_ends() {
        let mut meter = meter(Limits { cpu_ms: 3, ..Limits::default() });
        for _ in 0..3 {
            assert!(!matches!(meter.tick(), Tick::Spent));
        }
        assert!(matches!(meter.tick(), Tick::Spent));
        assert_eq!(meter.exceeded(), Some(Exceeded::Cpu));
    }

    #[test]
    fn waiting_for_the_host_is_not_running() {
        let mut meter = meter(Limits { cpu_ms: 1, ..Limits::default() });
        for _ in 0..100 {
            meter.host_call().unwrap();
            assert!(matches!(meter.tick(), Tick::Yield));
        }
    }

    #[test]
    fn a_guest_that_goes_on_is_heavy_and_has_longer_turns() {
        let ticks = Ticks::default();
        let mut meter = Meter::new(Limits::default(), ticks.clone());
        for _ in 0..LIGHT_TICKS {
            assert_eq!(meter.tick(), Tick::Yield);
            assert!(!ticks.are_heavy());
        }
        assert_eq!(meter.tick(), Tick::Yield);
        assert!(ticks.are_heavy());
        let slice: Vec<Tick> = (LIGHT_TICKS + 2..=SLICE).map(|_| meter.tick()).collect();
        assert_eq!(slice.iter().filter(|tick| **tick == Tick::Yield).count(), 1);
        assert_eq!(slice.last(), Some(&Tick::Yield));
    }
}
