//! Compiling: in this process, or in a child process beside the requests, with the functions that were compiled before.
//!
//! At most as many children run as there are cores, and one while the host is busy. Touches wasmtime and starts processes.

mod apart;
mod exchange;
mod functions;

use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError};

pub use apart::{COMMAND, child};
pub use functions::FunctionFigures;

use crate::EngineError;
use crate::cpu_use::CpuUse;
use apart::How;
use capability::text;
use functions::FunctionCache;
use native::MachineCode;

/// Where components are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compiling {
    /// In this process, where no requests are served.
    #[default]
    Here,
    /// In a child process: this program has to have the `compile` command.
    Apart,
}

/// Compiles the components of an engine.
pub(super) struct Compiler {
    compiling: Compiling,
    /// The engine has a pool of instances.
    pooled: bool,
    functions: FunctionCache,
    turns: Turns,
}

impl Compiler {
    /// Of an engine with a pool of instances or without.
    pub(super) fn new(compiling: Compiling, pooled: bool) -> Self {
        Self { compiling, pooled, functions: FunctionCache::default(), turns: Turns::default() }
    }

    /// The machine code of a component, for this engine. Blocks.
    pub(super) fn compile(
        &self,
        engine: &wasmtime::Engine,
        cpu_use: &CpuUse,
        name: &str,
        wasm: &[u8],
    ) -> Result<MachineCode<'static>, EngineError> {
        if self.compiling == Compiling::Here {
            return MachineCode::compile(engine, wasm).map_err(|error| EngineError::Compile(short(&error)));
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let _turn = self.turns.take(|| if cpu_use.is_busy() { 1 } else { cores });
        let how = How { pooled: self.pooled, busy: cpu_use.is_busy() };
        let (code, learned) = apart::compile(how, &self.functions.lend(name), wasm)?;
        self.functions.learn(name, &learned.used, learned.compiled);
        Ok(code)
    }

    /// What the function cache has and has done.
    pub(super) fn functions(&self) -> FunctionFigures {
        self.functions.figures()
    }
}

/// Compilations at once.
#[derive(Default)]
struct Turns {
    running: Mutex<usize>,
    ended: Condvar,
}

/// One compilation, until it is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until fewer than `most` run.
    fn take(&self, most: impl Fn() -> usize) -> Turn<'_> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= most().max(1) {
            running = self.ended.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        // All of them look again: how many may run changes.
        self.0.ended.notify_all();
    }
}

/// The text of an error, which may repeat names of the component.
pub(super) fn short(error: &wasmtime::Error) -> String {
    text::cut_format(format_args!("{error:#}"), text::MAX_TRAP)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_may_compile_at_once() {
        let (turns, running, highest) = (Turns::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = turns.take(|| 2);
                        highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=2).contains(&highest.into_inner()));
        drop(turns.take(|| 0));
    }
}
