//! Passwords: argon2id for new hashes, bcrypt for old ones, on blocking threads with bounded concurrency.
//!
//! Parameters follow the OWASP password storage cheat sheet (argon2id, 19 MiB, two passes, one lane). A burst of log-ins
//! waits here and does not stall other requests: hashing runs on at most `parallel` blocking threads, in memory that is kept for
//! them, at most `waiting` callers wait, in turns by where they come from, and further ones get [`Error::Busy`].
//!
//! What a refused password is promised: it costs the same work whether there is an account or not and whatever the account's hash
//! is, namely one argon2id of today's parameters and one bcrypt of the highest cost that this host has met, up to cost 14. So the
//! time shows neither who has an account nor which accounts are old. A right password may cost less. (Not
//! covered: argon2 hashes of other parameters, hashes that would cost too much to check against, which are refused at once, and
//! what the load of a whole host shows.)

mod memory;
mod queue;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::random;
use memory::Memory;
use queue::Queue;

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 1_024;
/// The longest hash that is checked against, in bytes.
const MAX_HASH: usize = 1_024;
/// The most memory (KiB), passes and lanes of an argon2 hash that is checked against: a hash says itself what checking costs.
const MAX_ARGON2: (u32, u32, u32) = (64 << 10, 10, 4);
/// The lowest cost of bcrypt.
pub const MIN_OLD_COST: u32 = 4;
/// The highest cost of a bcrypt hash that is checked against, and that other refusals are made up to; about a second.
const MAX_OLD_COST: u32 = 14;

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
    /// The cost of old bcrypt hashes, before one of a higher cost is met.
    pub old_cost: u32,
}

impl Default for Cost {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // Half of the cores: the other half answers requests. The earlier DevConnect hashed with a cost of 10.
        Self { memory_kib: 19_456, passes: 2, parallel: (cores / 2).max(1), waiting: 64, old_cost: 10 }
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
    checker: Arc<Checker>,
    queue: Arc<Queue>,
}

/// What checks a password, on a blocking thread.
struct Checker {
    argon2: Argon2<'static>,
    /// A hash of no password; checked when no real one was, so that both cases take the same time.
    decoy: String,
    /// The memory of argon2.
    memory: Memory,
    /// The highest cost of bcrypt that was met.
    old_cost: AtomicU32,
}

/// The work that a check has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Work {
    argon2: bool,
    /// The cost of a bcrypt.
    bcrypt: Option<u32>,
}

impl Passwords {
    /// With this cost; refuses parameters that argon2 refuses.
    pub fn new(cost: Cost) -> Result<Self, Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = decoy(argon2.params())?;
        let old_cost = AtomicU32::new(cost.old_cost.clamp(MIN_OLD_COST, MAX_OLD_COST));
        let memory = Memory::new(argon2.params().block_count());
        let checker = Arc::new(Checker { argon2, decoy, memory, old_cost });
        Ok(Self { checker, queue: Queue::new(cost.parallel, cost.waiting) })
    }

    /// A PHC string with a fresh salt, for a client at this address.
    pub async fn hash(&self, client: &str, password: String) -> Result<String, Error> {
        let password = checked(password)?;
        let checker = self.checker.clone();
        self.with_permit(client, move || checker.hash(&password)).await
    }

    /// Checks `password` against `hash`, for a client at this address; against none, it only takes the time.
    pub async fn verify(&self, client: &str, password: String, hash: Option<String>) -> Result<Verdict, Error> {
        let password = checked(password)?;
        if let Some(hash) = &hash {
            affordable(hash, self.checker.argon2.params())?;
        }
        let checker = self.checker.clone();
        self.with_permit(client, move || Ok(checker.check(&password, hash.as_deref()))).await
    }

    /// Runs `work` on a blocking thread once it has a permit. Dropping the caller's future does not stop running work, and
    /// the permit is released with the work, so the bound holds for abandoned calls too.
    async fn with_permit<T: Send + 'static>(
        &self,
        client: &str,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (queue, caller) = (self.queue.clone(), queue::caller(client));
        let broke_off = |error: tokio::task::JoinError| Error::Failed(error.to_string());
        // A task of its own uses the permit as soon as it comes, however seldom the caller is polled: others wait for it.
        let task = tokio::spawn(async move {
            let permit = queue.enter(&caller).await.ok_or(Error::Busy)?;
            let running = tokio::task::spawn_blocking(move || {
                let result = work();
                drop(permit);
                result
            });
            running.await.map_err(broke_off)?
        });
        let _waiting = Waiting(task.abort_handle());
        task.await.map_err(broke_off)?
    }
}

