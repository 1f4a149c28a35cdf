//! The process that compiles: a child with a nice value and limits of memory, CPU and time.
//!
//! A hostile or huge module uses up the child's memory and time, not those of a host that serves requests. The child is this
//! same program, without the host's environment: it reads a key, compiled functions and a component, and writes the key's tag,
//! the machine code and the functions that it compiled. So nothing that was cut short, or that something else wrote, is loaded.

use std::io::{BufWriter, Read as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::compile::exchange::{self, Learned, Lent, MAX_LEARNED};
use crate::compile::short;
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
/// The child's nice value: on a host that has time for it, and on a busy one. There it has one thread. Beside four threads that
/// want two cores it gets a third of a core by this value; by 10 it got a twentieth, and a deploy took seconds.
const NICE: i32 = 10;
const BUSY_NICE: i32 = 1;
/// The child's option on a busy host.
const BUSY: &str = "--busy";
/// How many threads the child's compiler has; unset: one a core.
const THREADS: &str = "RAYON_NUM_THREADS";
/// What a pipe to the child holds, in bytes: with less, both wait for each other while others have the cores.
const PIPE: usize = 1 << 20;
/// The child's exit code when its time is over.
const OUT_OF_TIME: i32 = 75;
/// How much of the child's standard error is read, in bytes.
const MAX_STDERR: u64 = 4 << 10;

/// The most bytes of machine code that are read from the child. The largest component has tens of MiB.
const MAX_CODE: u64 = 256 << 20;
/// The most bytes that are read of it in all.
const MAX_WRITTEN: u64 = MAX_CODE + MAX_LEARNED as u64;
/// The length of the key of one child, in bytes.
const KEY: usize = 32;
/// The length of a length before what it is of.
const LENGTH: usize = size_of::<u64>();

/// How a child compiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// For an engine with a pool of instances.
    pub(super) pooled: bool,
    /// Beside requests that want all cores.
    pub(super) busy: bool,
}

/// Compiles a component in a child. `lent` are functions that may be in it.
pub(super) fn compile(
    how: How,
    lent: &[(exchange::Key, Arc<[u8]>)],
    wasm: &[u8],
) -> Result<(MachineCode<'static>, Learned), EngineError> {
    let secret = Zeroizing::new(random::vector(KEY));
    let key = Key::new(secret.clone());
    let system = |error: std::io::Error| EngineError::Compile(format!("the process that compiles: {error}"));
    // The running program, also when its file was replaced since it started.
    let mut command = Command::new("/proc/self/exe");
    command.arg(COMMAND).args((!how.pooled).then_some("--no-pool")).args(how.busy.then_some(BUSY)).env_clear();
    if how.busy {
        command.env(THREADS, "1");
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(system)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Where the system allows no more, they are smaller.
    let _ = stdin.as_ref().map(|stdin| rustix::pipe::fcntl_setpipe_size(stdin, PIPE));
    let _ = stdout.as_ref().map(|stdout| rustix::pipe::fcntl_setpipe_size(stdout, PIPE));
    let (written, errors) = std::thread::scope(|scope| {
        // A child that does not read all of it reports why by its exit code and standard error.
        scope.spawn(|| stdin.map(|stdin| ask(BufWriter::with_capacity(PIPE, stdin), &secret, lent, wasm)));
        let errors = scope.spawn(move || {
            let mut errors = String::new();
            let _ = stderr.map(|stderr| stderr.take(MAX_STDERR).read_to_string(&mut errors));
            errors
        });
        let mut written = Vec::new();
        // A child that writes more ends when its standard output is closed here.
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_WRITTEN + 1).read_to_end(&mut written));
        (read.map(|_| written), errors.join().unwrap_or_default())
    });
    let status = child.wait().map_err(system)?;
    if written.as_ref().is_ok_and(|written| written.len() as u64 > MAX_WRITTEN) {
        return Err(EngineError::Compile(format!("its machine code has over {} MiB; make it smaller", MAX_CODE >> 20)));
    }
    if status.success() {
        return authenticated(&key, &written.map_err(system)?);
    }
    Err(EngineError::Compile(match status.code() {
        Some(OUT_OF_TIME) => format!("it takes longer than {TIME:?}"),
        // Killed by a limit, or aborted by a failed allocation.
        None => format!("it takes more than {CPU} s of all cores together or more than {} MiB", MEMORY >> 20),
        Some(_) => text::cut(errors.trim(), text::MAX_TRAP),
    }))
}

/// Writes what a child reads.
fn ask(
    mut to: impl std::io::Write,
    secret: &[u8],
    lent: &[(exchange::Key, Arc<[u8]>)],
    wasm: &[u8],
) -> std::io::Result<()> {
    let length: usize = lent.iter().map(|(_, code)| exchange::written(code.len())).sum();
    to.write_all(secret)?;
    to.write_all(&(length as u64).to_le_bytes())?;
    exchange::write(&mut to, lent.iter().map(|(key, code)| (key, &**code)))?;
    to.write_all(wasm)?;
    to.flush()
}

/// The name under which a child's key authenticates its code: with it the functions are authenticated, too.
fn name(learned: &[u8]) -> String {
    hex::encode(Sha256::digest(learned))
}

