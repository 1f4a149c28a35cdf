//! Limits: how much one call of a component may use, and the meter that counts it.
//!
//! Memory and tables are counted over the whole instance, not for each memory; CPU in ticks of the guest's own running
//! time; the wall clock is the invocation's business (`invoke`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

/// What one call may use. Every field has a default that suits a small handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// The guest's own running time, in milliseconds (1 to 60,000).
    pub cpu_ms: u32,
    /// From the first byte of work to the answer, waiting included, in milliseconds (1 to 300,000).
    pub wall_ms: u32,
    /// All memories together, in KiB (64 to 65,536).
    pub memory_kib: u32,
    /// The elements of all tables together (0 to 20,000).
    pub table_elements: u32,
    /// Calls into the host (1 to 100,000).
    pub host_calls: u32,
    /// The largest request body, in KiB (0 to 16,384).
    pub body_kib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_ms: 250,
            wall_ms: 10_000,
            memory_kib: 16_384,
            table_elements: 10_000,
            host_calls: 1_000,
            body_kib: 256,
        }
    }
}

impl Limits {
    /// The most memory that any component may ask for, in KiB; pool slots are this large.
    pub const MAX_MEMORY_KIB: u32 = 65_536;
    /// The most table elements that any component may ask for; pool slots are this large.
    pub const MAX_TABLE_ELEMENTS: u32 = 20_000;

    /// The least that a component may ask for.
    pub const LEAST: Self =
        Self { cpu_ms: 1, wall_ms: 1, memory_kib: 64, table_elements: 0, host_calls: 1, body_kib: 0 };
    /// The most that any component may ask for.
    pub const MOST: Self = Self {
        cpu_ms: 60_000,
        wall_ms: 300_000,
        memory_kib: Self::MAX_MEMORY_KIB,
        table_elements: Self::MAX_TABLE_ELEMENTS,
        host_calls: 100_000,
        body_kib: 16_384,
    };

    /// Refuses what is outside the ranges above: the field, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let bounds = Self::LEAST.named().into_iter().zip(Self::MOST.named());
        for ((name, value), ((_, least), (_, most))) in self.named().into_iter().zip(bounds) {
            if !(least..=most).contains(&value) {
                return Err((name, format!("limits.{name} takes {least} to {most}, not {value}")));
            }
        }
        Ok(())
    }

    /// The first that is larger than the operator's: its name, what it is, and what the operator allows.
    pub fn beyond(&self, ceilings: &Self) -> Option<(&'static str, u32, u32)> {
        let pairs = self.named().into_iter().zip(ceilings.named());
        pairs.into_iter().find_map(|((name, value), (_, most))| (value > most).then_some((name, value, most)))
    }

    /// As a manifest names them.
    fn named(&self) -> [(&'static str, u32); 6] {
        [
            ("cpu-ms", self.cpu_ms),
            ("wall-ms", self.wall_ms),
            ("memory-kib", self.memory_kib),
            ("table-elements", self.table_elements),
            ("host-calls", self.host_calls),
            ("body-kib", self.body_kib),
        ]
    }
}

/// A limit that a call went past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Exceeded {
    /// Of its own running time.
    #[error("it ran for longer than its limits.cpu-ms")]
    Cpu,
    /// Of memory or tables.
    #[error("it asked for more than its limits.memory-kib or limits.table-elements")]
    Memory,
    /// Of calls into the host.
    #[error("it made more than its limits.host-calls")]
    HostCalls,
}

/// Ticks after which a guest counts as heavy and goes on in the slow lane.
const LIGHT_TICKS: u32 = 1;
/// Ticks for which a heavy guest has its thread of the slow lane to itself: turns that are shorter would have all of them
/// end at once, late, and their callers come back at once.
const TURN: u32 = 25;

/// How many ticks of its own running time a call has used; shared between its meter and who drives it.
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
    /// A host call was made since the last tick: the time until now was not the guest's.
    away: bool,
    memory: usize,
    table_elements: usize,
    exceeded: Option<Exceeded>,
}

/// What a guest does after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Lets others run first.
    Yield,
    /// Goes on at once.
    GoOn,
    /// Ends: its time is used up.
    Spent,
}

impl Meter {
    /// For a call with these limits, which counts its running time in `ticks`.
    pub fn new(limits: Limits, ticks: Ticks) -> Self {
        Self { limits, ticks, host_calls: 0, away: false, memory: 0, table_elements: 0, exceeded: None }
    }

    /// The limit that this call went past, if any.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Counts a call into the host.
    pub fn host_call(&mut self) -> Result<(), Exceeded> {
        self.host_calls += 1;
        self.away = true;
        if self.host_calls > self.limits.host_calls {
            self.exceeded = Some(Exceeded::HostCalls);
            return Err(Exceeded::HostCalls);
        }
        Ok(())
    }

    /// The ticker ticked while the guest ran.
    pub fn tick(&mut self) -> Tick {
        // Time spent in host calls is not the guest's. It can't hide behind them: their number is limited too.
        if std::mem::take(&mut self.away) {
            return Tick::Yield;
        }
        let ticks = self.ticks.0.fetch_add(1, Ordering::Relaxed) + 1;
        if ticks > self.limits.cpu_ms {
            self.exceeded = Some(Exceeded::Cpu);
            return Tick::Spent;
        }
        // At the first heavy one it is taken to the slow lane.
        if ticks <= LIGHT_TICKS + 1 || ticks.is_multiple_of(TURN) { Tick::Yield } else { Tick::GoOn }
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
        let turn: Vec<Tick> = (LIGHT_TICKS + 2..=TURN).map(|_| meter.tick()).collect();
        assert_eq!(turn.iter().filter(|tick| **tick == Tick::Yield).count(), 1);
        assert_eq!(turn.last(), Some(&Tick::Yield));
    }

    #[test]
    fn an_operator_may_allow_less() {
        let asked = Limits { cpu_ms: 300, ..Limits::default() };
        assert_eq!(asked.beyond(&Limits::MOST), None);
        assert_eq!(asked.beyond(&Limits { cpu_ms: 299, ..Limits::MOST }), Some(("cpu-ms", 300, 299)));
    }

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let error = Limits { memory_kib: 1 << 20, ..Limits::default() }.check().unwrap_err().1;
        assert!(error.contains("memory-kib"), "{error}");
    }
}
