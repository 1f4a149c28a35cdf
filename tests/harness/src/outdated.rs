//! What is built from sources, and building it when one of them is newer.
//!
//! A build may leave a file as it is that would be the same; a stamp beside says since when it is known to be up to date.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::workspace::target;

/// Folders whose files nothing is built from.
const NO_SOURCES: [&str; 3] = ["tests", "target", "node_modules"];

/// Something that is built.
pub(crate) struct Product {
    /// For people, and in the name of its stamp.
    pub(crate) name: String,
    /// The file.
    pub(crate) file: PathBuf,
    /// What has to be there with it.
    pub(crate) beside: Option<PathBuf>,
    /// Files, and folders of them, that it is built from.
    pub(crate) sources: Vec<PathBuf>,
}

impl Product {
    /// Builds it when it is older than one of its sources. Any number of test processes may want that at once: one does it.
    pub(crate) fn bring_up_to_date(&self, mut build: Command) {
        if self.is_up_to_date() {
            return;
        }
        let folder = target().join("harness");
        let turn = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join(format!("{}.lock", self.name))));
        let turn = turn.and_then(|turn| turn.lock().map(|()| turn));
        let _turn = turn.unwrap_or_else(|error| panic!("{} can't be used: {error}", folder.display()));
        if self.is_up_to_date() {
            return;
        }
        // Not by a macro, whose output a test keeps to itself.
        let said = format!("{} is older than its sources: building it\n", self.name);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        let begun = SystemTime::now();
        let status = build.stdout(std::io::stderr()).status();
        let status = status.unwrap_or_else(|error| panic!("{build:?} can't be run: {error}"));
        assert!(status.success(), "{} does not build; what {build:?} said is above", self.name);
        assert!(self.file.exists(), "{} is not there after {build:?}", self.file.display());
        // What is changed while it is built is newer than this.
        let stamped = File::create(self.stamp()).and_then(|stamp| stamp.set_modified(begun));
        stamped.unwrap_or_else(|error| panic!("{} can't be written: {error}", self.stamp().display()));
    }

    fn is_up_to_date(&self) -> bool {
        let Some(written) = modified(&self.file) else { return false };
        let known = modified(&self.stamp()).map_or(written, |stamp| stamp.max(written));
        self.beside.as_ref().is_none_or(|file| file.exists())
            && newest(&self.sources).is_none_or(|newest| newest <= known)
    }

    fn stamp(&self) -> PathBuf {
        target().join("harness").join(format!("{}.built", self.name))
    }
}

/// When the newest of these files, and of those in these folders, was changed.
fn newest(sources: &[PathBuf]) -> Option<SystemTime> {
    let mut open = sources.to_vec();
    let mut newest = None;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
            open.extend(entries.filter(|path| !is_skipped(path)));
        } else {
            newest = newest.max(modified(&path));
        }
    }
    newest
}

fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') || (NO_SOURCES.contains(&name) && path.is_dir())
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|about| about.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_older_than_a_source_is_out_of_date() {
        let folder = std::env::temp_dir().join(format!("harness-outdated-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/tests")).unwrap();
        let write = |name: &str, at: u64| {
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
        };
        let product = Product {
            name: format!("test-{}", std::process::id()),
            file: folder.join("built"),
            beside: None,
            sources: vec![folder.join("src"), folder.join("lock"), folder.join("nowhere")],
        };
        write("src/lib.rs", 10);
        assert!(!product.is_up_to_date(), "it is not there");
        write("built", 10);
        assert!(product.is_up_to_date());
        write("src/tests/of_it.rs", 20);
        write("src/.lib.rs.swp", 20);
        assert!(product.is_up_to_date(), "these are no sources");
        write("lock", 11);
        assert!(!product.is_up_to_date());
        write("built", 12);
        let product = Product { beside: Some(folder.join("beside")), ..product };
        assert!(!product.is_up_to_date(), "something is not there");
        fs::remove_dir_all(folder).unwrap();
    }
}