/// What a child wrote: a tag, the length of the code, the code, and the rest for [`Learned::read`].
fn authenticated(key: &Key, written: &[u8]) -> Result<(MachineCode<'static>, Learned), EngineError> {
    let read = || {
        let (tag, rest) = written.split_at_checked(TAG)?;
        let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
        let (code, learned) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let code = MachineCode::open(key, &name(learned), tag, code.to_vec())?;
        Some((code, Learned::read(learned)?))
    };
    read().ok_or_else(|| {
        EngineError::Compile("what the process that compiles wrote is not whole; deploy it again".into())
    })
}

/// Writes what [`authenticated`] reads.
fn answer(to: &mut impl std::io::Write, key: &Key, code: &MachineCode<'_>, learned: &[u8]) -> Result<(), String> {
    let tag = code.tag(key, &name(learned)).ok_or("the key is of no use")?;
    let length = (code.bytes().len() as u64).to_le_bytes();
    let mut parts = [tag.as_slice(), &length, code.bytes(), learned].into_iter();
    parts.try_for_each(|part| to.write_all(part)).and_then(|()| to.flush()).map_err(|error| error.to_string())
}

/// The child: compiles standard input to standard output. It sets its limits before it reads.
///
/// # Errors
/// Why the component does not compile; the caller writes it to standard error.
pub fn child(no_pool: bool, busy: bool) -> Result<(), String> {
    limit(if busy { BUSY_NICE } else { NICE })
        .map_err(|error| format!("the process that compiles can't be limited: {error}"))?;
    std::thread::spawn(|| {
        std::thread::sleep(TIME);
        std::process::exit(OUT_OF_TIME);
    });
    let (mut secret, mut length, mut lent, mut wasm) =
        (Zeroizing::new(vec![0; KEY]), [0; LENGTH], Vec::new(), Vec::new());
    let mut stdin = std::io::stdin().lock();
    let mut read = || {
        stdin.read_exact(secret.as_mut_slice())?;
        stdin.read_exact(&mut length)?;
        (&mut stdin).take(u64::from_le_bytes(length)).read_to_end(&mut lent)?;
        stdin.read_to_end(&mut wasm)
    };
    read().map_err(|error: std::io::Error| error.to_string())?;
    let options = EngineOptions { instances: 1, warm: 0, pooling: !no_pool, ..EngineOptions::default() };
    let lent = Arc::new(Lent::read(lent));
    let (engine, _) = build::build(&options, Some(lent.clone())).map_err(|error| format!("{error:#}"))?;
    let code = MachineCode::compile(&engine, &wasm).map_err(|error| short(&error))?;
    answer(&mut std::io::stdout().lock(), &Key::new(secret), &code, &lent.learned())
}

fn limit(nice: i32) -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, CPU), (Resource::Core, 0), (Resource::Fsize, 0)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    rustix::process::nice(nice).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;
    use wasmtime::CacheStore as _;

    #[test]
    fn what_a_child_wrote_is_taken_only_whole_and_with_its_own_tag() {
        let options = EngineOptions { pooling: false, ..EngineOptions::default() };
        let (engine, _) = build::build(&options, None).unwrap();
        let code = MachineCode::compile(&engine, b"\0asm\x0d\0\x01\0").unwrap();
        let key = |byte: u8| Key::new(Zeroizing::new(vec![byte; KEY]));
        let lent = Lent::read(Vec::new());
        lent.insert(&[5; 32], vec![1, 2, 3]);
        let mut written = Vec::new();
        answer(&mut written, &key(1), &code, &lent.learned()).unwrap();
        let (loaded, learned) = authenticated(&key(1), &written).unwrap();
        loaded.load(&engine).unwrap();
        assert_eq!(learned.compiled, [([5; 32], vec![1, 2, 3])]);
        assert!(authenticated(&key(2), &written).is_err(), "another child's");
        for length in [0, 1, TAG, TAG + 1, TAG + LENGTH, written.len() - 1] {
            assert!(authenticated(&key(1), written.get(..length).unwrap()).is_err(), "{length} bytes of it");
        }
        for at in [0, TAG, TAG + LENGTH, written.len() / 2, written.len() - 40, written.len() - 1] {
            let mut other = written.clone();
            *other.get_mut(at).unwrap() ^= 1;
            assert!(authenticated(&key(1), &other).is_err(), "byte {at} is another one");
        }
    }

    #[test]
    fn what_is_asked_is_what_the_child_reads() {
        let lent: Vec<(exchange::Key, Arc<[u8]>)> = vec![([1; 32], vec![7; 9].into()), ([2; 32], Vec::new().into())];
        let mut asked = Vec::new();
        ask(&mut asked, &[3; KEY], &lent, b"wasm").unwrap();
        let (length, rest) = asked.get(KEY..).unwrap().split_first_chunk::<LENGTH>().unwrap();
        let (functions, wasm) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        assert_eq!(wasm, b"wasm");
        let read = Lent::read(functions.to_vec());
        assert_eq!(read.get(&[1; 32]).unwrap(), vec![7; 9]);
    }
}