/// A caller that waits. One that is dropped leaves the queue.
struct Waiting(tokio::task::AbortHandle);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Checker {
    fn check(&self, password: &str, hash: Option<&str>) -> Verdict {
        let (verdict, work) = match hash {
            None => (Verdict::Differs, Work::default()),
            Some(hash) if hash.starts_with("$2") => self.check_bcrypt(password, hash),
            Some(hash) => self.check_argon2(password, hash),
        };
        if verdict == Verdict::Differs {
            self.make_up(password, work);
        }
        verdict
    }

    /// A PHC string with a fresh salt.
    fn hash(&self, password: &str) -> Result<String, Error> {
        let salt = Salt::new(&random::bytes::<16>()).map_err(failed)?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let hashed = self.memory.lend(self.argon2.params().block_count(), |blocks| {
            self.argon2.hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, blocks)
        });
        hashed.map_err(failed)?;
        Ok(phc(self.argon2.params(), &salt, &Output::new(&output).map_err(failed)?))
    }

    fn check_argon2(&self, password: &str, hash: &str) -> (Verdict, Work) {
        // None: it is no hash of argon2, and was not checked.
        let parsed = PasswordHash::new(hash).ok();
        let Some((parsed, matches)) =
            parsed.and_then(|parsed| self.argon2_matches(password, &parsed).map(|matches| (parsed, matches)))
        else {
            return (Verdict::Differs, Work::default());
        };
        let own = self.argon2.params();
        let same = Params::try_from(&parsed)
            .is_ok_and(|params| params.m_cost() == own.m_cost() && params.t_cost() == own.t_cost());
        let verdict = match matches {
            false => Verdict::Differs,
            true if same && parsed.algorithm.as_str() == "argon2id" => Verdict::Matches,
            true => Verdict::MatchesOutdated,
        };
        (verdict, Work { argon2: true, bcrypt: None })
    }

    /// Whether a hash of argon2, which has its own parameters, is this password's; none when it is no such hash.
    fn argon2_matches(&self, password: &str, hash: &PasswordHash) -> Option<bool> {
        let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let params = Params::try_from(hash).ok()?;
        let blocks = params.block_count();
        let argon2 = Argon2::new(algorithm, version, params);
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..expected.len())?;
        let hashed = self.memory.lend(blocks, |blocks| {
            argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut *output, blocks)
        });
        hashed.ok()?;
        // Compared in constant time.
        Some(Output::new(output).is_ok_and(|output| output == *expected))
    }

    fn check_bcrypt(&self, password: &str, hash: &str) -> (Verdict, Work) {
        let cost = hash.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
        match (bcrypt::verify(password.as_bytes(), hash), cost) {
            (Ok(matches), Ok(cost)) => {
                self.old_cost.fetch_max(cost.min(MAX_OLD_COST), Ordering::Relaxed);
                let verdict = if matches { Verdict::MatchesOutdated } else { Verdict::Differs };
                (verdict, Work { argon2: false, bcrypt: Some(cost) })
            }
            // It is no hash, and was not checked.
            _ => (Verdict::Differs, Work::default()),
        }
    }

    /// Does what is missing of the work that a refused password costs.
    fn make_up(&self, password: &str, done: Work) {
        if !done.argon2 {
            black_box(self.check_argon2(password, &self.decoy));
        }
        let most = self.old_cost.load(Ordering::Relaxed);
        let missing = match done.bcrypt {
            None => most..most + 1,
            // Each cost is twice the work of the one below: one of each makes up for what is missing.
            Some(cost) => cost..most,
        };
        for cost in missing {
            let _ = black_box(bcrypt::hash_with_salt(password.as_bytes(), cost, [0; 16]));
        }
    }
}

