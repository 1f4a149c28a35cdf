//! Strength: whether a secret that an operator chose can be guessed, by a simple estimate. Touches nothing.
//!
//! The estimate is for values that people make up. What a generator makes, `openssl rand` or a password manager, is far above
//! the bound.

use std::collections::BTreeSet;

/// The shortest secret, in bytes: a key of HS256 has at least as many as its hash (RFC 7518, section 3.2).
pub(crate) const SECRET_BYTES: usize = 32;
/// The shortest token of an operator, in bytes. It is no key, and is guessed over the network only: 24 hex digits are 96 bits.
pub(crate) const TOKEN_BYTES: usize = 24;
/// The least estimate, in bits. It is low: half of what is random in the shortest secret that a generator makes.
const LEAST_BITS: f64 = 64.0;
/// What a character of a sentence is worth, in bits, once its best known words are gone.
const BITS_OF_PROSE: f64 = 1.5;

/// Words that are in guessed secrets, the longer ones first where one begins with another. They count for nothing.
const WORDS: [&str; 61] = [
    "admin",
    "asdfghjkl",
    "auth",
    "battery",
    "changeme",
    "change",
    "correct",
    "default",
    "devconnect",
    "development",
    "develop",
    "dev",
    "dragon",
    "dummy",
    "example",
    "hello",
    "horse",
    "iloveyou",
    "insecure",
    "jwt",
    "key",
    "letmein",
    "localhost",
    "local",
    "monkey",
    "openssl",
    "passphrase",
    "password",
    "passwd",
    "please",
    "private",
    "production",
    "prod",
    "public",
    "qwertyuiop",
    "qwerty",
    "replace",
    "root",
    "sample",
    "secret",
    "server",
    "session",
    "signing",
    "staging",
    "staple",
    "super",
    "testing",
    "test",
    "the",
    "this",
    "todo",
    "token",
    "unsubscribe",
    "user",
    "value",
    "very",
    "welcome",
    "with",
    "world",
    "your",
    "zxcvbnm",
];

/// Why a secret is weak. Says nothing of the secret but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// It has fewer bytes than this.
    Short(usize),
    /// It has few different characters, a pattern or well-known words.
    Guessable,
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short(least) => write!(f, "is too short: it needs at least {least} bytes"),
            Self::Guessable => f.write_str("can be guessed: well-known words, a pattern, or few different characters"),
        }
    }
}

/// Why a secret is weak; none: it is not. `least` is how many bytes it needs.
pub(crate) fn weakness(secret: &[u8], least: usize) -> Option<Weakness> {
    if secret.len() < least {
        return Some(Weakness::Short(least));
    }
    (bits(secret) < LEAST_BITS).then_some(Weakness::Guessable)
}

/// An estimate of the bits that an attacker has to guess.
fn bits(secret: &[u8]) -> f64 {
    let rest = without_words(secret);
    let lower = rest.to_ascii_lowercase();
    let different = lower.iter().collect::<BTreeSet<_>>().len().max(1);
    let each = if is_prose(&rest) { BITS_OF_PROSE } else { (different as f64).log2() };
    unforeseen(&lower) as f64 * each
}

/// The secret without well-known words, also where digits stand for letters.
fn without_words(secret: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = secret.iter().map(|byte| letter(byte.to_ascii_lowercase())).collect();
    let mut rest = Vec::new();
    let mut at = 0;
    while let (Some(tail), Some(byte)) = (plain.get(at..), secret.get(at)) {
        match WORDS.iter().find(|word| tail.starts_with(word.as_bytes())) {
            Some(word) => at += word.len(),
            None => {
                rest.push(*byte);
                at += 1;
            }
        }
    }
    rest
}

/// The letter that a digit or a sign stands for.
fn letter(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' => b'l',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other,
    }
}

/// How many characters do not follow from those before them: neither is the pair that ends there one that was there before, nor
/// does a row go on, as in `aaa`, `345` or `fed`.
fn unforeseen(text: &[u8]) -> usize {
    let mut pairs = BTreeSet::new();
    let (mut last, mut last_step) = (None, None);
    let mut count = 0;
    for byte in text {
        let step = last.map(|last: u8| i16::from(*byte) - i16::from(last));
        let goes_on = step.is_some_and(|step| (-1..=1).contains(&step)) && step == last_step;
        let known = last.is_some_and(|last| !pairs.insert((last, *byte)));
        count += usize::from(!goes_on && !known);
        (last, last_step) = (Some(*byte), step);
    }
    count
}

