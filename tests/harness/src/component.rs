//! Where the built components are, and building them when their sources are newer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::outdated::Product;
use crate::workspace::{cargo, is_prebuilt, root, target};

/// Folders of components, and where their `.wasm` files go under the target folder.
const PLACES: [(&str, &str); 2] = [("components", "components"), ("tests/fixtures", "fixtures")];
/// What every component is built from, besides its own folder.
const COMMON: [&str; 7] = [
    "components/sdk",
    "components/model",
    "components/application.toml",
    "wit",
    "Cargo.lock",
    "Cargo.toml",
    "rust-toolchain.toml",
];

/// The folder of built components, with `application.toml`.
pub fn components_folder() -> PathBuf {
    target().join("components")
}

/// The file of a built component. It is built first where it is older than its sources, unless `cargo xtask test` did.
pub fn file(name: &str) -> PathBuf {
    static LOOKED_AT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let (folder, place) = find(name);
    let wasm = target().join(place).join(format!("{name}.wasm"));
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_prebuilt() && !looked_at.contains(name) {
        let mut sources = vec![folder];
        sources.extend(COMMON.map(|source| root().join(source)));
        let beside = Some(components_folder().join("application.toml"));
        let product = Product { name: name.to_owned(), file: wasm.clone(), beside, sources };
        product.bring_up_to_date(cargo(&["xtask", "build-components", name]));
        looked_at.insert(name.to_owned());
    }
    assert!(wasm.exists(), "{name} is not built: there is no {}", wasm.display());
    wasm
}

/// A built component.
pub fn wasm(name: &str) -> Vec<u8> {
    let file = file(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("can't read {}: {error}", file.display()))
}

/// The folder of a component, and where it is built to.
fn find(name: &str) -> (PathBuf, &'static str) {
    for (folder, place) in PLACES {
        let entries = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
        if let Some(found) = entries.map(|entry| entry.path()).find(|folder| is_named(folder, name)) {
            return (found, place);
        }
    }
    panic!("there is no component `{name}` under {:?}", PLACES.map(|(folder, _)| folder))
}

/// Whether a folder's manifest has this name.
fn is_named(folder: &Path, name: &str) -> bool {
    let manifest = std::fs::read_to_string(folder.join("component.toml")).unwrap_or_default();
    manifest.lines().any(|line| line == format!("name = \"{name}\""))
}
