//! Slows down guessing, wherever a password is asked for. Failures are counted for a quarter of an hour from the first, and who
//! fails often waits longer and longer. Nobody is kept out by what happens at other addresses:
//!
//! - An address may fail at an account so often; from then on each failure doubles its wait there.
//! - Where very many failed at an account, from wherever, an address that was never logged in from may fail once only.
//! - An address that failed at many accounts waits before it tries one that it never logged in to.
//!
//! So who knows the password gets in from an address that did not guess at this account, whatever others do. The counters live in
//! the cache: without Redis each host counts for itself, and when nothing answers, logging in works and nothing is counted.

use devconnect_sdk::http::Error;
use devconnect_sdk::{cache, clock, log};

use crate::client::Client;

/// How long failures are remembered, in seconds.
const WINDOW: u32 = 900;
/// Failures of one address at one account before it waits.
const FREE: i64 = 10;
/// The same where very many failed.
const FREE_UNDER_ATTACK: i64 = 1;
/// Failures at an account, from all addresses, that are very many.
const ATTACK: i64 = 100;
/// Failures of one address at all accounts before it waits.
const FREE_OF_ADDRESS: i64 = 50;
/// How long an address is known to an account: as long as a cache keeps anything, in seconds.
const KNOWN: u32 = 30 * 86_400;
/// Bytes of an e-mail that go into a key, as twice as many digits; a key ends at 512, and an address has up to 19.
const EMAIL_BYTES: usize = 220;

/// The counters that one attempt touches. A component that counts attempts is granted to read and write `login:failed:account:*`,
/// `login:failed:address:*`, `login:failed:pair:*:*`, `login:wait:address:*`, `login:wait:pair:*:*` and `login:known:*:*`.
pub struct Attempts {
    /// Failures at the account from everywhere.
    account: String,
    /// Failures of this address at this account.
    here: Failures,
    /// Failures of this address everywhere; none for one that is not limited.
    address: Option<Failures>,
    /// There when the account was logged in to from this address.
    known: String,
}

impl Attempts {
    /// Of the account with this e-mail (as it is compared) and of this client.
    pub fn of(email_key: &str, client: &Client) -> Self {
        let account = hex(email_key.as_bytes().iter().take(EMAIL_BYTES));
        let pair = format!("{account}:{}", client.name());
        Self {
            here: Failures::new(&format!("pair:{pair}"), Wait { first: 10, longest: 900 }),
            address: client
                .limited()
                .map(|address| Failures::new(&format!("address:{address}"), Wait { first: 2, longest: 60 })),
            known: format!("login:known:{pair}"),
            account: format!("login:failed:account:{account}"),
        }
    }

    /// 429 when there has to be a wait first.
    ///
    /// # Errors
    /// [`Error::Limited`] with the seconds that are left.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(seconds) = self.here.wait() {
            return Err(refusal(seconds));
        }
        match self.address.as_ref().and_then(Failures::wait) {
            Some(seconds) if !self.is_known() => Err(refusal(seconds)),
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub fn failed(&self) {
        let of_all = counted(cache::increment(&self.account, 1, WINDOW)).unwrap_or_default();
        let free = if of_all > ATTACK && !self.is_known() { FREE_UNDER_ATTACK } else { FREE };
        self.here.add(free);
        if let Some(address) = &self.address {
            address.add(FREE_OF_ADDRESS);
        }
    }

    /// Forgets the failures of this address at this account. Others stay: they may be guesses.
    pub fn succeeded(&self) {
        counted(cache::delete(&self.here.count));
        self.remember();
    }

    /// From here on the address is known to the account.
    pub fn remember(&self) {
        counted(cache::set(&self.known, b"1", KNOWN));
    }

    /// Forgets the address and its failures at this account: the account is gone. What is counted for other addresses runs out.
    pub fn forget(&self) {
        for key in [&self.here.count, &self.here.until, &self.known] {
            counted(cache::delete(key));
        }
    }

    fn is_known(&self) -> bool {
        counted(cache::get(&self.known)).flatten().is_some()
    }
}

/// Failures of one kind, and the wait that follows when they are many.
struct Failures {
    count: String,
    /// There while the wait lasts: its end, in milliseconds. A counter, because those go on without Redis.
    until: String,
    wait: Wait,
}

impl Failures {
    fn new(what: &str, wait: Wait) -> Self {
        Self { count: format!("login:failed:{what}"), until: format!("login:wait:{what}"), wait }
    }

    /// How many seconds of a wait are left; none: there is no wait.
    fn wait(&self) -> Option<u32> {
        let until = counted(cache::get(&self.until)).flatten()?;
        let until: Option<i64> = std::str::from_utf8(&until).ok().and_then(|text| text.parse().ok());
        Some(self.wait.left(until.unwrap_or_default() - clock::now().millis()))
    }

    /// One more; a wait begins when there are `free` or more.
    fn add(&self, free: i64) {
        let Some(count) = counted(cache::increment(&self.count, 1, WINDOW)) else { return };
        if count < free || self.wait().is_some() {
            return;
        }
        let seconds = self.wait.after(count - free);
        let until = clock::now().plus_seconds(i64::from(seconds)).millis();
        counted(cache::increment(&self.until, until, seconds));
    }
}

/// How long one waits, in seconds.
#[derive(Clone, Copy)]
struct Wait {
    first: u32,
    longest: u32,
}

impl Wait {
    /// After so many failures more than are free: each doubles it.
    fn after(self, more: i64) -> u32 {
        let doublings = u32::try_from(more.clamp(0, 20)).unwrap_or_default();
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// What is left when its end is so many milliseconds away. Two that began at once have an end that says nothing.
    fn left(self, millis: i64) -> u32 {
        let seconds = u32::try_from((millis + 999) / 1_000).unwrap_or_default();
        if (1..=self.longest).contains(&seconds) { seconds } else { self.longest }
    }
}

fn refusal(seconds: u32) -> Error {
    Error::limited("Too many failed attempts, please try again later").retry_after(seconds).into()
}

/// What the cache answered; none when it did not.
fn counted<T>(answer: Result<T, cache::Error>) -> Option<T> {
    let cause = match answer {
        Ok(value) => return Some(value),
        Err(error) => Error::from(error).to_string(),
    };
    log::warn("failed log-ins are not counted", &[("cause", &cause)]);
    None
}

/// Bytes in a key: two digits each.
pub fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest() {
        let wait = Wait { first: 10, longest: 900 };
        assert_eq!([0, 1, 2, 5, 6, 7, 500].map(|more| wait.after(more)), [10, 20, 40, 320, 640, 900, 900]);
        assert_eq!(wait.after(-3), 10);
    }

    #[test]
    fn what_is_left_of_a_wait_is_whole_seconds() {
        let wait = Wait { first: 10, longest: 900 };
        assert_eq!([10_000, 9_001, 1, 900_000].map(|millis| wait.left(millis)), [10, 10, 1, 900]);
        for nonsense in [0, -5_000, 900_001, i64::MAX / 2] {
            assert_eq!(wait.left(nonsense), 900, "{nonsense}");
        }
    }
}