/// A fake hash with these parameters: a check against it takes as long as one against a real hash; making it is cheap.
fn decoy(params: &Params) -> Result<String, Error> {
    let salt = Salt::new(&random::bytes::<16>()).map_err(failed)?;
    let hash = Output::new(&random::bytes::<32>()).map_err(failed)?;
    Ok(phc(params, &salt, &hash))
}

/// A PHC string of argon2id.
fn phc(params: &Params, salt: &Salt, hash: &Output) -> String {
    format!("$argon2id$v=19${params}${salt}${hash}")
}

/// Refuses a hash whose check would cost more than any that the host makes. What is no hash is no error here.
fn affordable(hash: &str, own: &Params) -> Result<(), Error> {
    let too_much = |what: String| Error::Invalid(format!("the hash is not checked against: {what}"));
    if hash.len() > MAX_HASH {
        return Err(too_much(format!("it has {} bytes, and at most {MAX_HASH} are allowed", hash.len())));
    }
    if hash.starts_with("$2") {
        let cost = hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
        return match cost {
            Some(cost) if cost > MAX_OLD_COST => {
                Err(too_much(format!("its bcrypt cost is {cost}, and at most {MAX_OLD_COST} is allowed")))
            }
            _ => Ok(()),
        };
    }
    let Ok(parsed) = PasswordHash::new(hash) else { return Ok(()) };
    let Ok(params) = Params::try_from(&parsed) else { return Ok(()) };
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
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    const CLIENT: &str = "203.0.113.7";

    fn cheap(parallel: usize, waiting: usize) -> Passwords {
        Passwords::new(Cost { memory_kib: 64, passes: 1, parallel, waiting, old_cost: MIN_OLD_COST }).unwrap()
    }

    #[test]
    fn the_decoy_is_checked_as_a_hash_of_the_same_cost_is() {
        let checker = cheap(1, 1).checker;
        let parsed = PasswordHash::new(&checker.decoy).unwrap();
        let (its, real) = (Params::try_from(&parsed).unwrap(), checker.argon2.params());
        assert_eq!((its.m_cost(), its.t_cost(), its.p_cost()), (real.m_cost(), real.t_cost(), real.p_cost()));
        // It is not refused before the hashing: `verify_password` returns that the password differs.
        let checked = checker.argon2.verify_password(b"nobody's", &parsed);
        assert_eq!(checked, Err(argon2::password_hash::Error::PasswordInvalid));
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_only() {
        let passwords = cheap(1, 4);
        let verify = async |password: &str, hash: Option<&str>| {
            passwords.verify(CLIENT, password.to_owned(), hash.map(str::to_owned)).await.unwrap()
        };
        let hash = passwords.hash(CLIENT, "Secret#1".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(verify("Secret#1", Some(hash.as_str())).await, Verdict::Matches);
        assert_eq!(verify("Secret#2", Some(hash.as_str())).await, Verdict::Differs);
        assert_eq!(verify("Secret#1", None).await, Verdict::Differs);
        assert_eq!(verify("Secret#1", Some("nonsense")).await, Verdict::Differs);
    }

    #[tokio::test]
    async fn what_hashes_and_checks_is_argon2_as_others_have_it() {
        let passwords = cheap(1, 4);
        let hash = passwords.hash(CLIENT, "Secret#1".into()).await.unwrap();
        let parsed = PasswordHash::new(&hash).unwrap();
        assert_eq!(Argon2::default().verify_password(b"Secret#1", &parsed), Ok(()));
        // Of other kinds, versions, lanes and lengths.
        for (algorithm, version, lanes, length) in [
            (Algorithm::Argon2d, Version::V0x13, 1, None),
            (Algorithm::Argon2i, Version::V0x10, 2, Some(16)),
            (Algorithm::Argon2id, Version::V0x13, 4, Some(64)),
        ] {
            let params = Params::new(64, 2, lanes, length).unwrap();
            let hash = Argon2::new(algorithm, version, params).hash_password(b"Secret#1").unwrap().to_string();
            for (password, verdict) in [("Secret#1", Verdict::MatchesOutdated), ("Secret#2", Verdict::Differs)] {
                let checked = passwords.verify(CLIENT, password.into(), Some(hash.clone())).await;
                assert_eq!(checked, Ok(verdict), "{hash}");
            }
        }
    }

    #[tokio::test]
    async fn the_memory_of_hashing_is_kept_and_bounded() {
        let passwords = cheap(2, 64);
        let large = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(512, 1, 1, None).unwrap());
        let large = large.hash_password(b"Secret#1").unwrap().to_string();
        let all = (0..20).map(async |number: usize| {
            let hash = if number.is_multiple_of(2) { Some(large.clone()) } else { None };
            passwords.verify(CLIENT, "wrong".into(), hash).await.unwrap()
        });
        futures_util::future::join_all(all).await;
        passwords.hash(CLIENT, "Secret#1".into()).await.unwrap();
        let kept = passwords.checker.memory.kept();
        assert!((1..=2).contains(&kept.len()), "{} blocks are kept", kept.len());
        for blocks in kept {
            assert_eq!(blocks.capacity(), 64, "no more than a hash of today takes");
            assert!(
                blocks.iter().all(|block| AsRef::<[u64]>::as_ref(block).iter().all(|word| *word == 0)),
                "nothing of a password"
            );
        }
    }

    #[tokio::test]
    async fn an_old_bcrypt_hash_still_opens_and_wants_replacing() {
        let passwords = cheap(1, 4);
        let old = bcrypt::hash("Secret#1", 4).unwrap();
        let right = passwords.verify(CLIENT, "Secret#1".into(), Some(old.clone())).await.unwrap();
        let wrong = passwords.verify(CLIENT, "secret#1".into(), Some(old)).await.unwrap();
        assert_eq!((right, wrong), (Verdict::MatchesOutdated, Verdict::Differs));
    }

    #[tokio::test]
    async fn other_parameters_want_replacing() {
        let old = cheap(1, 4).hash(CLIENT, "Secret#1".into()).await.unwrap();
        let cost = Cost { memory_kib: 128, passes: 1, parallel: 1, waiting: 4, old_cost: MIN_OLD_COST };
        let now = Passwords::new(cost).unwrap();
        assert_eq!(now.verify(CLIENT, "Secret#1".into(), Some(old)).await.unwrap(), Verdict::MatchesOutdated);
    }

    #[test]
    fn what_was_not_checked_is_known_to_cost_nothing() {
        let checker = cheap(1, 1).checker;
        let hashed = checker.argon2.hash_password(b"x").unwrap().to_string();
        let work = |hash: &str| match hash.starts_with("$2") {
            true => checker.check_bcrypt("wrong", hash).1,
            false => checker.check_argon2("wrong", hash).1,
        };
        assert_eq!(work(&hashed), Work { argon2: true, bcrypt: None });
        assert_eq!(work(&bcrypt::hash("x", 5).unwrap()), Work { argon2: false, bcrypt: Some(5) });
        for broken in [
            "",
            "secret",
            "$2b$10$short",
            "$2b$99$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u",
            "$argon2id$v=19$",
            "$scrypt$ln=1$YWFh$YWFh",
        ] {
            assert_eq!(work(broken), Work::default(), "{broken}");
        }
    }

    /// Attack (48): telling old accounts, new ones and none apart by the time of a refusal. Outcome: each refusal does the
    /// same work.
    #[test]
    fn the_highest_cost_that_is_met_is_that_of_every_refusal() {
        let checker = cheap(1, 1).checker;
        let met = || checker.old_cost.load(Ordering::Relaxed);
        assert_eq!(met(), 4);
        for (cost, highest) in [(6, 6), (4, 6), (7, 7)] {
            checker.check("wrong", Some(&bcrypt::hash("x", cost).unwrap()));
            assert_eq!(met(), highest, "{cost}");
        }
    }

    /// By the clock: what is missing would take about half of the time.
    #[ignore = "it measures time, and wants a quiet machine"]
    #[test]
    fn a_refusal_takes_as_long_whatever_there_is_to_check_against() {
        let checker =
            Passwords::new(Cost { memory_kib: 16_384, passes: 1, old_cost: 8, ..Cost::default() }).unwrap().checker;
        let new = checker.argon2.hash_password(b"x").unwrap().to_string();
        let [old, older] = [8, 6].map(|cost| bcrypt::hash("x", cost).unwrap());
        let kinds =
            [None, Some(new.as_str()), Some(old.as_str()), Some(older.as_str()), Some("broken"), Some("$2b$10$x")];
        let fastest = |hash: Option<&str>| {
            let times = (0..12).map(|_| {
                let begun = std::time::Instant::now();
                assert_eq!(checker.check("wrong", hash), Verdict::Differs);
                begun.elapsed()
            });
            times.min().unwrap()
        };
        let times = kinds.map(fastest);
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(most.as_secs_f64() < 1.4 * least.as_secs_f64(), "{times:?}");
    }

    #[tokio::test]
    async fn past_the_last_place_the_next_one_is_told_so() {
        let passwords = cheap(1, 0);
        let held = passwords.queue.enter("").await.unwrap();
        assert_eq!(passwords.hash(CLIENT, "Secret#1".into()).await, Err(Error::Busy));
        drop(held);
        assert!(passwords.hash(CLIENT, "Secret#1".into()).await.is_ok());
    }

    /// Attack (48): more passwords at once than the queue takes. Outcome: callers take turns; who has most in it is
    /// displaced.
    #[tokio::test]
    async fn one_who_fills_the_queue_is_told_to_wait_and_not_others() {
        let passwords = Arc::new(cheap(1, 8));
        let held = passwords.queue.enter("198.51.100.1").await.unwrap();
        let begin = |client: String| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(&client, "wrong".into(), None).await })
        };
        let flood: Vec<_> = (0..65).map(|n| begin(format!("2001:db8::{n:x}"))).collect();
        // Each has joined when the next one is asked; those that are told at once are too many.
        let busy = async |tasks: &[tokio::task::JoinHandle<Result<Verdict, Error>>], wanted: usize| {
            while tasks.iter().filter(|task| task.is_finished()).count() < wanted {
                tokio::task::yield_now().await;
            }
        };
        busy(flood.as_slice(), 65 - 8).await;
        let others: Vec<_> = (0..4).map(|n| begin(format!("203.0.113.{n}"))).collect();
        busy(flood.as_slice(), 65 - 4).await;
        drop(held);
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(Verdict::Differs));
        }
        let mut answered = 0;
        for task in flood {
            answered += usize::from(task.await.unwrap().is_ok());
        }
        assert_eq!(answered, 4);
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
            let checked = passwords.verify(CLIENT, "Secret#1".into(), Some(hash.clone())).await;
            assert!(matches!(checked, Err(Error::Invalid(_))), "{hash:.40}: {checked:?}");
        }
        // What the operator chose is never too much.
        let own = Params::new(128 << 10, 12, 1, None).unwrap();
        assert_eq!(affordable(&argon2("m=131072,t=12,p=1"), &own), Ok(()));
    }

    #[tokio::test]
    async fn a_caller_that_is_not_polled_keeps_nobody_waiting() {
        let passwords = cheap(1, 4);
        let held = passwords.queue.enter("").await.unwrap();
        let verify = || passwords.verify(CLIENT, "wrong".into(), None);
        let mut idle = Box::pin(verify());
        tokio::select! {
            biased;
            _ = &mut idle => panic!("it has no permit"),
            () = tokio::task::yield_now() => {}
        }
        // It is first in the queue, and gets the permit; nobody polls it.
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            drop(held);
            verify().await
        });
        assert_eq!(next.await, Ok(Ok(Verdict::Differs)));
        assert_eq!(idle.await, Ok(Verdict::Differs));
    }

    #[tokio::test]
    async fn length_is_bounded() {
        let passwords = cheap(1, 1);
        assert!(matches!(passwords.hash(CLIENT, String::new()).await, Err(Error::Invalid(_))));
        assert!(matches!(passwords.verify(CLIENT, "x".repeat(1_025), None).await, Err(Error::Invalid(_))));
    }
}
