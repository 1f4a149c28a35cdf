//! Signing: the use of a named secret. The secret itself never leaves this module.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Secrets by name.
#[derive(Default)]
pub struct Signing(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Signing {
    /// With these secrets.
    pub fn new(secrets: BTreeMap<String, Zeroizing<Vec<u8>>>) -> Self {
        Self(secrets)
    }

    /// The signature of `message`; none when there is no such secret.
    pub fn sign(&self, secret: &str, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.mac(secret, message)?.finalize().into_bytes().to_vec())
    }

    /// Whether `signature` is the one of `message`, compared in constant time; none when there is no such secret.
    pub fn verify(&self, secret: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        Some(self.mac(secret, message)?.verify_slice(signature).is_ok())
    }

    fn mac(&self, secret: &str, message: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.get(secret)?).ok()?;
        mac.update(message);
        Some(mac)
    }
}
