//! What the person in front of it sees meanwhile: on a terminal one line that changes, elsewhere a line when something
//! is done. Touches standard output.

#![expect(clippy::print_stdout, reason = "a command line talks to its user")]

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// To nobody.
    Silent,
    /// To a terminal.
    Terminal,
    /// To a file or a pipe.
    Lines,
}

impl Progress {
    /// What fits standard output.
    pub fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// Begins something that has so many steps.
    pub(crate) fn begin(self, what: &'static str, total: usize) -> Stage {
        let stage = Stage { progress: self, what, total, done: AtomicUsize::new(0), begun: Instant::now() };
        stage.show(0);
        stage
    }
}

/// Something that goes on. It is done when it is dropped after its last step.
pub(crate) struct Stage {
    progress: Progress,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
    begun: Instant,
}

impl Stage {
    /// One more step is done.
    pub(crate) fn step(&self) {
        self.show(self.done.fetch_add(1, Ordering::Relaxed) + 1);
    }

    fn show(&self, done: usize) {
        if self.progress == Progress::Terminal {
            print!("\r\x1b[2K  {:<14}{done:>5} of {}", self.what, self.total);
            // Who sees nothing of it is not told later either.
            let _ = std::io::stdout().flush();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let done = self.done.load(Ordering::Relaxed);
        let start = if self.progress == Progress::Terminal { "\r\x1b[2K" } else { "" };
        if self.progress != Progress::Silent && done == self.total {
            println!("{start}  {:<14}{done:>5}  {:.1} s", self.what, self.begun.elapsed().as_secs_f64());
        } else if self.progress == Progress::Terminal {
            // What failed is told on a line of its own.
            println!();
        }
    }
}
