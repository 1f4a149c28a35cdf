//! Signatures under a secret that the host keeps: a component names the secret and never sees it.
//! The manifest grants each secret by name. `application.toml` says how a secret signs where it is not HMAC-SHA-256.

use crate::bindings::imports::signing as wit;

pub use wit::Error;

/// The 32 bytes of `message`'s signature under the secret called `secret`.
pub fn sign(secret: &str, message: &[u8]) -> Result<Vec<u8>, Error> {
    wit::sign(secret, message)
}

/// Whether `signature` is that of `message`, found out in constant time.
pub fn verify(secret: &str, message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    wit::verify(secret, message, signature)
}
