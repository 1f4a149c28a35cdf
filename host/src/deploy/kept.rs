//! What a host keeps in its folder to start without the documents: the rows as it last served them, and their files.
//!
//! Everything is written beside its place and renamed. A file is what its name says or it is not taken.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::row::Row;

/// The file of the rows.
const ROWS: &str = "deployed.json";

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
    pub(super) fn file(&self, sha256: &str) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.path(sha256)).ok()?;
        (hex::encode(Sha256::digest(&bytes)) == sha256).then_some(bytes)
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
        let kept = text.and_then(|text| self.write(&self.0.join(ROWS), &text));
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

    #[test]
    fn what_was_kept_is_there_and_what_nobody_names_goes() {
        let folder = tempfile::TempDir::new().unwrap();
        let kept = Kept::new(folder.path().join("deployed"));
        assert_eq!((kept.rows(), kept.file("00")), (None, None));
        let [one, two] = [b"one", b"two"].map(|bytes| (hex::encode(Sha256::digest(bytes)), bytes));
        for (sha256, bytes) in [&one, &two] {
            kept.keep_file(sha256, *bytes);
        }
        let mut row = Row::new("a");
        row.serve(Version { sha256: one.0.clone(), version: "1".into(), at: 7 });
        kept.keep_rows(&[&row]);
        assert_eq!(kept.rows(), Some(vec![row]));
        assert_eq!((kept.file(&one.0), kept.file(&two.0)), (Some(b"one".to_vec()), None));
        std::fs::write(kept.path(&one.0), "other").unwrap();
        assert_eq!(kept.file(&one.0), None, "it is not what its name says");
    }
}
