//! Password hashing on the host: argon2id for new ones, while old bcrypt hashes still verify.
//! It is slow on purpose, so the host does few at a time and answers [`Error::Busy`] past that.

use crate::bindings::imports::passwords as wit;

pub use wit::{Error, Verdict};

/// A PHC string to store. `password` is 1 to 1,024 bytes.
pub fn hash(password: &str) -> Result<String, Error> {
    wit::hash(password)
}

/// Checks `password`. With no hash it takes the time of a real check and [`Verdict::Differs`], so that nobody can
/// tell an unknown account by the clock: call it in that case too.
pub fn verify(password: &str, hash: Option<&str>) -> Result<Verdict, Error> {
    wit::verify(password, hash)
}
