//! Where the built components are, and building them when their sources are newer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use xtask::guests::{Selection, build};

/// Set by `cargo xtask test`, which has built everything already.
const PREBUILT: &str = "DEVCONNECT_PREBUILT";

/// The folder of built components, with `application.toml`.
pub fn components_folder() -> PathBuf {
    root().join("target/components")
}

/// A built component. Built first, once per test process, unless `cargo xtask test` did.
pub fn wasm(name: &str) -> Vec<u8> {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os(PREBUILT).is_none() && !built.contains(name) {
        build(&root(), Selection::One(name)).unwrap_or_else(|error| panic!("{name} does not build: {error:#}"));
        built.insert(name.to_owned());
    }
    let places =
        [components_folder(), root().join("target/fixtures")].map(|folder| folder.join(format!("{name}.wasm")));
    let path = places.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is not built: no {places:?}"));
    std::fs::read(path).unwrap_or_else(|error| panic!("can't read {}: {error}", path.display()))
}

/// The workspace: two folders above this crate.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or_else(|| panic!("{} has no workspace above it", here.display())).to_owned()
}
