//! What the fuzz tests of all crates have in common: how many cases there are and from which seed, and bytes that were damaged.
//!
//! A fuzz test is a property in a module `fuzz` beside the parser that it feeds. `cargo test` tries the same few hundred cases
//! each time; `cargo xtask fuzz` tries others for as long as one likes. What it finds becomes a named test of its own.

#![forbid(unsafe_code)]

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

/// The seed where nobody has set `PROPTEST_RNG_SEED`: a test that fails on one machine fails on all.
const SEED: u64 = 0x00de_c0de;
/// The most edits of one [`Damage`].
const MAX_EDITS: usize = 6;
/// The most bytes that one edit adds or takes.
const MAX_LENGTH: usize = 64;

/// The configuration of a fuzz test: 256 cases, or `PROPTEST_CASES`, and no file with what was found.
pub fn config() -> ProptestConfig {
    costly(1)
}

/// The same for a test whose cases cost so many times as much: it has so many times fewer, and 8 at least.
pub fn costly(times: u32) -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    config.cases = (config.cases / times.max(1)).max(8);
    config
}

/// The same for a test whose cases cost hardly anything: it has so many times more.
pub fn cheap(times: u32) -> ProptestConfig {
    let config = config();
    ProptestConfig { cases: config.cases.saturating_mul(times), ..config }
}

/// Edits of bytes. It is printed as its edits, which say more than the bytes.
#[derive(Debug, Clone)]
pub struct Damage(Vec<Edit>);

/// Places are relative, so that the edits fit bytes of every length.
#[derive(Debug, Clone)]
enum Edit {
    /// Changes bits of one byte.
    Flip(Index, u8),
    /// Leaves out the rest.
    Cut(Index),
    /// Leaves out some bytes.
    Remove(Index, usize),
    /// Puts in others.
    Insert(Index, Vec<u8>),
    /// Repeats some bytes at another place.
    Repeat(Index, usize, Index),
}

/// One to six edits.
pub fn damage() -> impl Strategy<Value = Damage> {
    let at = || any::<Index>();
    let edit = prop_oneof![
        6 => (at(), 1..=u8::MAX).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        1 => at().prop_map(Edit::Cut),
        2 => (at(), 1..=MAX_LENGTH).prop_map(|(at, length)| Edit::Remove(at, length)),
        3 => (at(), prop::collection::vec(any::<u8>(), 1..=8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..=MAX_LENGTH, at()).prop_map(|(from, length, to)| Edit::Repeat(from, length, to)),
    ];
    prop::collection::vec(edit, 1..=MAX_EDITS).prop_map(Damage)
}

impl Damage {
    /// The damaged bytes.
    pub fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for edit in &self.0 {
            let all = bytes.len();
            // One place more than there are bytes: behind the last one.
            let place = |at: &Index| at.index(all + 1);
            let end = |from: usize, length: usize| all.min(from + length);
            match edit {
                Edit::Flip(at, bits) => {
                    let at = place(at);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= bits;
                    }
                }
                Edit::Cut(at) => bytes.truncate(place(at)),
                Edit::Remove(at, length) => {
                    let from = place(at);
                    drop(bytes.drain(from..end(from, *length)));
                }
                Edit::Insert(at, new) => {
                    let at = place(at);
                    drop(bytes.splice(at..at, new.iter().copied()));
                }
                Edit::Repeat(from, length, to) => {
                    let (from, to) = (place(from), place(to));
                    let some = bytes.get(from..end(from, *length)).unwrap_or_default().to_vec();
                    drop(bytes.splice(to..to, some));
                }
            }
        }
        bytes
    }

    /// The damaged text; what is no UTF-8 any more becomes `U+FFFD`.
    pub fn of_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.of(text.as_bytes())).into_owned()
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn damage_fits_bytes_of_every_length(bytes in prop::collection::vec(any::<u8>(), 0..100), damage in damage()) {
            let damaged = damage.of(&bytes);
            prop_assert!(damaged.len() <= bytes.len() + MAX_EDITS * MAX_LENGTH);
            prop_assert_eq!(&damage.of(&bytes), &damaged, "the same each time");
            prop_assert!(damage.of(&[]).len() <= MAX_EDITS * MAX_LENGTH);
        }
    }

    #[test]
    fn the_cases_are_the_same_each_time_and_nothing_is_written() {
        let config = costly(4);
        assert!(config.failure_persistence.is_none() && cheap(4).failure_persistence.is_none());
        assert!(config.cases >= 8 && cheap(4).cases >= config.cases);
        if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
            assert_eq!(config.rng_seed, RngSeed::Fixed(SEED));
        }
    }
}
