//! Counting what tests print, and the table at the end.

use std::io::IsTerminal as _;
use std::ops::AddAssign;
use std::time::Duration;

use super::lint;
use crate::child::End;

/// Tests by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// Ignored, by the tests' own words.
    pub(super) ignored: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl Count {
    /// From `test result: ok. 5 passed; 0 failed; 1 ignored; …`; none for any other line.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |word: &str| {
            let part = rest.split("; ").find_map(|part| part.trim().strip_suffix(word))?;
            part.trim().parse().ok()
        };
        Some(Self { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
    }
}

/// What a test executable or a call of cargo printed.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) count: Count,
    pub(super) note: Option<String>,
    lines: Vec<String>,
    /// It said how its tests ended.
    concluded: bool,
}

impl Watched {
    /// Takes the next line.
    pub(super) fn line(&mut self, line: String) {
        if let Some(count) = Count::parse(&line) {
            self.count += count;
            self.concluded = true;
        }
        self.lines.push(line);
    }

    /// A process that was ended or died counts as one failure more than its tests did.
    pub(super) fn finish(&mut self, end: End, cap: Duration) {
        match end {
            End::TimedOut => {
                self.count.failed += 1;
                self.note = Some(timed_out(cap));
            }
            End::Exited(status) if !status.success() && self.count.failed == 0 => {
                self.count.failed += 1;
                self.note = Some(format!("a test process ended with {status}"));
            }
            End::Exited(_) if !self.concluded && !self.lines.is_empty() => {
                self.note = Some("a test process did not say how its tests ended".to_owned());
            }
            End::Exited(_) => {}
        }
    }

    /// For a check that counts nothing: it passed or failed. A crate with warnings fails it.
    pub(super) fn conclude(&mut self, end: End, cap: Duration) {
        (self.count, self.note) = verdict(end, cap);
        if self.count.failed == 0 && self.lines.iter().any(|line| lint::is_warning(line)) {
            self.count = Count { failed: 1, ..Count::default() };
        }
    }

    /// It could not be run, or was lost.
    pub(super) fn lost(&mut self, error: &anyhow::Error) {
        self.count.failed += 1;
        self.note = Some(format!("{error:#}"));
    }

    /// What was printed: when tests failed, all but the lines of those that passed and the frames of panics; `verbose`:
    /// always all.
    pub(super) fn print(&self, verbose: bool) {
        let passing = |line: &str| line.starts_with("test ") && line.ends_with(" ... ok");
        if verbose || self.count.failed > 0 {
            let shown = self.lines.iter().filter(|line| verbose || !passing(line) && !is_frame(line));
            shown.for_each(|line| println!("    {line}"));
        }
    }

    /// The tests that failed, each with where it panicked first and what it said.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let name = |line: &String| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned);
        self.lines.iter().filter_map(name).map(|test| Failure { why: self.panic_of(&test), test }).collect()
    }

    fn panic_of(&self, test: &str) -> String {
        let head = format!("---- {test} stdout ----");
        let output = self.lines.iter().skip_while(|line| **line != head).skip(1);
        let output = output.take_while(|line| !(line.starts_with("---- ") && line.ends_with(" stdout ----")));
        let mut lines = output.skip_while(|line| !line.contains(" panicked at "));
        let Some((_, place)) = lines.next().and_then(|line| line.split_once(" panicked at ")) else {
            return "it said nothing".to_owned();
        };
        let ends = |line: &str| line.starts_with("stack backtrace:") || line.starts_with("note: ");
        let said: Vec<&str> = lines.take_while(|line| !ends(line)).map(|line| line.trim()).collect();
        let why = format!("{place} {}", said.join(" "));
        let why = why.trim_end();
        why.char_indices().nth(LONGEST_WHY).map_or(why, |(end, _)| why.get(..end).unwrap_or(why)).to_owned()
    }
}

/// The longest reason that is repeated at the end, in characters.
const LONGEST_WHY: usize = 600;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) test: String,
    pub(super) why: String,
}

/// Whether a line is one of a panic's stack: `  12: path::of::function` or `         at file:line:column`.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let number = || text.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    (indent >= 2 && number()) || (indent >= 8 && text.starts_with("at "))
}

/// What a check comes to: it passed or failed.
pub(super) fn verdict(end: End, cap: Duration) -> (Count, Option<String>) {
    let count =
        if end.good() { Count { passed: 1, ..Count::default() } } else { Count { failed: 1, ..Count::default() } };
    (count, (end == End::TimedOut).then(|| timed_out(cap)))
}

/// For what was ended at its cap.
fn timed_out(cap: Duration) -> String {
    format!("ended at its cap of {} min", cap.as_secs() / 60)
}

