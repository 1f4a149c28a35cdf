//! Secrets: from the environment, or generated once into a folder of the host's own. Touches only these.
//!
//! A secret is passed to the code that uses it and to nothing else: no log, no error, no component. In production a secret that
//! can be guessed is refused, wherever it comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::strength::{SECRET_BYTES, TOKEN_BYTES, weakness};
use capability::files;

/// The variables of the environment that `application.toml` names.
#[derive(Debug, Clone, Default)]
pub enum Variables {
    /// Those of the process.
    #[default]
    Process,
    /// These and no others, for a host that tests stand on.
    Given(BTreeMap<String, String>),
}

impl Variables {
    /// The value of a variable; none when it is not set or empty.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        let value = match self {
            Self::Process => std::env::var_os(name),
            Self::Given(given) => given.get(name).map(OsString::from),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// Where secrets come from.
pub struct Secrets {
    folder: Option<PathBuf>,
    production: bool,
    variables: Variables,
}

impl Secrets {
    /// From the environment; in development also generated once into `folder` (none: for this process only).
    pub fn new(folder: Option<PathBuf>, production: bool) -> Self {
        Self { folder, production, variables: Variables::Process }
    }

    /// From these variables instead of those of the process.
    #[must_use]
    pub fn of(self, variables: Variables) -> Self {
        Self { variables, ..self }
    }

    /// The secret of an environment variable. The error never contains it.
    pub fn get(&self, variable: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        if let Some(given) = self.given(variable, SECRET_BYTES)? {
            return Ok(given);
        }
        if self.production {
            return Err(ConfigError(format!(
                "{variable} is not set; in production every secret must be given: make one with {RECIPE}"
            )));
        }
        self.generated(variable)
    }

    /// The secret of a variable that may be missing. Somebody else made it, so it may be as short as a token.
    pub fn optional(&self, variable: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ConfigError> {
        let Some(value) = self.variables.get(variable) else { return Ok(None) };
        let value = Zeroizing::new(value.into_vec());
        self.check(&value, TOKEN_BYTES, |why| {
            format!("{variable} {why}; set it to the whole key that its maker gave, or unset it")
        })?;
        Ok(Some(value))
    }

    /// A secret that only this host needs: never read from the environment, always generated.
    pub fn generated(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        self.kept(name, SECRET_BYTES)
    }

    /// The token of an environment variable or, without one, the one that is generated into the file `name`, in production too.
    pub fn token(&self, variable: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        match self.given(variable, TOKEN_BYTES)? {
            Some(given) => Ok(given),
            None => self.kept(name, TOKEN_BYTES),
        }
    }

    /// Refuses, in production, one value for two variables: who may sign with the one would sign for the other.
    pub fn check_distinct(&self, secrets: &[(&str, &[u8])]) -> Result<(), ConfigError> {
        for (at, (variable, secret)) in secrets.iter().enumerate() {
            let same = secrets.iter().skip(at + 1).find(|(other, value)| other != variable && value == secret);
            if let Some((other, _)) = same.filter(|_| self.production) {
                return Err(ConfigError(format!(
                    "{variable} and {other} are the same; give each its own: make one with {RECIPE}"
                )));
            }
        }
        Ok(())
    }

    /// The value of a variable; none when it is not set.
    fn given(&self, variable: &str, least: usize) -> Result<Option<Zeroizing<Vec<u8>>>, ConfigError> {
        let Some(value) = self.variables.get(variable) else { return Ok(None) };
        let value = Zeroizing::new(value.into_vec());
        self.check(&value, least, |why| format!("{variable} {why}; make one with {RECIPE}"))?;
        Ok(Some(value))
    }

    /// The content of a file in the folder, which is generated when it is not there.
    fn kept(&self, name: &str, least: usize) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let fresh = || Zeroizing::new(hex::encode(capability::random::bytes::<32>()).into_bytes());
        let Some(folder) = &self.folder else { return Ok(fresh()) };
        let file = folder.join(name.to_ascii_lowercase());
        let failed = |error: std::io::Error| {
            ConfigError(format!("can't keep the secret {name} in {}: {error}", folder.display()))
        };
        let secret = read_or_create(&file, fresh).map_err(failed)?;
        self.check(&secret, least, |why| {
            format!("the secret in {} {why}; remove the file, and the host makes another", file.display())
        })?;
        Ok(secret)
    }

