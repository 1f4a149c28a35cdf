//! The sources of components, and whether they are other ones than at the last look: by name, size and time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders and files that components are built from.
const PLACES: [&str; 4] = ["components", "wit", "Cargo.toml", "Cargo.lock"];

pub(super) struct Sources {
    root: PathBuf,
    seen: BTreeMap<PathBuf, (u64, SystemTime)>,
}

impl Sources {
    pub(super) fn of(root: &Path) -> Self {
        let mut sources = Self { root: root.to_owned(), seen: BTreeMap::new() };
        sources.seen = sources.look();
        sources
    }

    /// Whether something is different since this was asked last.
    pub(super) fn changed(&mut self) -> bool {
        let now = self.look();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    fn look(&self) -> BTreeMap<PathBuf, (u64, SystemTime)> {
        let mut seen = BTreeMap::new();
        let mut open: Vec<PathBuf> = PLACES.iter().map(|place| self.root.join(place)).collect();
        while let Some(path) = open.pop() {
            // What an editor takes away just now is seen at the next look.
            let Ok(about) = std::fs::metadata(&path) else { continue };
            if about.is_dir() {
                // Tens of thousands of files, none of which is built from here; and what a build makes of the sources beside it.
                if path.ends_with("node_modules") || xtask::guests::is_made(&path) {
                    continue;
                }
                open.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            } else if is_source(&path) {
                seen.insert(path, (about.len(), about.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
        seen
    }
}

/// Extensions of sources of components, and of files that they carry (`[assets]`).
const SOURCES: [&str; 19] = [
    "rs", "toml", "wit", "lock", "html", "txt", "ts", "tsx", "js", "mjs", "css", "map", "json", "svg", "png", "jpg",
    "webp", "ico", "woff2",
];

/// Not what editors and programs leave beside them.
fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| SOURCES.iter().any(|known| extension == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let folder = std::env::temp_dir().join(format!("sources-{}", std::process::id()));
        let source = folder.join("components/a/src/lib.rs");
        std::fs::create_dir_all(source.parent().unwrap()).unwrap();
        std::fs::write(&source, "1").unwrap();
        let mut sources = Sources::of(&folder);
        assert!(!sources.changed());
        std::fs::write(&source, "12").unwrap();
        assert!(sources.changed() && !sources.changed());
        std::fs::write(source.with_extension("rs~"), "1").unwrap();
        assert!(!sources.changed());
        std::fs::remove_file(&source).unwrap();
        assert!(sources.changed() && !sources.changed());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
