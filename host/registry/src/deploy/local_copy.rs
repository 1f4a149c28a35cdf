//! The local copy: the rows as this host last served them, and their files, to start without the documents.
//!
//! A file is written whole or not at all. A component whose hash is not the one in its file name is ignored. Touches one folder.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::deploy::component_row::ComponentRow;
use capability::files;
use manifest::Bundle;

/// The file of the rows.
const ROWS: &str = "deployed.json";

#[derive(Clone)]
pub(super) struct LocalCopy(PathBuf);

impl LocalCopy {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The rows that this host last served; none when it never served.
    pub(super) fn rows(&self) -> Option<Vec<ComponentRow>> {
        let text = std::fs::read(self.0.join(ROWS)).ok()?;
        let rows = serde_json::from_slice(&text);
        rows.inspect_err(|error| tracing::warn!(%error, "what this host last served can't be read")).ok()
    }

    /// A component by its hash.
    pub(super) fn bundle(&self, sha256: &str) -> Option<Bundle> {
        let bundle = Bundle::read_file(&self.path(sha256)).ok()?;
        (bundle.sha256 == sha256).then_some(bundle)
    }

    /// Whether there is a file for this hash.
    pub(super) fn has(&self, sha256: &str) -> bool {
        self.path(sha256).exists()
    }

    /// Saves a component.
    pub(super) fn save_file(&self, sha256: &str, bytes: &[u8]) {
        if let Err(error) = self.write(&self.path(sha256), bytes) {
            tracing::warn!(%error, "a component is not in the local copy; this host can't start it without the document store");
        }
    }

    /// Saves the rows, and deletes the files that they don't name.
    pub(super) fn save_rows(&self, rows: &[&ComponentRow]) {
        let text = serde_json::to_vec(rows).map_err(std::io::Error::other);
        let saved = text.and_then(|text| {
            let file = self.0.join(ROWS);
            // After a start the rows are most often the ones that were saved before.
            if std::fs::read(&file).is_ok_and(|old| old == text) { Ok(()) } else { self.write(&file, &text) }
        });
        if let Err(error) = saved.and_then(|()| self.delete_unnamed(rows)) {
            tracing::warn!(%error, "the local copy is not updated; without the document store this host starts with the older one");
        }
    }

    fn delete_unnamed(&self, rows: &[&ComponentRow]) -> std::io::Result<()> {
        let named: BTreeSet<PathBuf> =
            rows.iter().flat_map(|row| &row.versions).map(|version| self.path(&version.sha256)).collect();
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") && !named.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.0.join(format!("{sha256}.wasm"))
    }

    fn write(&self, path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
        files::folder(&self.0)?;
        files::write_durably(path, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Version;
    use manifest::Manifest;

    #[test]
    fn what_was_kept_is_there_and_what_nobody_names_goes() {
        let folder = tempfile::TempDir::new().unwrap();
        let copy = LocalCopy::new(folder.path().join("deployed"));
        let manifest = |name| format!("[component]\nname = \"{name}\"\nversion = \"1\"\n");
        let [one, two] = ["one", "two"].map(|name| {
            let empty = b"\0asm\x0d\0\x01\0".to_vec();
            Bundle::read(name, Manifest::bundle(empty, &manifest(name)).unwrap()).unwrap()
        });
        assert_eq!((copy.rows(), copy.bundle(&one.sha256)), (None, None));
        for bundle in [&one, &two] {
            copy.save_file(&bundle.sha256, &bundle.wasm);
        }
        let mut row = ComponentRow::new("a");
        row.serve(Version { sha256: one.sha256.clone(), version: "1".into(), at: 7 });
        copy.save_rows(&[&row]);
        assert_eq!(copy.rows(), Some(vec![row]));
        assert_eq!((copy.bundle(&one.sha256), copy.bundle(&two.sha256)), (Some(one.clone()), None));
        std::fs::write(copy.path(&one.sha256), &two.wasm).unwrap();
        assert_eq!(copy.bundle(&one.sha256), None, "it is not what its name says");
    }
}
