//! Secrets: from the environment, or generated once into a folder of the host's own. Touches only these.
//!
//! A secret is passed to the code that uses it and to nothing else: no log, no error, no component.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::ConfigError;
use capability::files;

/// Where secrets come from.
pub struct Secrets {
    folder: Option<PathBuf>,
    production: bool,
}

impl Secrets {
    /// From the environment; in development also generated once into `folder` (none: for this process only).
    pub fn new(folder: Option<PathBuf>, production: bool) -> Self {
        Self { folder, production }
    }

    /// The secret of an environment variable. The error never contains it.
    pub fn get(&self, variable: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        match std::env::var(variable) {
            Ok(value) if !value.is_empty() => return Ok(Zeroizing::new(value.into_bytes())),
            _ => {}
        }
        if self.production {
            return Err(ConfigError(format!("{variable} is not set; in production every secret must be given")));
        }
        self.generated(variable)
    }

    /// A secret that only this host needs: never read from the environment, always generated.
    pub fn generated(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let fresh = || Zeroizing::new(hex::encode(capability::random::bytes::<32>()).into_bytes());
        let Some(folder) = &self.folder else { return Ok(fresh()) };
        let failed = |error: std::io::Error| {
            ConfigError(format!("can't keep the secret {name} in {}: {error}", folder.display()))
        };
        read_or_create(&folder.join(name.to_ascii_lowercase()), fresh).map_err(failed)
    }
}

/// Reads a file, and creates it first when it is not there. Two concurrent starts get the same content.
fn read_or_create(path: &Path, fresh: impl FnOnce() -> Zeroizing<Vec<u8>>) -> std::io::Result<Zeroizing<Vec<u8>>> {
    use std::io::Write as _;
    if let Some(folder) = path.parent() {
        files::folder(folder)?;
    }
    if !path.exists() {
        let temporary = path.with_extension(format!("part{}", std::process::id()));
        let mut file = files::create(&temporary)?;
        file.write_all(&fresh())?;
        file.sync_all()?;
        // The hard link fails when a concurrent start created the file first; then its secret is used.
        let linked = std::fs::hard_link(&temporary, path);
        std::fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    std::fs::read(path).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_wants_its_secrets_given() {
        let folder = tempfile::tempdir().unwrap();
        let production = Secrets::new(Some(folder.path().into()), true);
        assert!(production.get("DEVCONNECT_TEST_NOT_SET").is_err());
        let development = Secrets::new(Some(folder.path().into()), false);
        let first = development.get("DEVCONNECT_TEST_NOT_SET").unwrap();
        assert_eq!(development.get("DEVCONNECT_TEST_NOT_SET").unwrap(), first);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("devconnect_test_not_set")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
