//! What a host keeps in its folder to start without the documents: the rows as it last served them, and their files.
//!
//! Everything is written beside its place and renamed. A file is what its name says or it is not taken.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use super::row::Row;
use crate::registry::Bundle;

/// The file of the rows.
const ROWS: &str = "deployed.json";

#[derive(Clone)]
pub(super) struct Kept(PathBuf);

impl Kept {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The rows that it last served; none where it never did.
    pub(super) fn rows(&self) -> Option<Vec<Row>> {
        let text = std::fs::read(self.0.join(ROWS)).ok()?;
        let rows = serde_json::from_slice(&text);
        rows.inspect_err(|error| tracing::warn!(%error, "what this host last served can't be read")).ok()
    }

    /// A file by its hash.
    pub(super) fn bundle(&self, sha256: &str) -> Option<Bundle> {
        let bundle = Bundle::read_file(&self.path(sha256)).ok()?;
        (bundle.sha256 == sha256).then_some(bundle)
    }

    /// Whether it has a file of this hash.
    pub(super) fn has(&self, sha256: &str) -> bool {
        self.path(sha256).exists()
    }

    /// Keeps a file.
    pub(super) fn keep_file(&self, sha256: &str, bytes: &[u8]) {
        if let Err(error) = self.write(&self.path(sha256), bytes) {
            tracing::warn!(%error, "a component is not kept; without the document store this host could not start it");
        }
    }

    /// Keeps the rows, and forgets the files that they don't name.
    pub(super) fn keep_rows(&self, rows: &[&Row]) {
        let text = serde_json::to_vec(rows).map_err(std::io::Error::other);
        let kept = text.and_then(|text| {
            let file = self.0.join(ROWS);
            // What a host starts with is most often what it ended with.
            if std::fs::read(&file).is_ok_and(|old| old == text) { Ok(()) } else { self.write(&file, &text) }
        });
        if let Err(error) = kept.and_then(|()| self.forget(rows)) {
            tracing::warn!(%error, "what this host serves is not kept; without the document store it would start as before");
        }
    }

    fn forget(&self, rows: &[&Row]) -> std::io::Result<()> {
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
        std::fs::create_dir_all(&self.0)?;
        let temporary = path.with_extension("part");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Version;
    use crate::registry::Manifest;

    #[test]
    fn what_was_kept_is_there_and_what_nobody_names_goes() {
        let folder = tempfile::TempDir::new().unwrap();
        let kept = Kept::new(folder.path().join("deployed"));
        let manifest = |name| format!("[component]\nname = \"{name}\"\nversion = \"1\"\n");
        let [one, two] = ["one", "two"].map(|name| {
            let empty = b"\0asm\x0d\0\x01\0".to_vec();
            Bundle::read(name, Manifest::bundle(empty, &manifest(name)).unwrap()).unwrap()
        });
        assert_eq!((kept.rows(), kept.bundle(&one.sha256)), (None, None));
        for bundle in [&one, &two] {
            kept.keep_file(&bundle.sha256, &bundle.wasm);
        }
        let mut row = Row::new("a");
        row.serve(Version { sha256: one.sha256.clone(), version: "1".into(), at: 7 });
        kept.keep_rows(&[&row]);
        assert_eq!(kept.rows(), Some(vec![row]));
        assert_eq!((kept.bundle(&one.sha256), kept.bundle(&two.sha256)), (Some(one.clone()), None));
        std::fs::write(kept.path(&one.sha256), &two.wasm).unwrap();
        assert_eq!(kept.bundle(&one.sha256), None, "it is not what its name says");
    }
}
