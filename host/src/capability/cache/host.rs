//! WIT glue of `devconnect:platform/cache`.

use bytes::Bytes;

use super::{Error as Failure, Ttl, check_key, check_value};
use crate::capability::Access;
use crate::engine::State;
use crate::engine::bindings::devconnect::platform::cache::{Error, Host};

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(why) => Error::Invalid(why),
            Failure::Unavailable(why) => Error::Unavailable(why),
        }
    }
}

impl State {
    fn key(&self, key: &str, wanted: Access) -> Result<(), Error> {
        check_key(key)?;
        self.grants().cache.check(key, wanted).map_err(Error::Denied)
    }

    /// Whether the value under a key is over, and the cache has not learnt it yet.
    fn is_owed(&self, key: &str) -> bool {
        self.capabilities().invalidations.owed().has_key(key)
    }

    fn entry(&self, key: &str, wanted: Access, value: &[u8], ttl: u32) -> Result<Ttl, Error> {
        self.key(key, wanted)?;
        check_value(value)?;
        Ok(Ttl::seconds(ttl)?)
    }
}

/// `?` for the errors that the component sees, inside a function whose own errors stop it.
macro_rules! answer {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error.into())),
        }
    };
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        self.enter("cache.get")?;
        answer!(self.key(&key, Access::Read));
        if self.is_owed(&key) {
            return Ok(Ok(None));
        }
        let value = answer!(self.capabilities().cache.get(&key).await);
        Ok(Ok(value.map(Vec::from)))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl: u32) -> wasmtime::Result<Result<(), Error>> {
        self.enter("cache.set")?;
        let ttl = answer!(self.entry(&key, Access::Write, &value, ttl));
        answer!(self.capabilities().cache.set(&key, value.into(), ttl).await);
        Ok(Ok(()))
    }

    async fn set_if_absent(&mut self, key: String, value: Vec<u8>, ttl: u32) -> wasmtime::Result<Result<bool, Error>> {
        self.enter("cache.set-if-absent")?;
        let ttl = answer!(self.entry(&key, Access::Write, &value, ttl));
        if self.is_owed(&key) {
            return Ok(Ok(false));
        }
        Ok(Ok(answer!(self.capabilities().cache.set_if_absent(&key, value.into(), ttl.jittered()).await)))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl: u32,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.enter("cache.compare-and-set")?;
        let ttl = answer!(self.entry(&key, Access::ReadWrite, &value, ttl));
        let expected = expected.map(Bytes::from);
        Ok(Ok(answer!(self.capabilities().cache.compare_and_set(&key, expected, value.into(), ttl).await)))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        self.enter("cache.delete")?;
        answer!(self.key(&key, Access::Write));
        Ok(Ok(answer!(self.capabilities().cache.delete(&key).await)))
    }

    async fn increment(&mut self, key: String, by: i64, ttl: u32) -> wasmtime::Result<Result<i64, Error>> {
        self.enter("cache.increment")?;
        let ttl = answer!(self.entry(&key, Access::ReadWrite, &[], ttl));
        Ok(Ok(answer!(self.capabilities().cache.increment(&key, by, ttl).await)))
    }

    async fn push_recent(
        &mut self,
        key: String,
        value: Vec<u8>,
        keep: u32,
        ttl: u32,
    ) -> wasmtime::Result<Result<u32, Error>> {
        self.enter("cache.push-recent")?;
        let ttl = answer!(self.entry(&key, Access::Write, &value, ttl));
        Ok(Ok(answer!(self.capabilities().cache.push_recent(&key, value.into(), keep, ttl).await)))
    }

    async fn fill_recent(
        &mut self,
        key: String,
        values: Vec<Vec<u8>>,
        ttl: u32,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.enter("cache.fill-recent")?;
        let ttl = answer!(self.entry(&key, Access::Write, &[], ttl));
        let values = values.into_iter().map(|value| check_value(&value).map(|()| Bytes::from(value)));
        let values = answer!(values.collect::<Result<Vec<_>, _>>());
        Ok(Ok(answer!(self.capabilities().cache.fill_recent(&key, values, ttl.jittered()).await)))
    }

    async fn recent(&mut self, key: String, limit: u32) -> wasmtime::Result<Result<Option<Vec<Vec<u8>>>, Error>> {
        self.enter("cache.recent")?;
        answer!(self.key(&key, Access::Read));
        let list = answer!(self.capabilities().cache.recent(&key, limit).await);
        Ok(Ok(list.map(|list| list.into_iter().map(Vec::from).collect())))
    }
}
