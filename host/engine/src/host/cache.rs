//! WIT glue of `devconnect:platform/cache`.

use bytes::Bytes;

use crate::State;
use crate::bindings::devconnect::platform::cache::{Error, Host};
use capability::cache::{Error as Failure, KeyAccess, Ttl, check_entry, check_key, check_value};

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(why) => Error::Invalid(why),
            Failure::Unavailable(why) => Error::Unavailable(why),
        }
    }
}

impl State {
    fn key(&self, key: &str, wanted: KeyAccess) -> Result<(), Error> {
        check_key(key)?;
        self.grants().cache.check(key, wanted).map_err(Error::Denied)
    }

    /// Whether an invalidation of this key is pending.
    fn has_pending_invalidation(&self, key: &str) -> bool {
        self.capabilities().invalidations.pending().has_key(key)
    }

    fn entry(&self, key: &str, wanted: KeyAccess, value: &[u8], ttl: u32) -> Result<Ttl, Error> {
        self.key(key, wanted)?;
        check_value(value)?;
        Ok(Ttl::seconds(ttl)?)
    }
}

/// `?` for errors that the component gets, in a function whose own errors stop the component.
macro_rules! answer {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error.into())),
        }
    };
}

/// The same for a call of the store; records when the store does not answer.
macro_rules! stored {
    ($state:ident, $method:ident($($argument:expr),*)) => {{
        let result = $state.capabilities().cache.$method($($argument),*).await;
        if matches!(result, Err(Failure::Unavailable(_))) {
            $state.record_store_unavailable();
        }
        answer!(result)
    }};
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let _host = self.enter("cache.get")?;
        answer!(self.key(&key, KeyAccess::Read));
        if self.has_pending_invalidation(&key) {
            return Ok(Ok(None));
        }
        let value = stored!(self, get(&key));
        Ok(Ok(value.map(Vec::from)))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl: u32) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("cache.set")?;
        let ttl = answer!(self.entry(&key, KeyAccess::Write, &value, ttl));
        stored!(self, set(&key, value.into(), ttl));
        Ok(Ok(()))
    }

    async fn set_if_absent(&mut self, key: String, value: Vec<u8>, ttl: u32) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("cache.set-if-absent")?;
        let ttl = answer!(self.entry(&key, KeyAccess::Write, &value, ttl));
        if self.has_pending_invalidation(&key) || !self.may_fill() {
            return Ok(Ok(false));
        }
        Ok(Ok(stored!(self, set_if_absent(&key, value.into(), ttl.jittered()))))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl: u32,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("cache.compare-and-set")?;
        let ttl = answer!(self.entry(&key, KeyAccess::ReadWrite, &value, ttl));
        answer!(check_value(expected.as_deref().unwrap_or_default()));
        let expected = expected.map(Bytes::from);
        // Where there is to be none it is a fill.
        if expected.is_none() && !self.may_fill() {
            return Ok(Ok(false));
        }
        Ok(Ok(stored!(self, compare_and_set(&key, expected, value.into(), ttl))))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("cache.delete")?;
        answer!(self.key(&key, KeyAccess::Write));
        Ok(Ok(stored!(self, delete(&key))))
    }

    async fn increment(&mut self, key: String, by: i64, ttl: u32) -> wasmtime::Result<Result<i64, Error>> {
        let _host = self.enter("cache.increment")?;
        let ttl = answer!(self.entry(&key, KeyAccess::ReadWrite, &[], ttl));
        Ok(Ok(stored!(self, increment(&key, by, ttl))))
    }

    async fn push_recent(
        &mut self,
        key: String,
        value: Vec<u8>,
        keep: u32,
        ttl: u32,
    ) -> wasmtime::Result<Result<u32, Error>> {
        let _host = self.enter("cache.push-recent")?;
        let ttl = answer!(self.entry(&key, KeyAccess::Write, &value, ttl));
        Ok(Ok(stored!(self, push_recent(&key, value.into(), keep, ttl))))
    }

    async fn fill_recent(
        &mut self,
        key: String,
        values: Vec<Vec<u8>>,
        ttl: u32,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("cache.fill-recent")?;
        let ttl = answer!(self.entry(&key, KeyAccess::Write, &[], ttl));
        let values = values.into_iter().map(|value| check_entry(&value).map(|()| Bytes::from(value)));
        let values = answer!(values.collect::<Result<Vec<_>, _>>());
        if !self.may_fill() {
            return Ok(Ok(false));
        }
        Ok(Ok(stored!(self, fill_recent(&key, values, ttl.jittered()))))
    }

    async fn recent(&mut self, key: String, limit: u32) -> wasmtime::Result<Result<Option<Vec<Vec<u8>>>, Error>> {
        let _host = self.enter("cache.recent")?;
        answer!(self.key(&key, KeyAccess::Read));
        let list = stored!(self, recent(&key, limit));
        Ok(Ok(list.map(|list| list.into_iter().map(Vec::from).collect())))
    }
}
