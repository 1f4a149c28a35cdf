//! Files in the folders of built components that no crate makes any more: of one that is gone, or has another name now. A host
//! would still deploy them. Touches only these folders.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use super::Known;

/// Ends of the names of files that a build makes, or leaves when it is killed.
const MADE: [&str; 2] = ["wasm", "half"];

/// Removes what is in a known place under `root` and not known there, and says so on stderr.
pub(super) fn remove(root: &Path, known: &Known) -> Result<()> {
    for (place, names) in known {
        let folder = root.join(place);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("{} can't be read", folder.display()))?,
        };
        for entry in entries {
            let file = entry?.path();
            let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
            let is_made = text(file.extension()).is_some_and(|end| MADE.contains(&end.as_str()));
            let is_known = text(file.file_stem()).is_some_and(|name| names.contains(&name));
            if is_made && !is_known && fs::symlink_metadata(&file).is_ok_and(|about| !about.is_dir()) {
                fs::remove_file(&file).with_context(|| format!("{} can't be removed", file.display()))?;
                eprintln!("removed {}: no crate makes it", file.strip_prefix(root).unwrap_or(&file).display());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_no_crate_makes_goes_and_everything_else_stays() {
        let root = std::env::temp_dir().join(format!("xtask-leftover-{}", std::process::id()));
        let (components, fixtures) = (root.join("target/components"), root.join("target/fixtures"));
        for folder in [&components, &fixtures] {
            fs::create_dir_all(folder).unwrap();
            for file in ["auth.wasm", "gone.wasm", "gone.half", "application.toml"] {
                fs::write(folder.join(file), "").unwrap();
            }
        }
        fs::create_dir(components.join("folder.wasm")).unwrap();
        let names = |folder: &Path| -> BTreeSet<String> {
            let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect()
        };
        let before = names(&fixtures);
        remove(&root, &Known::from([("target/components", BTreeSet::from(["auth".to_owned()]))])).unwrap();
        let left = ["application.toml", "auth.wasm", "folder.wasm"].map(str::to_owned);
        assert_eq!(names(&components), BTreeSet::from(left));
        assert_eq!(names(&fixtures), before, "nobody looked for fixtures");
        remove(&root, &Known::from([("target/fixtures", BTreeSet::new()), ("target/nowhere", BTreeSet::new())]))
            .unwrap();
        assert_eq!(names(&fixtures), BTreeSet::from(["application.toml".to_owned()]));
        fs::remove_dir_all(root).unwrap();
    }
}
