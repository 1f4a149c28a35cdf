//! The ticker: one thread per engine, which increments the epoch every millisecond.
//!
//! A guest checks the epoch in its loops and on entry to functions; that interrupts a guest that never yields. The thread
//! ends with the engine.

use std::time::Duration;

/// The length of a tick; also the unit of `limits.cpu-ms`.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Starts the ticker of an engine.
pub(super) fn start(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("ticker".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
