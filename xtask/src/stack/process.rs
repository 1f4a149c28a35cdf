//! A server's process: started apart from us, so that it outlives the command that brought it up, and found again by a
//! written pid. Pids are used anew: a process is taken for the server only when its command line is the server's.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it answers.
const BOUND: Duration = Duration::from_secs(60);
/// How long a server may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this we say what is being waited for.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks at a process that begins.
const MOMENT: Duration = Duration::from_millis(1);
/// How much of a log an error shows.
const LINES: usize = 20;

/// A server's process, whether it runs or not.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// Where its pid and its log are.
    pub(super) folder: PathBuf,
    /// The file name of its program.
    pub(super) program: &'static str,
    /// An argument that no other process of that program has.
    pub(super) mark: PathBuf,
}

impl Process {
    /// Its pid, while it runs.
    pub(super) fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let pid = text.trim().parse::<u32>().ok()?;
        // Empty for one that has ended and was not reaped.
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        if self.is(&line) { Pid::from_raw(i32::try_from(pid).ok()?) } else { None }
    }

    /// Is this the server's command line, as the system shows it (a zero after each argument)?
    fn is(&self, line: &[u8]) -> bool {
        let mut arguments = line.split(|byte| *byte == 0);
        let program = arguments.next().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
        program == Some(self.program.as_bytes())
            && arguments.any(|argument| argument == self.mark.as_os_str().as_encoded_bytes())
    }

    /// Starts it, with a log of its own; the log of the time before is kept beside it.
    pub(super) fn start(&self, mut command: Command) -> Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| format!("{} can't be made", self.folder.display()))?;
        let log = self.log();
        if log.exists() {
            fs::rename(&log, self.folder.join("log.before")).context("the old log can't be moved")?;
        }
        let output = File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null());
        // A group of its own: neither Ctrl-C nor the end of a test's group reaches it.
        command.current_dir(&self.folder).process_group(0);
        let mut child = command.spawn().with_context(|| format!("{} can't be run", self.program))?;
        if let Err(error) = fs::write(self.pid_file(), format!("{}\n", child.id())) {
            // Nobody would find it again.
            _ = child.kill();
            return Err(error).with_context(|| format!("{} can't be written", self.pid_file().display()));
        }
        self.known(&mut child)?;
        // When it ends before us it must be reaped; when we end first, others do.
        thread::spawn(move || child.wait());
        Ok(())
    }

    /// Until the new process has its command line, which comes a moment after its start (later, when a script stands
    /// before the program), or has ended.
    fn known(&self, child: &mut Child) -> Result<()> {
        let began = Instant::now();
        while self.pid().is_none() && child.try_wait()?.is_none() {
            if began.elapsed() > BOUND {
                _ = child.kill();
                bail!("what `{}` starts is not {} itself", self.program, self.program);
            }
            thread::sleep(MOMENT);
        }
        Ok(())
    }

    /// Until `answers` says yes.
    pub(super) fn wait(&self, name: &str, answers: impl Fn() -> Result<()>) -> Result<()> {
        let began = Instant::now();
        let mut said = false;
        loop {
            let answer = answers();
            // In this order: what answers while ours is gone is not ours.
            if self.pid().is_none() {
                bail!("{name} has ended; {}", self.end_of_log());
            }
            let Err(error) = answer else {
                return Ok(());
            };
            if began.elapsed() > BOUND {
                self.kill()?;
                bail!("{name} did not come up within {} s ({error:#}); {}", BOUND.as_secs(), self.end_of_log());
            }
            if !said && began.elapsed() > SILENCE {
                said = true;
                eprintln!("waiting for {name} to answer");
            }
            thread::sleep(PAUSE);
        }
    }

    /// Ends it, at first with a request. False when it did not run.
    pub(super) fn stop(&self) -> Result<bool> {
        let Some(pid) = self.pid() else {
            return Ok(false);
        };
        // An error means that it has ended by itself, or that the next step fails, too.
        _ = kill_process(pid, Signal::TERM);
        if !self.gone_within(PATIENCE) {
            self.kill()?;
        }
        _ = fs::remove_file(self.pid_file());
        Ok(true)
    }

    fn kill(&self) -> Result<()> {
        if let Some(pid) = self.pid() {
            let killed = kill_process(pid, Signal::KILL);
            if !self.gone_within(PATIENCE) {
                killed.with_context(|| format!("process {} can't be killed", pid.as_raw_nonzero()))?;
                bail!("process {} was killed and is still there", pid.as_raw_nonzero());
            }
        }
        Ok(())
    }

    fn gone_within(&self, bound: Duration) -> bool {
        within(bound, &format!("{} to end", self.program), || self.pid().is_none())
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let text = fs::read(&log).unwrap_or_default();
        format!("the end of {}:\n{}", log.display(), last_lines(&String::from_utf8_lossy(&text)))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }
}

/// Waits until it is so; false when it is not within the bound. What is waited for is said when it takes long.
pub(super) fn within(bound: Duration, what: &str, is_so: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    let mut said = false;
    while !is_so() {
        if began.elapsed() > bound {
            return false;
        }
        if !said && began.elapsed() > SILENCE {
            said = true;
            eprintln!("waiting for {what}");
        }
        thread::sleep(PAUSE);
    }
    true
}

/// The end of what a program printed.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines.iter().skip(from).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str) -> Process {
        let folder = std::env::temp_dir().join(format!("xtask-process-{name}-{}", std::process::id()));
        Process { mark: folder.join("settings"), folder, program: "sh" }
    }

    fn shell(process: &Process, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&process.mark);
        command
    }

    #[test]
    fn only_its_own_command_line_is_taken_for_the_server() {
        let mut server = process("line");
        server.mark = PathBuf::from("/a/redis.conf");
        server.program = "redis-server";
        assert!(server.is(b"/usr/bin/redis-server\0/a/redis.conf\0"));
        assert!(server.is(b"redis-server\0--quiet\0/a/redis.conf\0"));
        for other in
            [&b""[..], b"vi\0/a/redis.conf\0", b"redis-server\0/b/redis.conf\0", b"redis-server\0/a/redis.conf2\0"]
        {
            assert!(!server.is(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn it_is_found_by_its_pid_and_ends_when_asked() {
        let server = process("found");
        assert_eq!((server.pid(), server.stop().unwrap()), (None, false));
        // The shell itself must wait: one that is replaced by `sleep` would not have the mark.
        server.start(shell(&server, "while :; do sleep 60; done")).unwrap();
        assert!(server.pid().is_some());
        assert!(server.stop().unwrap());
        assert_eq!(server.pid(), None);
        fs::write(server.pid_file(), std::process::id().to_string()).unwrap();
        assert_eq!((server.pid(), server.stop().unwrap()), (None, false), "this process is no server");
        fs::remove_dir_all(&server.folder).unwrap();
    }

    #[test]
    fn one_that_ends_too_early_shows_its_log() {
        let server = process("early");
        server.start(shell(&server, "echo 'no such setting' >&2; exit 1")).unwrap();
        let error = server.wait("redis", || bail!("nobody listens")).unwrap_err().to_string();
        assert!(error.starts_with("redis has ended; the end of ") && error.ends_with("no such setting"), "{error}");
        fs::remove_dir_all(&server.folder).unwrap();
    }

    #[test]
    fn the_end_of_a_log_is_short() {
        let log: String = (0..100).map(|number| format!("{number}\n")).collect();
        let end = last_lines(&log);
        assert_eq!((end.lines().count(), end.lines().next()), (LINES, Some("80")));
    }
}
