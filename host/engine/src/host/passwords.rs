//! WIT glue of `devconnect:platform/passwords`.

use crate::State;
use crate::bindings::devconnect::platform::passwords::{Error, Host, Verdict};
use capability::passwords::{Error as Failure, Verdict as HashVerdict};

const DENIED: &str = "not granted; in component.toml: [grants] passwords = true";

impl Host for State {
    async fn hash(&mut self, password: String) -> wasmtime::Result<Result<String, Error>> {
        let _host = self.enter("passwords.hash")?;
        if !self.grants().passwords {
            return Ok(Err(Error::Denied(DENIED.into())));
        }
        let hashed = self.capabilities().passwords.hash(self.client(), password).await;
        self.answer(hashed)
    }

    async fn verify(&mut self, password: String, hash: Option<String>) -> wasmtime::Result<Result<Verdict, Error>> {
        let _host = self.enter("passwords.verify")?;
        if !self.grants().passwords {
            return Ok(Err(Error::Denied(DENIED.into())));
        }
        let verdict = self.capabilities().passwords.verify(self.client(), password, hash).await;
        self.answer(verdict.map(|verdict| match verdict {
            HashVerdict::Matches => Verdict::Matches,
            HashVerdict::MatchesOutdated => Verdict::MatchesOutdated,
            HashVerdict::Differs => Verdict::Differs,
        }))
    }
}

impl State {
    /// The answer to the component. A failure of the hashing itself is the host's: it stops the component.
    fn answer<T>(&self, result: Result<T, Failure>) -> wasmtime::Result<Result<T, Error>> {
        if matches!(result, Err(Failure::Busy | Failure::Failed(_))) {
            self.record_store_unavailable();
        }
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(Failure::Busy) => Ok(Err(Error::Busy)),
            Err(Failure::Invalid(why)) => Ok(Err(Error::Invalid(why))),
            Err(error @ Failure::Failed(_)) => Err(wasmtime::Error::msg(error.to_string())),
        }
    }
}
