//! Signing: the use of a named secret. The secret itself never leaves this module.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How a secret signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// HMAC-SHA-256 (RFC 2104).
    #[default]
    HmacSha256,
    /// The SHA-256 of the message with the secret behind it, for partners who sign so.
    Sha256Suffix,
}

/// A secret, and the one way in which it signs.
pub struct Key {
    /// Its bytes.
    pub secret: Zeroizing<Vec<u8>>,
    /// How it signs.
    pub scheme: Scheme,
}

impl From<Zeroizing<Vec<u8>>> for Key {
    fn from(secret: Zeroizing<Vec<u8>>) -> Self {
        Self { secret, scheme: Scheme::default() }
    }
}

/// Secrets by name.
#[derive(Default)]
pub struct Signing(BTreeMap<String, Key>);

impl Signing {
    /// With these secrets.
    pub fn new(secrets: BTreeMap<String, Key>) -> Self {
        Self(secrets)
    }

    /// The signature of `message`; none when there is no such secret.
    pub fn sign(&self, secret: &str, message: &[u8]) -> Option<Vec<u8>> {
        let Key { secret, scheme } = self.0.get(secret)?;
        Some(match scheme {
            Scheme::HmacSha256 => mac(secret, message)?.finalize().into_bytes().to_vec(),
            Scheme::Sha256Suffix => suffixed(secret, message).to_vec(),
        })
    }

    /// Whether `signature` is the one of `message`, compared in constant time; none when there is no such secret.
    pub fn verify(&self, secret: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let Key { secret, scheme } = self.0.get(secret)?;
        Some(match scheme {
            Scheme::HmacSha256 => mac(secret, message)?.verify_slice(signature).is_ok(),
            Scheme::Sha256Suffix => suffixed(secret, message).as_slice().ct_eq(signature).into(),
        })
    }

    /// The secret itself, for a header that the host sends.
    pub(crate) fn value(&self, secret: &str) -> Option<&[u8]> {
        self.0.get(secret).map(|key| key.secret.as_slice())
    }
}

fn mac(secret: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(message);
    Some(mac)
}

fn suffixed(secret: &[u8], message: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(message).chain_update(secret).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the partner's documentation is of this form: `sha256(payload + path + key)`.
    #[test]
    fn each_secret_signs_in_its_own_way() {
        let key = |scheme| Key { secret: Zeroizing::new(b"key".to_vec()), scheme };
        let signing = Signing::new(BTreeMap::from([
            ("mac".to_owned(), key(Scheme::HmacSha256)),
            ("suffix".to_owned(), key(Scheme::Sha256Suffix)),
        ]));
        let message = b"The quick brown fox jumps over the lazy dog";
        let of = |secret| hex::encode(signing.sign(secret, message).unwrap());
        assert_eq!(of("mac"), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
        assert_eq!(of("suffix"), hex::encode(Sha256::digest([message.as_slice(), b"key"].concat())));
        for secret in ["mac", "suffix"] {
            let mut signature = signing.sign(secret, message).unwrap();
            assert_eq!(signing.verify(secret, message, &signature), Some(true));
            assert_eq!(signing.verify(secret, b"another", &signature), Some(false));
            assert_eq!(signing.verify(secret, message, &signature[..31]), Some(false));
            assert_eq!(signing.verify(secret, message, b""), Some(false));
            signature[0] ^= 1;
            assert_eq!(signing.verify(secret, message, &signature), Some(false));
        }
        assert_eq!((signing.sign("other", message), signing.verify("other", message, b"")), (None, None));
    }
}
