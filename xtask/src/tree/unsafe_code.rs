//! Which crates forbid unsafe code: outside of the sandbox all but one, each at its root, where no line below can allow it
//! again. Components can't: their bindings are generated; the workspace's lints deny it there, and the sandbox is around them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::{Package, Workspace};

/// The folder of the crate that may have it.
const MAY: &str = "host/native";
/// The folders of the crates that run in the sandbox.
const SANDBOXED: [&str; 2] = ["components", "tests/fixtures"];
/// The line at a crate's root.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// What is wrong, a line each.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for package in workspace.packages.iter().filter(|package| must_forbid(&workspace.root, package)) {
        // A build script of several crates is one of `components/`.
        let roots = package.targets.iter().map(|target| &target.src_path);
        for root in roots.filter(|root| root.starts_with(package.folder()) && is_inside(root)) {
            let text = fs::read_to_string(root).with_context(|| format!("{} can't be read", root.display()))?;
            if !forbids(&text) {
                found.push(format!("{} has no line `{FORBID}`; only {MAY} may do without", workspace.shown(root)));
            }
        }
    }
    Ok(found)
}

fn must_forbid(root: &Path, package: &Package) -> bool {
    let folder = package.folder();
    folder != root.join(MAY) && !SANDBOXED.iter().any(|sandboxed| folder.starts_with(root.join(sandboxed)))
}

/// Whether a path stays below where it begins.
fn is_inside(path: &Path) -> bool {
    !path.components().any(|part| part == std::path::Component::ParentDir)
}

fn forbids(text: &str) -> bool {
    text.lines().any(|line| line == FORBID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::package;

    #[test]
    fn all_crates_but_one_and_the_components_must_forbid_it() {
        let must = |folder: &str| must_forbid(Path::new("/w"), &package("any", folder, None));
        for folder in ["host/engine", "host/stores/redis", "host/native-too", "xtask", "tests/e2e"] {
            assert!(must(folder), "{folder}");
        }
        for folder in ["host/native", "components/sdk", "components/auth", "tests/fixtures/rooms"] {
            assert!(!must(folder), "{folder}");
        }
    }

    #[test]
    fn the_line_must_be_one_of_its_own() {
        assert!(forbids("//! What it is.\n\n#![forbid(unsafe_code)]\nmod a;\n"));
        for text in [
            "",
            "mod a;\n",
            "// #![forbid(unsafe_code)]\n",
            "#![deny(unsafe_code)]\n",
            "mod a {\n    #![forbid(unsafe_code)]\n}\n",
        ] {
            assert!(!forbids(text), "{text:?}");
        }
    }

    #[test]
    fn a_file_without_the_line_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-unsafe-{}", std::process::id()));
        let mut named = Vec::new();
        for (name, folder_of, text) in [
            ("engine", "host/engine", FORBID),
            ("trigger", "host/trigger", "mod a;"),
            ("native", "host/native", "mod b;"),
            ("sdk", "components/sdk", "mod c;"),
        ] {
            let file = folder.join(folder_of).join("lib.rs");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            let mut package = package(name, folder_of, None);
            package.manifest = folder.join(folder_of).join("Cargo.toml");
            package.targets.iter_mut().for_each(|target| target.src_path.clone_from(&file));
            named.push(package);
        }
        let workspace = Workspace { root: folder.clone(), target: folder.join("target"), packages: named };
        let found = findings(&workspace).unwrap();
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(
            found,
            ["host/trigger/lib.rs has no line `#![forbid(unsafe_code)]`; only host/native may do without"]
        );
    }
}
