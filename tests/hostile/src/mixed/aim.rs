//! What a hostile thing is made of: chance that can be had again, and whom it is meant for.

use e2e::Member;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Whom the attack is meant for, and who attacks with a session.
pub struct Target {
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// Members who attack.
    pub members: Vec<Member>,
    /// Ids of members who don't.
    pub others: Vec<String>,
}

/// Makes one hostile thing.
pub(super) struct Aim<'a> {
    random: SmallRng,
    pub(super) target: &'a Target,
    /// Who attacks, where it shows a session.
    pub(super) member: &'a Member,
}

impl<'a> Aim<'a> {
    /// The same seed and number make the same thing.
    pub(super) fn new(seed: u64, number: u64, target: &'a Target) -> Self {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let at = random.random_range(0..target.members.len());
        let member = target.members.get(at).expect("a member who attacks");
        Self { random, target, member }
    }

    /// A number in `from..to`.
    pub(super) fn between(&mut self, from: usize, to: usize) -> usize {
        self.random.random_range(from..to)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.between(0, times) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.between(0, all.len());
        *all.get(at).expect("one of some")
    }

    /// Up to `most` bytes, at least one.
    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.between(1, most + 1)];
        self.random.fill(bytes.as_mut_slice());
        bytes
    }

    /// So many letters and digits.
    pub(super) fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(self.one_of(LETTERS))).collect()
    }

    /// An id that nobody has.
    pub(super) fn id(&mut self) -> String {
        format!("{:024x}", self.random.random_range(0..u128::MAX >> 32))
    }

    /// Somebody else's id, one that nobody has, or what is none.
    pub(super) fn odd_id(&mut self) -> String {
        match self.between(0, 4) {
            0 => {
                let at = self.between(0, self.target.others.len());
                self.target.others.get(at).cloned().unwrap_or_default()
            }
            1 => self
                .one_of(&["0", "-1", "null", "me", "[object%20Object]", "%24ne", "1'--", "ffffffffffffffffffffffffff"])
                .into(),
            _ => self.id(),
        }
    }

    /// The session's cookie, as a header line.
    pub(super) fn cookie(&self) -> String {
        format!("Cookie: token={}\r\n", self.member.token)
    }

    /// A request. `headers` are further lines, each with its end.
    pub(super) fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = &self.target.host;
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}\r\n").into_bytes();
        bytes.extend(body);
        bytes
    }

    /// A request with a JSON body.
    pub(super) fn json(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        self.request(method, path, &format!("Content-Type: application/json\r\n{headers}"), body)
    }
}
