//! Compiling: here, or apart in a child process that has a nice value, a share of memory and an end.
//!
//! A module that is hostile or huge takes the child's memory and time, and not those of a host that answers requests. The child
//! is this same program, gets nothing of the host's environment and has one thing to do: bytes in, machine code out.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use wasmtime::component::Component;

use super::{EngineError, EngineOptions, build};

/// What the child is asked.
pub const COMMAND: &str = "compile";
/// Bytes of memory that the child may write to.
const MEMORY: u64 = 2 << 30;
/// Seconds that all of its threads together may run.
const CPU: u64 = 120;
/// How long it may take.
const TIME: Duration = Duration::from_secs(120);
/// How much others come before it.
const NICE: i32 = 10;
/// With what it ends when its time is over.
const OUT_OF_TIME: i32 = 75;
/// The most that is repeated of what it says, in bytes.
const SAID: u64 = 4 << 10;

/// Where components are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compiling {
    /// In this process: where nobody else waits for it.
    #[default]
    Here,
    /// In a child, which has to be this program's `compile` command.
    Apart,
}

impl Compiling {
    /// The machine code of a component, for this engine.
    pub(super) fn compile(self, engine: &wasmtime::Engine, pooled: bool, wasm: &[u8]) -> Result<Vec<u8>, EngineError> {
        match self {
            Compiling::Here => {
                engine.precompile_component(wasm).map_err(|error| EngineError::Compile(format!("{error:#}")))
            }
            Compiling::Apart => apart(pooled, wasm),
        }
    }
}

fn apart(pooled: bool, wasm: &[u8]) -> Result<Vec<u8>, EngineError> {
    let system = |error: std::io::Error| EngineError::Compile(format!("the process that compiles: {error}"));
    // Also when the file was replaced since this process started.
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
    let (code, said) = std::thread::scope(|scope| {
        // Whoever does not read all of it says why at its end.
        scope.spawn(move || stdin.and_then(|mut stdin| stdin.write_all(wasm).ok()));
        let said = scope.spawn(move || {
            let mut said = String::new();
            let _ = stderr.map(|stderr| stderr.take(SAID).read_to_string(&mut said));
            said
        });
        let mut code = Vec::new();
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut code));
        (read.map(|_| code), said.join().unwrap_or_default())
    });
    let status = child.wait().map_err(system)?;
    if status.success() {
        return code.map_err(system);
    }
    Err(EngineError::Compile(match status.code() {
        Some(OUT_OF_TIME) => format!("it takes longer than {TIME:?}"),
        // It was ended by the system, or by an allocation that failed.
        None => format!("it takes more than {CPU} s of all cores together or more than {} MiB", MEMORY >> 20),
        Some(_) => said.trim().to_owned(),
    }))
}

/// What the child does: standard input to standard output. It limits itself before it reads anything.
///
/// # Errors
/// What is wrong with the component; it is for standard error.
pub fn child(no_pool: bool) -> Result<(), String> {
    limit().map_err(|error| format!("the process that compiles can't be limited: {error}"))?;
    std::thread::spawn(|| {
        std::thread::sleep(TIME);
        std::process::exit(OUT_OF_TIME);
    });
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    let options = EngineOptions { instances: 1, warm: 0, pooling: !no_pool, ..EngineOptions::default() };
    let (engine, _) = build::build(&options).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&wasm).map_err(|error| format!("{error:#}"))?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(|error| error.to_string())
}

fn limit() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, CPU), (Resource::Core, 0), (Resource::Fsize, 0)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    rustix::process::nice(NICE).map(drop)
}

/// A component out of machine code.
///
/// # Safety
/// The code is what [`Compiling::compile`] answered, for an engine like this one.
#[expect(unsafe_code, reason = "loading native code")]
pub(super) unsafe fn component(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the caller's promise.
    unsafe { Component::deserialize(engine, code) }
}
