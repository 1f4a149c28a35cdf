//! Slows down guessing: failed log-ins are counted per account and per address, for a quarter of an hour from the first.
//! The counters live in the cache; when it is away, logging in works and nothing is counted.

use std::net::IpAddr;

use devconnect_sdk::config;
use devconnect_sdk::prelude::*;

/// How long failures are remembered, in seconds.
const WINDOW: u32 = 900;
const MOST_PER_ACCOUNT: i64 = 10;
const MOST_PER_ADDRESS: i64 = 50;
/// Bytes of an e-mail that go into a key, as twice as many digits; a key ends at 512.
const EMAIL_BYTES: usize = 240;

/// The counters that one log-in touches.
pub(crate) struct Attempts {
    account: String,
    /// None for an address that is not limited.
    address: Option<String>,
}

impl Attempts {
    /// Of the account with this e-mail (as it is compared) and of this client.
    pub(crate) fn of(email_key: &str, client: &str) -> Result<Self, Error> {
        let address = client.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let limited = match address {
            Some(address) if address.is_loopback() => config::get("limits.loopback")?.as_deref() == Some("on"),
            _ => true,
        };
        let account = format!("login:failed:account:{}", hex(email_key.as_bytes().iter().take(EMAIL_BYTES)));
        Ok(Self { account, address: limited.then(|| format!("login:failed:address:{}", address_name(address))) })
    }

    /// 429 when there were too many failures.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_full = |key: &str, most| count(key) >= most;
        if is_full(&self.account, MOST_PER_ACCOUNT)
            || self.address.as_deref().is_some_and(|key| is_full(key, MOST_PER_ADDRESS))
        {
            return Err(Error::limited("Too many failed attempts, please try again later").retry_after(WINDOW).into());
        }
        Ok(())
    }

    /// Counts a failure.
    pub(crate) fn failed(&self) {
        for key in std::iter::once(&self.account).chain(&self.address) {
            tolerated(cache::increment(key, 1, WINDOW).map(|_| ()));
        }
    }

    /// Forgets the account's failures. Those of the address stay: it may have guessed at other accounts.
    pub(crate) fn succeeded(&self) {
        tolerated(cache::delete(&self.account).map(|_| ()));
    }
}

fn count(key: &str) -> i64 {
    let value = cache::get(key).map_err(|error| tolerated(Err(error))).ok().flatten();
    value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()).unwrap_or_default()
}

fn tolerated(done: Result<(), cache::Error>) {
    if let Err(error) = done {
        log::warn("failed log-ins are not counted", &[("cause", &Error::from(error).to_string())]);
    }
}

/// Whoever has one IPv6 address has a whole network of them, so that counts as one.
fn address_name(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [network @ .., _, _, _, _] = address.segments();
            network.map(|segment| format!("{segment:04x}")).join("-")
        }
        None => "unknown".into(),
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn keys_are_printable_and_short_enough() {
        let long = "é".repeat(400);
        let Ok(attempts) = Attempts::of(&long, "2001:db8:1:2:3:4:5:6") else { panic!("no setting is asked for") };
        assert!(attempts.account.len() <= 512 && attempts.account.is_ascii());
        assert_eq!(attempts.address.as_deref(), Some("login:failed:address:2001-0db8-0001-0002"));
        assert_eq!(address_name("10.1.2.3".parse().ok()), "10.1.2.3");
        assert_eq!(address_name(Some(IpAddr::V6(Ipv6Addr::LOCALHOST))), "0000-0000-0000-0000");
    }
}