/// Whether this looks like words of a language: nearly all of it is lower-case letters, capitals at the beginning of words, and
/// what stands between words; with vowels in between.
fn is_prose(text: &[u8]) -> bool {
    let (mut usual, mut letters, mut vowels) = (0, 0, 0);
    let (mut consonants, mut longest) = (0_usize, 0_usize);
    let mut after_letter = false;
    for byte in text {
        let is_letter = byte.is_ascii_alphabetic();
        if is_letter {
            letters += 1;
            usual += usize::from(byte.is_ascii_lowercase() || !after_letter);
        } else {
            usual += usize::from(b" -_.,;:'!?".contains(byte));
        }
        let is_vowel = b"aeiouy".contains(&byte.to_ascii_lowercase());
        vowels += usize::from(is_vowel);
        consonants = if is_letter && !is_vowel { consonants + 1 } else { 0 };
        longest = longest.max(consonants);
        after_letter = is_letter;
    }
    usual * 10 >= text.len() * 9 && longest <= 4 && vowels * 10 >= letters * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_weak(secret: &str) -> bool {
        weakness(secret.as_bytes(), TOKEN_BYTES).is_some()
    }

    #[test]
    fn what_people_make_up_is_weak_however_long_it_is() {
        for secret in [
            "",
            "secret",
            "secretsecretsecretsecretsecretsecret",
            "changeme-changeme-changeme-changeme",
            "S3cr3tP@ssw0rd!S3cr3tP@ssw0rd!S3cr3t",
            "my-super-secret-jwt-key-for-devconnect-2026",
            "your-256-bit-secret-your-256-bit-secret",
            "please-change-this-secret-before-production",
            "ThisIsTheJwtSecretOfDevConnect2026!",
            "this is my very long secret key do not use it in production",
            "the quick brown fox jumps over the lazy dog",
            "correct horse battery staple correct horse",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0000000000000000000000000000000000000001",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "zyxwvutsrqponmlkjihgfedcba9876543210",
            "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
            "abc123abc123abc123abc123abc123abc123",
            "qwertyuiopasdfghjklzxcvbnm1234567890",
            "hunter2hunter3hunter4hunter5hunter6",
            "openssl rand -hex 32 openssl rand -hex 32",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ] {
            assert!(is_weak(secret), "{secret:?} has {} bits", bits(secret.as_bytes()));
        }
    }

    #[test]
    fn what_generators_make_is_not() {
        for secret in [
            "d09b1f2db4e2b3d0cb7b1f5b2f7d7c0e9a3a5b1ef4f8a6c07d6c2b5e8f0a9413",
            "32b0530dd5036f4843af90bfb4ecc249ef48504e022317da66aaa57510101d0a",
            "956cba074f787b42289a7bc1d04cd02d",
            "q4VtK0mJc1dYk3nq9uWbEo2yLr8sXz5FhT7gPaIvB6M=",
            "3f1c7a52-9b0e-4d68-8a47-c2e5d1906fb3",
            "Xk9vTq2LmZ7pWc4RbN8sYd3H",
        ] {
            assert!(!is_weak(secret), "{secret:?} has {} bits", bits(secret.as_bytes()));
        }
        for _ in 0..1_000 {
            let random = hex::encode(capability::random::bytes::<SECRET_BYTES>());
            assert_eq!(weakness(random.as_bytes(), SECRET_BYTES), None, "{random}");
            let raw = capability::random::bytes::<SECRET_BYTES>();
            assert_eq!(weakness(&raw, SECRET_BYTES), None, "{raw:?}");
        }
    }

    #[test]
    fn how_many_bytes_it_needs_is_said_and_nothing_of_it() {
        let weak = weakness(b"Xk9vTq2LmZ7pWc4RbN8sYd3H", SECRET_BYTES).unwrap();
        assert_eq!(weak.to_string(), "is too short: it needs at least 32 bytes");
        for secret in ["hunter2", "hunter2hunter3hunter4hunter5hunter6"] {
            let weak = weakness(secret.as_bytes(), SECRET_BYTES).unwrap();
            assert!(!weak.to_string().contains("hunter"), "{weak}");
        }
    }
}