/// A suite that is done.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) suite: &'static str,
    pub(super) count: Count,
    pub(super) note: Option<String>,
    /// Of all its jobs together.
    pub(super) took: Duration,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    colours: bool,
}

impl Style {
    /// Colours on a terminal, unless `NO_COLOR` is set.
    pub(super) fn detect() -> Self {
        Self { colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// A suite begins, or the jobs of all that are left.
    pub(super) fn header(self, name: &str, about: &str) {
        println!("\n{} {about}", self.paint("1", &format!("== {name}")));
    }

    /// A job has ended.
    pub(super) fn part(self, name: &str, count: Count, took: Duration) {
        println!("  {name:<40} {:>5} passed {:>3} failed {:>8.1} s", count.passed, count.failed, took.as_secs_f64());
    }

    /// A suite has ended.
    pub(super) fn footer(self, outcome: &Outcome) {
        println!("{}", self.row(outcome));
    }

    fn row(self, outcome: &Outcome) -> String {
        let Outcome { suite, count, note, took } = outcome;
        let state = match count {
            Count { failed: 1.., .. } => self.paint("31", "FAILED"),
            Count { passed: 0, .. } => self.paint("33", "-     "),
            _ => self.paint("32", "ok    "),
        };
        let note = note.as_ref().map(|note| format!("  {note}")).unwrap_or_default();
        let Count { passed, failed, ignored } = count;
        format!("{state} {suite:<12} {passed:>7} {failed:>7} {ignored:>8} {:>9.1}{note}", took.as_secs_f64())
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The table, the tests that failed in each job, and the last line; true when nothing failed.
pub(super) fn print<'a>(
    outcomes: &[Outcome],
    failures: impl Iterator<Item = (&'a str, Failure)>,
    took: Duration,
    style: Style,
) -> bool {
    println!("\n       {:<12} {:>7} {:>7} {:>8} {:>9}", "suite", "passed", "failed", "ignored", "seconds");
    let mut all = Count::default();
    for outcome in outcomes {
        println!("{}", style.row(outcome));
        all += outcome.count;
    }
    println!("{:>57.1}\n", took.as_secs_f64());
    for (job, Failure { test, why }) in failures {
        println!("{} {job} {test}\n    {why}", style.paint("31", "failed:"));
    }
    println!("{}", conclusion(all));
    all.failed == 0
}

fn conclusion(all: Count) -> String {
    let skipped = if all.ignored > 0 { format!(", {} skipped", all.ignored) } else { String::new() };
    format!("{} passed, {} failed{skipped}", all.passed, all.failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    const CAP: Duration = Duration::from_secs(120);

    fn watched(lines: &[&str], end: End) -> Watched {
        let mut watched = Watched::default();
        lines.iter().for_each(|line| watched.line((*line).to_owned()));
        watched.finish(end, CAP);
        watched
    }

    #[test]
    fn results_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        let found = watched(&["running 19 tests", line, line], End::Exited(ExitStatus::from_raw(101 << 8)));
        assert_eq!(found.count, Count { passed: 24, failed: 6, ignored: 8 });
        assert_eq!(conclusion(found.count), "24 passed, 6 failed, 8 skipped");
        assert_eq!(conclusion(Count { passed: 1, ..Count::default() }), "1 passed, 0 failed");
    }

    #[test]
    fn the_end_repeats_what_failed_and_why() {
        let lines = [
            "test one::a ... ok",
            "test one::b ... FAILED",
            "test two::c ... FAILED",
            "---- one::b stdout ----",
            "a line before",
            "thread 'worker' (7) panicked at src/lib.rs:1:2:",
            "first",
            "  second",
            "stack backtrace:",
            "   0: std::panicking",
            "             at /rustc/library.rs:1:2",
            "thread 'one::b' (8) panicked at tests/b.rs:3:4:",
            "another",
            "---- two::c stdout ----",
            "failures:",
        ];
        let found = watched(&lines, End::Exited(ExitStatus::from_raw(101 << 8)));
        let failure = |test: &str, why: &str| Failure { test: test.to_owned(), why: why.to_owned() };
        let wanted = [failure("one::b", "src/lib.rs:1:2: first second"), failure("two::c", "it said nothing")];
        assert_eq!(found.failures(), wanted);
        let frames: Vec<&&str> = lines.iter().filter(|line| is_frame(line)).collect();
        assert_eq!(frames, [&lines[9], &lines[10]]);
    }

    #[test]
    fn a_process_that_dies_or_hangs_has_failed() {
        let died = watched(&["running 2 tests"], End::Exited(ExitStatus::from_raw(11)));
        assert_eq!(died.count.failed, 1);
        let hung = watched(&["running 2 tests"], End::TimedOut);
        assert_eq!((hung.count.failed, hung.note.as_deref()), (1, Some("ended at its cap of 2 min")));
    }
}
