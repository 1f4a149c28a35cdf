//! Passwords: argon2id for new hashes, bcrypt for old ones, on blocking threads with bounded concurrency.
//!
//! Parameters follow the OWASP password storage cheat sheet (argon2id, 19 MiB, two passes, one lane). A burst of log-ins
//! waits here and does not stall other requests: hashing runs on at most `parallel` blocking threads, at most `waiting`
//! callers wait, and further ones get [`Error::Busy`].

use std::sync::Arc;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::random;

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 1_024;
/// The longest hash that is checked against, in bytes.
const MAX_HASH: usize = 1_024;
/// The most memory (KiB), passes and lanes of an argon2 hash that is checked against: a hash says itself what checking costs.
const MAX_ARGON2: (u32, u32, u32) = (64 << 10, 10, 4);
/// The highest cost of a bcrypt hash that is checked against; about a second.
const MAX_BCRYPT: u32 = 14;

/// The cost of hashing, and its concurrency.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Hashes that run at once.
    pub parallel: usize,
    /// Callers that may wait for a permit.
    pub waiting: usize,
}

impl Default for Cost {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // Half of the cores: the other half answers requests.
        Self { memory_kib: 19_456, passes: 2, parallel: (cores / 2).max(1), waiting: 64 }
    }
}

/// The result of checking a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Matches,
    /// It is the password, but its hash is of an old kind or of old parameters.
    MatchesOutdated,
    /// It is not the password, or there was nothing to check against.
    Differs,
}

/// Why a password was not hashed or checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many are waiting.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    /// The password is empty or too long, or checking against the hash would cost too much.
    #[error("{0}")]
    Invalid(String),
    /// The hashing itself failed.
    #[error("hashing failed: {0}")]
    Failed(String),
}

/// Hashes and checks passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash of no password; checked when there is no account, so that both cases take the same time.
    decoy: Arc<str>,
    /// One permit per running hash.
    running: Arc<Semaphore>,
    /// One permit per caller, running or waiting.
    admitted: Arc<Semaphore>,
}

impl Passwords {
    /// With this cost; refuses parameters that argon2 refuses.
    pub fn new(cost: Cost) -> Result<Self, Error> {
        let params = argon2::Params::new(cost.memory_kib, cost.passes, 1, None).map_err(failed)?;
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let decoy = decoy(argon2.params())?.into();
        let running = Arc::new(Semaphore::new(cost.parallel.max(1)));
        let admitted = Arc::new(Semaphore::new(cost.parallel.max(1) + cost.waiting));
        Ok(Self { argon2, decoy, running, admitted })
    }

    /// A PHC string with a fresh salt.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        let password = checked(password)?;
        let argon2 = self.argon2.clone();
        self.with_permit(move || argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(failed))
            .await
    }

    /// Checks `password` against `hash`; against none, it only takes the time.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<Verdict, Error> {
        let password = checked(password)?;
        if let Some(hash) = &hash {
            affordable(hash, self.argon2.params())?;
        }
        let argon2 = self.argon2.clone();
        let decoy = self.decoy.clone();
        self.with_permit(move || {
            Ok(match hash {
                None => {
                    verify_argon2(&argon2, &password, &decoy);
                    Verdict::Differs
                }
                Some(hash) if hash.starts_with("$2") => match bcrypt::verify(password.as_bytes(), &hash) {
                    Ok(true) => Verdict::MatchesOutdated,
                    Ok(false) | Err(_) => Verdict::Differs,
                },
                Some(hash) => verify_argon2(&argon2, &password, &hash),
            })
        })
        .await
    }

    /// Runs `work` on a blocking thread once it has a permit. Dropping the caller's future does not stop running work, and
    /// the permits are released with the work, so the bound holds for abandoned calls too.
    async fn with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        let permit = self.running.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop((permit, admitted));
            result
        })
        .await
        .map_err(|error| Error::Failed(error.to_string()))?
    }
}

/// A fake hash with these parameters: a check against it takes as long as one against a real hash; making it is cheap.
fn decoy(params: &argon2::Params) -> Result<String, Error> {
    let salt = Salt::new(&random::bytes::<16>()).map_err(failed)?;
    let hash = Output::new(&random::bytes::<32>()).map_err(failed)?;
    Ok(format!("$argon2id$v=19${params}${salt}${hash}"))
}

fn verify_argon2(argon2: &Argon2<'_>, password: &str, hash: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(hash) else { return Verdict::Differs };
    // `verify_password` takes the parameters from the hash.
    if argon2.verify_password(password.as_bytes(), &parsed).is_err() {
        return Verdict::Differs;
    }
    let same = argon2::Params::try_from(&parsed)
        .is_ok_and(|params| params.m_cost() == argon2.params().m_cost() && params.t_cost() == argon2.params().t_cost());
    if same && parsed.algorithm.as_str() == "argon2id" { Verdict::Matches } else { Verdict::MatchesOutdated }
}

