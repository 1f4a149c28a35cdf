//! The machine that figures come from, and what a process has used of it (proc(5)).

use std::fs;
use std::time::Duration;

/// Its kernel and its cores, as every report says them.
pub(crate) fn name() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("Linux {}, {cores} cores", kernel.trim())
}

/// Linux counts CPU time for `/proc` in hundredths of a second, on every machine.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, in the kernel and outside of it.
    pub(crate) cpu: Duration,
    /// Pages that were not there when they were used.
    pub(crate) page_faults: u64,
    /// Its threads gave up their core to wait.
    pub(crate) waits: u64,
    /// System calls that read and write files, pipes and events. Those of sockets are counted nowhere in `/proc`.
    pub(crate) file_calls: u64,
}

impl Usage {
    /// Of a process that runs; none when `/proc` does not say.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The command before it may have spaces and brackets.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = u32::try_from(field(11)? + field(12)?).ok()?;
        let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        Some(Self {
            cpu: TICK * ticks,
            page_faults: field(7)? + field(9)?,
            waits: waits(process),
            file_calls: row(&io, "syscr:") + row(&io, "syscw:"),
        })
    }

    /// What was used between `before` and this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            page_faults: self.page_faults.saturating_sub(before.page_faults),
            // A thread that has ended took its count along.
            waits: self.waits.saturating_sub(before.waits),
            file_calls: self.file_calls.saturating_sub(before.file_calls),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            page_faults: self.page_faults + other.page_faults,
            waits: self.waits + other.waits,
            file_calls: self.file_calls + other.file_calls,
        }
    }
}

/// Over all threads: the file of the process has its first one alone.
fn waits(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).unwrap_or_default();
    threads.filter_map(Result::ok).map(|thread| row(&status(thread), "voluntary_ctxt_switches:")).sum()
}

fn row(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn a_process_uses_more_and_more() {
        let before = Usage::of(std::process::id()).unwrap();
        // Pages that nobody has used before.
        let pages = std::hint::black_box(vec![1_u8; 64 << 20]);
        let used = Usage::of(std::process::id()).unwrap().since(before);
        assert!(used.page_faults > 0, "{used:?} for {} bytes", pages.len());
        assert_eq!(Usage::of(0), None);
    }
}
