//! WIT glue of `devconnect:platform/passwords`.

use super::{Error as Failure, Verdict as Found};
use crate::engine::State;
use crate::engine::bindings::devconnect::platform::passwords::{Error, Host, Verdict};

const LINE: &str = "not granted; in component.toml: [grants] passwords = true";

impl Host for State {
    async fn hash(&mut self, password: String) -> wasmtime::Result<Result<String, Error>> {
        self.enter("passwords.hash")?;
        if !self.grants().passwords {
            return Ok(Err(Error::Denied(LINE.into())));
        }
        edge(self.capabilities().passwords.hash(password).await)
    }

    async fn verify(&mut self, password: String, hash: Option<String>) -> wasmtime::Result<Result<Verdict, Error>> {
        self.enter("passwords.verify")?;
        if !self.grants().passwords {
            return Ok(Err(Error::Denied(LINE.into())));
        }
        let found = self.capabilities().passwords.verify(password, hash).await;
        edge(found.map(|found| match found {
            Found::Matches => Verdict::Matches,
            Found::MatchesOutdated => Verdict::MatchesOutdated,
            Found::Differs => Verdict::Differs,
        }))
    }
}

/// A failure of the hashing itself is the host's fault: the component is stopped, it could do nothing about it.
fn edge<T>(result: Result<T, Failure>) -> wasmtime::Result<Result<T, Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Busy) => Ok(Err(Error::Busy)),
        Err(Failure::Invalid(why)) => Ok(Err(Error::Invalid(why))),
        Err(error @ Failure::Failed(_)) => Err(wasmtime::Error::msg(error.to_string())),
    }
}
