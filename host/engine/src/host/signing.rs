//! WIT glue of `devconnect:platform/signing`.

use crate::State;
use crate::bindings::devconnect::platform::signing::{Error, Host};
use capability::text;

impl State {
    fn signing_granted(&self, secret: &str) -> Result<(), Error> {
        if self.grants().signing.contains(secret) {
            return Ok(());
        }
        let secret = text::quoted(secret);
        Err(Error::Denied(format!("not granted; in component.toml: [grants] signing = [{secret}]")))
    }
}

impl Host for State {
    fn sign(&mut self, secret: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let _host = self.enter("signing.sign")?;
        Ok(self
            .signing_granted(&secret)
            .and_then(|()| self.capabilities().signing.sign(&secret, &message).ok_or(Error::Unknown(secret))))
    }

    fn verify(
        &mut self,
        secret: String,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("signing.verify")?;
        Ok(self.signing_granted(&secret).and_then(|()| {
            self.capabilities().signing.verify(&secret, &message, &signature).ok_or(Error::Unknown(secret))
        }))
    }
}
