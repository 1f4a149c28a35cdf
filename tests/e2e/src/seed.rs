//! The compiled code that hosts of tests begin with.
//!
//! A host that starts on an empty data folder compiles all of its components: seconds of all cores, and a run of tests has
//! scores of such starts. So one host does it first, on a folder that stays, `target/seed`; its code, and the key by which a
//! host knows that code for its own, are copied into other data folders before they are used. They are copies, and no links:
//! a host deletes code that it has no use for. It looks for code by the hashes of component and engine, so a seed that does
//! not fit is of no use and does no harm; and one that is older than the host or a component is made anew.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Server, ServerOptions, binary, root, with_fixture};

/// Where a data folder has its code.
const CODE: &str = "compiled";
/// Where it has its secrets.
const SECRETS: &str = "secrets";
/// Among them, what authenticates the code.
const KEY: &str = "compiled_code_key";
/// A file that is as old as the newest of what the seed was made of.
const MADE_OF: &str = "made-of";
/// The fixture that most hosts have beside the components.
const FIXTURE: &str = "stamped";

/// Has a data folder that no host has used yet begin with compiled code; any other one stays as it is. Blocks: for
/// milliseconds, or, once a build, until a host has compiled everything.
pub fn sow(data: &Path) {
    if data.join(SECRETS).join(KEY).exists() {
        return;
    }
    let seed = root().join("target/seed");
    let sown = turn(&seed).and_then(|_turn| copy(&seed, data));
    sown.unwrap_or_else(|error| panic!("no compiled code from {} for {}: {error}", seed.display(), data.display()));
}

/// Waits for a seed; nobody makes another one while this is kept. Any number of test processes may want that at once.
fn turn(seed: &Path) -> io::Result<File> {
    let turn = File::create(seed.with_extension("lock"))?;
    turn.lock_shared()?;
    if is_fresh(seed) {
        return Ok(turn);
    }
    turn.unlock()?;
    turn.lock()?;
    // Somebody else may have had the lock first, and made it.
    if !is_fresh(seed) {
        make(seed)?;
    }
    Ok(turn)
}

fn is_fresh(seed: &Path) -> bool {
    modified(&seed.join(MADE_OF)).is_some_and(|made_of| newest() <= made_of)
}

/// Under the lock. A host fills the folder under another name; what comes under this one is whole.
fn make(seed: &Path) -> io::Result<()> {
    let newest = newest();
    let part = seed.with_extension("part");
    remove(&part)?;
    let folder = fixture().exists().then(|| with_fixture(FIXTURE));
    let components = folder.as_ref().map(|folder| folder.path().to_owned());
    let environment = vec![("DEVCONNECT_LOG", "error".to_owned())];
    // It serves once it has compiled and kept everything.
    Server::start_with(&part, ServerOptions { components, environment, ..ServerOptions::default() }).kill();
    // What is built while it runs is newer than this.
    File::create(part.join(MADE_OF))?.set_modified(newest)?;
    remove(seed)?;
    fs::rename(part, seed)
}

/// The files keep their modes. The key comes last: with it the folder is no longer one that nobody has used.
fn copy(seed: &Path, data: &Path) -> io::Result<()> {
    for folder in [CODE, SECRETS] {
        DirBuilder::new().recursive(true).mode(0o700).create(data.join(folder))?;
    }
    for file in fs::read_dir(seed.join(CODE))? {
        let file = file?;
        fs::copy(file.path(), data.join(CODE).join(file.file_name()))?;
    }
    let key = Path::new(SECRETS).join(KEY);
    fs::copy(seed.join(&key), data.join(&key)).map(drop)
}

/// When the newest of what a seed is made of was changed: the host, the components, the fixture.
fn newest() -> SystemTime {
    let components = fs::read_dir(root().join("target/components")).into_iter().flatten().flatten();
    let files = components.map(|entry| entry.path()).chain([binary(), fixture()]);
    files.filter_map(|file| modified(&file)).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn fixture() -> PathBuf {
    root().join("target/fixtures").join(FIXTURE).with_extension("wasm")
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|about| about.modified()).ok()
}

/// A folder that need not be there.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
