//! The ticker: one thread per engine, which increments the epoch every millisecond.
//!
//! A guest checks the epoch in its loops and on entry to functions; that interrupts a guest that never yields. The thread
//! ends with the engine. It also measures how busy the process is.

use std::sync::Arc;
use std::time::Duration;

use crate::cpu_use::{CpuUse, Measuring};

/// The length of a tick; also the unit of `limits.cpu-ms`.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Starts the ticker of an engine.
pub(super) fn start(engine: &wasmtime::Engine, cpu_use: Arc<CpuUse>) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("ticker".into()).spawn(move || {
        let mut measuring = Measuring::begin();
        loop {
            std::thread::sleep(TICK);
            measuring.tick(&cpu_use);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
