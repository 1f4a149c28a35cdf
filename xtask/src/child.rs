//! Child processes with deadlines, any number at once. Each has a process group of its own, which ends with it: at the
//! deadline, on Ctrl-C and also when it is done, so that nothing that a test started is left behind.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How long what a child printed is waited for after its end.
const GRACE: Duration = Duration::from_secs(2);

/// The groups that run now.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// What becomes of a child's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Errors go where ours go; only stdout is read.
    Stdout,
    /// Both are read.
    Both,
    /// Neither is read.
    Shown,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its own exit status.
    Exited(ExitStatus),
    /// It was ended at its deadline.
    TimedOut,
}

impl End {
    /// Did it end by itself and well?
    pub(crate) fn good(self) -> bool {
        matches!(self, End::Exited(status) if status.success())
    }
}

enum News {
    Line(String),
    Exited(io::Result<ExitStatus>),
}

/// Runs `command` until `deadline` and hands each line that it prints to `line`.
pub(crate) fn run(
    command: &mut Command,
    deadline: Instant,
    output: Output,
    mut line: impl FnMut(String),
) -> Result<End> {
    end_with_us()?;
    command.stdin(Stdio::null()).process_group(0);
    if output != Output::Shown {
        command.stdout(Stdio::piped());
    }
    if output == Output::Both {
        command.stderr(Stdio::piped());
    }
    let (mut child, group) = start(command)?;
    let (sender, news) = channel();
    child.stdout.take().into_iter().for_each(|pipe| read(pipe, sender.clone()));
    child.stderr.take().into_iter().for_each(|pipe| read(pipe, sender.clone()));
    thread::spawn(move || _ = sender.send(News::Exited(child.wait())));
    let end = follow(&news, group, deadline, &mut line);
    groups().remove(&group);
    end
}

/// Starts it and takes down its group, as one step: nothing starts while all groups are being ended.
fn start(command: &mut Command) -> Result<(Child, i32)> {
    let mut groups = groups();
    let child = command.spawn().with_context(|| format!("{} can't be run", command.get_program().display()))?;
    let group = i32::try_from(child.id()).context("a process id")?;
    groups.insert(group);
    Ok((child, group))
}

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until all pipes are closed and the child has ended.
fn follow(news: &Receiver<News>, group: i32, deadline: Instant, line: &mut impl FnMut(String)) -> Result<End> {
    let mut end = None;
    let mut deadline = deadline;
    loop {
        match news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(News::Line(text)) => line(text),
            Ok(News::Exited(status)) => {
                let status = status.context("waiting for a child")?;
                kill(group);
                end.get_or_insert(End::Exited(status));
                deadline = Instant::now() + GRACE;
            }
            Err(RecvTimeoutError::Timeout) if end.is_none() => {
                kill(group);
                end = Some(End::TimedOut);
                deadline = Instant::now() + GRACE;
            }
            Err(_) => return end.context("a child was lost"),
        }
    }
}

fn read(pipe: impl Read + Send + 'static, to: Sender<News>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if to.send(News::Line(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())).is_err() {
                return;
            }
        }
    });
}

fn kill(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        // An error means that nobody is left.
        _ = kill_process_group(group, Signal::KILL);
    }
}

/// From now on Ctrl-C and SIGTERM end the groups that run, then us.
fn end_with_us() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut made = Ok(());
    ONCE.call_once(|| {
        made = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map(|mut signals| {
            thread::spawn(move || {
                if let Some(signal) = signals.forever().next() {
                    // Held to the end: no other one starts any more.
                    let groups = groups();
                    groups.iter().for_each(|group| kill(*group));
                    std::process::exit(128 + signal);
                }
            });
        });
    });
    made.context("signals can't be listened to")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (End, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let end = run(&mut command, Instant::now() + limit, Output::Both, |line| lines.push(line)).unwrap();
        (end, lines)
    }

    #[test]
    fn a_child_ends_and_takes_its_own_children_along() {
        let (end, lines) = shell("echo one; echo two >&2; exit 3", Duration::from_secs(20));
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)), "{end:?}");
        assert_eq!(lines.len(), 2, "{lines:?}");

        let started = Instant::now();
        let (end, _) = shell("sleep 60 & echo left; exit 0", Duration::from_secs(20));
        assert!(end.good());
        let (end, lines) = shell("echo begun; sleep 60; echo never", Duration::from_millis(200));
        assert_eq!((end, lines), (End::TimedOut, vec!["begun".to_owned()]));
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn each_of_several_has_an_end_of_its_own() {
        let started = Instant::now();
        let ends = thread::scope(|scope| {
            let late = scope.spawn(|| shell("sleep 60", Duration::from_millis(200)));
            let others = ["sleep 0.4; echo one", "sleep 0.4; echo two"]
                .map(|script| scope.spawn(move || shell(script, Duration::from_secs(20))));
            assert_eq!(late.join().unwrap(), (End::TimedOut, Vec::new()));
            others.map(|other| other.join().unwrap())
        });
        for ((end, lines), said) in ends.into_iter().zip(["one", "two"]) {
            assert!(end.good(), "{end:?}");
            assert_eq!(lines, [said]);
        }
        assert!(started.elapsed() < Duration::from_secs(15));
    }
}