    /// Refuses a weak secret in production, and warns of it elsewhere. `explain` makes the message of the reason.
    fn check(&self, secret: &[u8], least: usize, explain: impl FnOnce(&str) -> String) -> Result<(), ConfigError> {
        let Some(weak) = weakness(secret, least) else { return Ok(()) };
        let message = explain(&weak.to_string());
        if self.production {
            return Err(ConfigError(message));
        }
        tracing::warn!("{message} (in production this host would refuse to start)");
        Ok(())
    }
}

/// How a good secret is made.
const RECIPE: &str = "`openssl rand -hex 32`";

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

    #[test]
    fn production_refuses_what_can_be_guessed_also_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = |production| Secrets::new(Some(folder.path().into()), production);
        let good = secrets(true).token("DEVCONNECT_TEST_NOT_SET", "token").unwrap();
        assert_eq!(secrets(false).generated("token").unwrap(), good);
        std::fs::write(folder.path().join("token"), "a-hunter2").unwrap();
        let error = secrets(true).token("DEVCONNECT_TEST_NOT_SET", "token").unwrap_err().to_string();
        assert!(
            error.contains("token is too short: it needs at least 24 bytes") && !error.contains("hunter"),
            "{error}"
        );
        assert_eq!(secrets(false).generated("token").unwrap().as_slice(), b"a-hunter2", "a warning is enough");
        for (value, why) in
            [("secret", "is too short: it needs at least 32 bytes"), ("secret".repeat(9).as_str(), "can be guessed")]
        {
            let told = |why: &str| format!("A {why}");
            let error = secrets(true).check(value.as_bytes(), SECRET_BYTES, told).unwrap_err().to_string();
            assert!(error.starts_with("A ") && error.contains(why), "{error}");
            assert!(secrets(false).check(value.as_bytes(), SECRET_BYTES, told).is_ok());
        }
    }

    #[test]
    fn a_secret_of_somebody_else_may_be_missing_and_is_no_placeholder() {
        let given = |value: &str| Variables::Given(BTreeMap::from([("KEY".to_owned(), value.to_owned())]));
        let secrets = |value: &str| Secrets::new(None, true).of(given(value));
        assert_eq!(secrets("").optional("KEY").unwrap(), None);
        assert_eq!(secrets("x").optional("OTHER").unwrap(), None);
        let uuid = "8f14e45f-ceea-467f-a1d1-6e0b2c3d9a57";
        assert_eq!(secrets(uuid).optional("KEY").unwrap().unwrap().as_slice(), uuid.as_bytes());
        for weak in ["hunter2", "changeme-changeme-changeme"] {
            let error = secrets(weak).optional("KEY").unwrap_err().to_string();
            assert!(error.starts_with("KEY ") && error.contains("its maker gave") && !error.contains(weak), "{error}");
        }
    }

    #[test]
    fn two_secrets_are_two_in_production() {
        let secrets = |production| Secrets::new(None, production);
        let (one, other): (&[u8], &[u8]) = (b"one", b"other");
        assert!(secrets(true).check_distinct(&[("A", one), ("B", other), ("A", one)]).is_ok());
        let same = [("A", one), ("B", other), ("C", other)];
        let error = secrets(true).check_distinct(&same).unwrap_err().to_string();
        assert!(error.starts_with("B and C are the same"), "{error}");
        assert!(secrets(false).check_distinct(&same).is_ok());
    }
}
