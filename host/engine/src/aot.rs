//! The cache of compiled code on disk.
//!
//! Compiled code is native code: it is loaded only when its HMAC with this host's key shows that this host wrote it. A file's
//! name has the component's SHA-256 and the engine's hash, so that an upgraded engine compiles again. A file is written whole or
//! not at all.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind::NotFound;
use std::path::PathBuf;

use wasmtime::component::Component;
use zeroize::Zeroizing;

use capability::files;
use native::{Key, MachineCode, TAG};

/// The cache, in a folder that only this host can read.
pub struct CodeCache {
    folder: PathBuf,
    key: Key,
}

impl CodeCache {
    /// In `folder`, which is created when it does not exist; `key` authenticates the code.
    pub fn open(folder: PathBuf, key: Zeroizing<Vec<u8>>) -> std::io::Result<Self> {
        files::folder(&folder)?;
        Ok(Self { folder, key: Key::new(key) })
    }

    /// The compiled code of a component, if there is one that this host wrote.
    pub(super) fn load(&self, engine: &wasmtime::Engine, sha256: &str) -> Option<Component> {
        let path = self.path(engine, sha256);
        let bytes = std::fs::read(&path).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG)?;
        let Some(code) = MachineCode::open(&self.key, sha256, tag, code) else {
            tracing::warn!(file = %path.display(), "this compiled code is not this host's own; compiling again");
            return None;
        };
        let component = code.load(engine);
        component.inspect_err(|error| tracing::warn!("compiled code does not load ({error:#}); compiling again")).ok()
    }

    /// Stores compiled code. A failure is only logged: the component runs without.
    pub(super) fn store(&self, engine: &wasmtime::Engine, sha256: &str, code: &MachineCode<'_>) {
        let path = self.path(engine, sha256);
        let tag = code.tag(&self.key, sha256).ok_or_else(|| std::io::Error::other("no key"));
        let stored = tag.and_then(|tag| files::write_whole(&path, &[tag.as_slice(), code.bytes()]));
        if let Err(error) = stored {
            tracing::warn!(file = %path.display(), %error, "compiled code is not stored; the next start compiles again");
        }
    }

    /// Deletes the compiled code of all components but these.
    pub(super) fn delete_others(&self, but: &BTreeSet<&str>) {
        let deleted = std::fs::read_dir(&self.folder).map(|files| {
            for file in files.filter_map(Result::ok) {
                let name = file.file_name();
                let sha256 = name.to_str().and_then(|name| name.strip_suffix(".compiled")?.split('-').next());
                if sha256.is_some_and(|sha256| !but.contains(sha256)) {
                    let _ = std::fs::remove_file(file.path());
                }
            }
        });
        // There is no folder until something is stored.
        if let Err(error) = deleted.or_else(|error| if error.kind() == NotFound { Ok(()) } else { Err(error) }) {
            tracing::warn!(%error, "compiled code of old versions is not deleted");
        }
    }

    fn path(&self, engine: &wasmtime::Engine, sha256: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{sha256}-{:016x}.compiled", hasher.finish()))
    }
}
