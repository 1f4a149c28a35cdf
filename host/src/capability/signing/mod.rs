//! Signing: the use of a named secret. The secret itself never leaves this room.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::engine::State;
use crate::engine::bindings::devconnect::platform::signing::{Error, Host};

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

    fn mac(&self, secret: &str, message: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.get(secret)?).ok()?;
        mac.update(message);
        Some(mac)
    }
}

impl State {
    fn signing(&mut self, secret: &str, message: &[u8]) -> Result<Hmac<Sha256>, Error> {
        if !self.grants().signing.contains(secret) {
            return Err(Error::Denied(format!("not granted; in component.toml: [grants] signing = [{secret:?}]")));
        }
        self.capabilities().signing.mac(secret, message).ok_or_else(|| Error::Unknown(secret.to_owned()))
    }
}

impl Host for State {
    fn sign(&mut self, secret: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.enter("signing.sign")?;
        Ok(self.signing(&secret, &message).map(|mac| mac.finalize().into_bytes().to_vec()))
    }

    fn verify(
        &mut self,
        secret: String,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.enter("signing.verify")?;
        // `verify_slice` compares in constant time.
        Ok(self.signing(&secret, &message).map(|mac| mac.verify_slice(&signature).is_ok()))
    }
}
