//! Compiling: in this process, or in a child process with a nice value and limits of memory, CPU and time.
//!
//! A hostile or huge module uses up the child's memory and time, not those of a host that serves requests. The child is this
//! same program, without the host's environment: it reads a key and a component, and writes the key's tag and the machine code.
//! So nothing that was cut short, or that something else wrote, is loaded.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::{EngineError, EngineOptions, build};
use capability::{random, text};
use native::{Key, MachineCode, TAG};

/// The child's subcommand.
pub const COMMAND: &str = "compile";
/// The child's limit of data memory (`RLIMIT_DATA`), in bytes.
const MEMORY: u64 = 2 << 30;
/// The child's limit of CPU time of all threads together, in seconds.
const CPU: u64 = 120;
/// How long it may take.
const TIME: Duration = Duration::from_secs(120);
/// The child's nice value.
const NICE: i32 = 10;
/// The child's exit code when its time is over.
const OUT_OF_TIME: i32 = 75;
/// How much of the child's standard error is read, in bytes.
const MAX_STDERR: u64 = 4 << 10;

/// The most bytes of machine code that are read from the child. The largest component has tens of MiB.
const MAX_CODE: u64 = 256 << 20;
/// The length of the key of one child, in bytes.
const KEY: usize = 32;
/// The name under which a child's key authenticates its only code.
const NAME: &str = "";

/// Where components are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compiling {
    /// In this process, where no requests are served.
    #[default]
    Here,
    /// In a child process: this program has to have the `compile` command.
    Apart,
}

impl Compiling {
    /// The machine code of a component, for this engine.
    pub(super) fn compile(
        self,
        engine: &wasmtime::Engine,
        pooled: bool,
        wasm: &[u8],
    ) -> Result<MachineCode<'static>, EngineError> {
        match self {
            Compiling::Here => MachineCode::compile(engine, wasm).map_err(|error| EngineError::Compile(short(&error))),
            Compiling::Apart => apart(pooled, wasm),
        }
    }
}

fn apart(pooled: bool, wasm: &[u8]) -> Result<MachineCode<'static>, EngineError> {
    let secret = Zeroizing::new(random::vector(KEY));
    let key = Key::new(secret.clone());
    let system = |error: std::io::Error| EngineError::Compile(format!("the process that compiles: {error}"));
    // The running program, also when its file was replaced since it started.
    let mut child = Command::new("/proc/self/exe")
        .arg(COMMAND)
        .args((!pooled).then_some("--no-pool"))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(system)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (code, errors) = std::thread::scope(|scope| {
        // A child that does not read all of it reports why by its exit code and standard error.
        scope.spawn(move || {
            stdin.and_then(|mut stdin| stdin.write_all(&secret).and_then(|()| stdin.write_all(wasm)).ok())
        });
        let errors = scope.spawn(move || {
            let mut errors = String::new();
            let _ = stderr.map(|stderr| stderr.take(MAX_STDERR).read_to_string(&mut errors));
            errors
        });
        let mut code = Vec::new();
        // A child that writes more ends when its standard output is closed here.
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_CODE + TAG as u64 + 1).read_to_end(&mut code));
        (read.map(|_| code), errors.join().unwrap_or_default())
    });
    let status = child.wait().map_err(system)?;
    if code.as_ref().is_ok_and(|code| code.len() as u64 > MAX_CODE + TAG as u64) {
        return Err(EngineError::Compile(format!("its machine code has over {} MiB; make it smaller", MAX_CODE >> 20)));
    }
    if status.success() {
        return authenticated(&key, code.map_err(system)?);
    }
    Err(EngineError::Compile(match status.code() {
        Some(OUT_OF_TIME) => format!("it takes longer than {TIME:?}"),
        // Killed by a limit, or aborted by a failed allocation.
        None => format!("it takes more than {CPU} s of all cores together or more than {} MiB", MEMORY >> 20),
        Some(_) => text::cut(errors.trim(), text::MAX_TRAP),
    }))
}

/// The machine code of what a child wrote.
fn authenticated(key: &Key, mut written: Vec<u8>) -> Result<MachineCode<'static>, EngineError> {
    let code = written.split_off(TAG.min(written.len()));
    MachineCode::open(key, NAME, &written, code).ok_or_else(|| {
        EngineError::Compile("what the process that compiles wrote is not whole; deploy it again".into())
    })
}

/// The child: compiles standard input to standard output. It sets its limits before it reads.
///
/// # Errors
/// Why the component does not compile; the caller writes it to standard error.
pub fn child(no_pool: bool) -> Result<(), String> {
    limit().map_err(|error| format!("the process that compiles can't be limited: {error}"))?;
    std::thread::spawn(|| {
        std::thread::sleep(TIME);
        std::process::exit(OUT_OF_TIME);
    });
    let (mut secret, mut wasm) = (Zeroizing::new(vec![0; KEY]), Vec::new());
    let mut stdin = std::io::stdin().lock();
    stdin
        .read_exact(secret.as_mut_slice())
        .and_then(|()| stdin.read_to_end(&mut wasm))
        .map_err(|error| error.to_string())?;
    let options = EngineOptions { instances: 1, warm: 0, pooling: !no_pool, ..EngineOptions::default() };
    let (engine, _) = build::build(&options).map_err(|error| format!("{error:#}"))?;
    let code = MachineCode::compile(&engine, &wasm).map_err(|error| short(&error))?;
    let tag = code.tag(&Key::new(secret), NAME).ok_or("the key is of no use")?;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(&tag).and_then(|()| stdout.write_all(code.bytes())).and_then(|()| stdout.flush());
    written.map_err(|error| error.to_string())
}

/// The text of an error, which may repeat names of the component.
pub(super) fn short(error: &wasmtime::Error) -> String {
    text::cut_format(format_args!("{error:#}"), text::MAX_TRAP)
}

fn limit() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, CPU), (Resource::Core, 0), (Resource::Fsize, 0)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    rustix::process::nice(NICE).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;

    #[test]
    fn what_a_child_wrote_is_taken_only_whole_and_with_its_own_tag() {
        let (engine, _) = build::build(&EngineOptions { pooling: false, ..EngineOptions::default() }).unwrap();
        let code = Compiling::Here.compile(&engine, false, b"\0asm\x0d\0\x01\0").unwrap();
        let key = |byte: u8| Key::new(Zeroizing::new(vec![byte; KEY]));
        let written = [code.tag(&key(1), NAME).unwrap().as_slice(), code.bytes()].concat();
        authenticated(&key(1), written.clone()).unwrap().load(&engine).unwrap();
        assert!(authenticated(&key(2), written.clone()).is_err(), "another child's");
        for length in [0, 1, TAG, TAG + 1, written.len() - 1] {
            let cut: Vec<u8> = written.iter().copied().take(length).collect();
            assert!(authenticated(&key(1), cut).is_err(), "{length} bytes of it");
        }
    }
}
