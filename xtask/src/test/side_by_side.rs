//! Running jobs side by side: each is owned by a thread, and only this one prints.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::jobs::{Ended, Job};
use super::report::{Count, Style};
use super::schedule::{self, Claim, Machine};

/// After this much silence it is said what runs, the first time.
const SOON: Duration = Duration::from_secs(2);
/// And from then on.
const PAUSE: Duration = Duration::from_secs(30);

/// A job whose turn it is.
struct Running {
    /// Which one: names may be the same.
    number: usize,
    name: String,
    claim: Claim,
    started: Instant,
}

/// Runs all of them, each until its own cap and none longer than `bound`, and shows each that ends in one piece.
pub(super) fn run(jobs: Vec<Job>, bound: Instant, verbose: bool, style: Style) -> Vec<Ended> {
    let machine = Machine::here();
    let (sender, news) = channel();
    let (mut waiting, mut running, mut ended) = (jobs, Vec::<Running>::new(), Vec::new());
    let (mut number, mut said, mut pause) = (0, Instant::now(), SOON);
    loop {
        while let Some(at) = next(&waiting, &running, machine) {
            let job = waiting.remove(at);
            let started = Instant::now();
            number += 1;
            running.push(Running { number, name: job.name.clone(), claim: job.claim, started });
            let (sender, deadline) = (sender.clone(), bound.min(started + job.cap));
            thread::spawn(move || _ = sender.send((number, job.run(deadline))));
        }
        if running.is_empty() {
            return ended;
        }
        match news.recv_timeout(pause.saturating_sub(said.elapsed())) {
            Ok((number, done)) => {
                running.retain(|job| job.number != number);
                if show(&done, verbose, style) {
                    (said, pause) = (Instant::now(), PAUSE);
                }
                ended.push(done);
            }
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("{}", progress(&running, waiting.len()));
                (said, pause) = (Instant::now(), PAUSE);
            }
            // Not while we have a sender ourselves.
            Err(RecvTimeoutError::Disconnected) => return ended,
        }
    }
}

fn next(waiting: &[Job], running: &[Running], machine: Machine) -> Option<usize> {
    let waiting: Vec<Claim> = waiting.iter().map(|job| job.claim).collect();
    let running: Vec<Claim> = running.iter().map(|job| job.claim).collect();
    schedule::next(&waiting, &running, machine)
}

/// Its line, and what it printed where that matters. False when there is nothing to show.
fn show(done: &Ended, verbose: bool, style: Style) -> bool {
    let has_tests = done.watched.count != Count::default();
    if has_tests {
        style.part(&done.name, done.watched.count, done.took);
    }
    done.watched.print(verbose);
    has_tests
}

/// As in `  running: faults/crashes 92 s, e2e/canary 12 s; 3 wait`.
fn progress(running: &[Running], waiting: usize) -> String {
    let one = |job: &Running| format!("{} {} s", job.name, job.started.elapsed().as_secs());
    let rest = if waiting > 0 { format!("; {waiting} wait") } else { String::new() };
    format!("  running: {}{rest}", running.iter().map(one).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::costs;
    use super::*;

    #[test]
    fn what_runs_is_said() {
        let running = |name: &str, seconds: u64| {
            let started = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            Running { number: 1, name: name.to_owned(), claim: costs::of(name, false), started }
        };
        let two = [running("faults/crashes", 92), running("e2e/canary", 12)];
        assert_eq!(progress(&two, 3), "  running: faults/crashes 92 s, e2e/canary 12 s; 3 wait");
        assert_eq!(progress(&two[..1], 0), "  running: faults/crashes 92 s");
    }
}