/// Refuses a hash whose check would cost more than any that the host makes. What is no hash is no error here.
fn affordable(hash: &str, own: &argon2::Params) -> Result<(), Error> {
    let too_much = |what: String| Error::Invalid(format!("the hash is not checked against: {what}"));
    if hash.len() > MAX_HASH {
        return Err(too_much(format!("it has {} bytes, and at most {MAX_HASH} are allowed", hash.len())));
    }
    if hash.starts_with("$2") {
        let cost = hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
        return match cost {
            Some(cost) if cost > MAX_BCRYPT => {
                Err(too_much(format!("its bcrypt cost is {cost}, and at most {MAX_BCRYPT} is allowed")))
            }
            _ => Ok(()),
        };
    }
    let Ok(parsed) = PasswordHash::new(hash) else { return Ok(()) };
    let Ok(params) = argon2::Params::try_from(&parsed) else { return Ok(()) };
    let (memory, passes, lanes) = MAX_ARGON2;
    if params.m_cost() > memory.max(own.m_cost())
        || params.t_cost() > passes.max(own.t_cost())
        || params.p_cost() > lanes
    {
        return Err(too_much(format!(
            "it takes {} KiB, {} passes and {} lanes, and at most {memory}, {passes} and {lanes} are allowed",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        )));
    }
    Ok(())
}

fn checked(password: String) -> Result<Zeroizing<String>, Error> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(Error::Invalid(format!("a password takes 1 to {MAX_PASSWORD} bytes")));
    }
    Ok(Zeroizing::new(password))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap(parallel: usize, waiting: usize) -> Passwords {
        Passwords::new(Cost { memory_kib: 64, passes: 1, parallel, waiting }).unwrap()
    }

    #[test]
    fn the_decoy_is_checked_as_a_hash_of_the_same_cost_is() {
        let passwords = cheap(1, 1);
        let parsed = PasswordHash::new(&passwords.decoy).unwrap();
        let (its, real) = (argon2::Params::try_from(&parsed).unwrap(), passwords.argon2.params());
        assert_eq!((its.m_cost(), its.t_cost(), its.p_cost()), (real.m_cost(), real.t_cost(), real.p_cost()));
        // It is not refused before the hashing: `verify_password` returns that the password differs.
        let checked = passwords.argon2.verify_password(b"nobody's", &parsed);
        assert_eq!(checked, Err(argon2::password_hash::Error::PasswordInvalid));
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_only() {
        let passwords = cheap(1, 4);
        let hash = passwords.hash("Secret#1".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(passwords.verify("Secret#1".into(), Some(hash.clone())).await.unwrap(), Verdict::Matches);
        assert_eq!(passwords.verify("Secret#2".into(), Some(hash)).await.unwrap(), Verdict::Differs);
        assert_eq!(passwords.verify("Secret#1".into(), None).await.unwrap(), Verdict::Differs);
        assert_eq!(passwords.verify("Secret#1".into(), Some("nonsense".into())).await.unwrap(), Verdict::Differs);
    }

    #[tokio::test]
    async fn an_old_bcrypt_hash_still_opens_and_wants_replacing() {
        let passwords = cheap(1, 4);
        let old = bcrypt::hash("Secret#1", 4).unwrap();
        assert_eq!(passwords.verify("Secret#1".into(), Some(old.clone())).await.unwrap(), Verdict::MatchesOutdated);
        assert_eq!(passwords.verify("secret#1".into(), Some(old)).await.unwrap(), Verdict::Differs);
    }

    #[tokio::test]
    async fn other_parameters_want_replacing() {
        let old = cheap(1, 4).hash("Secret#1".into()).await.unwrap();
        let now = Passwords::new(Cost { memory_kib: 128, passes: 1, parallel: 1, waiting: 4 }).unwrap();
        assert_eq!(now.verify("Secret#1".into(), Some(old)).await.unwrap(), Verdict::MatchesOutdated);
    }

    #[tokio::test]
    async fn past_the_last_place_the_next_one_is_told_so() {
        let passwords = cheap(1, 0);
        let held = passwords.admitted.clone().try_acquire_owned().unwrap();
        assert_eq!(passwords.hash("Secret#1".into()).await, Err(Error::Busy));
        drop(held);
        assert!(passwords.hash("Secret#1".into()).await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_that_costs_too_much_is_not_checked_against() {
        let passwords = cheap(1, 1);
        let (salt, output) = ("AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let argon2 = |params: &str| format!("$argon2id$v=19${params}${salt}${output}");
        for hash in [
            argon2("m=4194304,t=1,p=1"),
            argon2("m=64,t=4294967295,p=1"),
            argon2("m=512,t=1,p=64"),
            "$2b$31$abcdefghijklmnopqrstuuGzuT5AzTLVq8tF5IKBbdcJoZm7eJ3Gm".to_owned(),
            "x".repeat(1 << 20),
        ] {
            let checked = passwords.verify("Secret#1".into(), Some(hash.clone())).await;
            assert!(matches!(checked, Err(Error::Invalid(_))), "{hash:.40}: {checked:?}");
        }
        // What the operator chose is never too much.
        let own = argon2::Params::new(128 << 10, 12, 1, None).unwrap();
        assert_eq!(affordable(&argon2("m=131072,t=12,p=1"), &own), Ok(()));
    }

    #[tokio::test]
    async fn length_is_bounded() {
        let passwords = cheap(1, 1);
        assert!(matches!(passwords.hash(String::new()).await, Err(Error::Invalid(_))));
        assert!(matches!(passwords.verify("x".repeat(1_025), None).await, Err(Error::Invalid(_))));
    }
}
