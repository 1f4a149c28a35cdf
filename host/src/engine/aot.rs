//! The cache of compiled code on disk.
//!
//! Compiled code is native code, so it is loaded only when a tag made with this host's own key says that this host wrote
//! it. A file's name is the component's SHA-256 and the engine's hash: an engine upgrade compiles anew and breaks
//! nothing. Files are written whole and renamed; a crash leaves at most a stray temporary file.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wasmtime::component::Component;
use zeroize::Zeroizing;

use super::compile;

/// Compiled components in a folder that only this host may enter.
pub struct CodeCache {
    folder: PathBuf,
    key: Zeroizing<Vec<u8>>,
}

const TAG: usize = 32;

impl CodeCache {
    /// In `folder`, made with mode 0700 when it is not there; `key` authenticates what is loaded.
    pub fn open(folder: PathBuf, key: Zeroizing<Vec<u8>>) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, key })
    }

    /// The compiled form of a component, if this host has it and wrote it.
    pub(super) fn load(&self, engine: &wasmtime::Engine, sha256: &str) -> Option<Component> {
        let path = self.path(engine, sha256);
        let bytes = std::fs::read(&path).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG)?;
        if self.mac(sha256, code)?.verify_slice(tag).is_err() {
            tracing::warn!(file = %path.display(), "this compiled code is not this host's own; compiling anew");
            return None;
        }
        // SAFETY: the tag says that this host compiled exactly these bytes, for this engine.
        #[expect(unsafe_code, reason = "loading native code; authenticated just above")]
        let component = unsafe { compile::component(engine, code) };
        component.inspect_err(|error| tracing::warn!("compiled code does not load ({error:#}); compiling anew")).ok()
    }

    /// Keeps the compiled form. Failing to is no failure of the component.
    pub(super) fn store(&self, engine: &wasmtime::Engine, sha256: &str, code: &[u8]) {
        let path = self.path(engine, sha256);
        let mac = self.mac(sha256, code).ok_or_else(|| std::io::Error::other("no key"));
        let kept = mac.and_then(|mac| write_whole(&path, &[mac.finalize().into_bytes().as_slice(), code]));
        if let Err(error) = kept {
            tracing::warn!(file = %path.display(), %error, "compiled code is not kept; the next start compiles again");
        }
    }

    /// Forgets all but those of these components.
    pub(super) fn forget(&self, but: &BTreeSet<&str>) {
        let forgotten = std::fs::read_dir(&self.folder).map(|files| {
            for file in files.filter_map(Result::ok) {
                let name = file.file_name();
                let sha256 = name.to_str().and_then(|name| name.strip_suffix(".compiled")?.split('-').next());
                if sha256.is_some_and(|sha256| !but.contains(sha256)) {
                    let _ = std::fs::remove_file(file.path());
                }
            }
        });
        if let Err(error) = forgotten {
            tracing::warn!(%error, "compiled code of old versions stays");
        }
    }

    fn path(&self, engine: &wasmtime::Engine, sha256: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{sha256}-{:016x}.compiled", hasher.finish()))
    }

    fn mac(&self, sha256: &str, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(sha256.as_bytes());
        mac.update(code);
        Some(mac)
    }
}

/// Written beside its place with mode 0600, then renamed.
fn write_whole(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    for part in parts {
        file.write_all(part)?;
    }
    std::fs::rename(&temporary, path)
}
