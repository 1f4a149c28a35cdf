//! WIT glue of `devconnect:platform/cache`.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use crate::State;
use crate::bindings::devconnect::platform::cache::{Error, Host};
use capability::cache::{Error as Failure, KeyAccess, MAX_MANY, Ttl, check_entry, check_key, check_value};
use capability::documents::MAX_ANSWER;

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

    /// What is known of a key's value without waiting for the store.
    fn cached(&mut self, key: &str) -> Option<Result<Option<Bytes>, Error>> {
        if let Err(error) = self.key(key, KeyAccess::Read) {
            return Some(Err(error));
        }
        let shared = self.shared().clone();
        let capabilities = &shared.capabilities;
        let known = self.reads.get_now(capabilities.cache.as_ref(), capabilities.invalidations.pending(), key)?;
        Some(self.noted(known).map_err(Error::from))
    }

    /// The value of a key that [`State::cached`] does not know.
    async fn asked(&mut self, key: &str) -> Result<Option<Bytes>, Error> {
        let shared = self.shared().clone();
        let capabilities = &shared.capabilities;
        let found = self.reads.get(capabilities.cache.as_ref(), capabilities.invalidations.pending(), key).await;
        self.noted(found).map_err(Error::from)
    }

    fn check_many(count: usize) -> Result<(), Error> {
        if count <= MAX_MANY {
            return Ok(());
        }
        Err(Error::Invalid(format!("at most {MAX_MANY} keys at once, not {count}")))
    }

    /// The same result; records when the store did not answer.
    fn noted<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(result, Err(Failure::Unavailable(_))) {
            self.record_store_unavailable();
        }
        result
    }

    async fn many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Self::check_many(keys.len())?;
        keys.iter().try_for_each(|key| self.key(key, KeyAccess::Read))?;
        let shared = self.shared().clone();
        let capabilities = &shared.capabilities;
        let found = self.reads.get_many(capabilities.cache.as_ref(), capabilities.invalidations.pending(), keys).await;
        let found = self.noted(found)?;
        // Before they are copied.
        let bytes: usize = found.iter().flatten().map(Bytes::len).sum();
        if bytes > MAX_ANSWER {
            return Err(Error::Invalid(format!("the values have over {MAX_ANSWER} bytes together; ask for fewer")));
        }
        Ok(found.into_iter().map(|value| value.map(Vec::from)).collect())
    }

    async fn filled(&mut self, values: Vec<(String, Vec<u8>)>, ttl: u32) -> Result<u32, Error> {
        Self::check_many(values.len())?;
        let ttl = Ttl::seconds(ttl)?;
        for (key, value) in &values {
            self.key(key, KeyAccess::Write)?;
            check_value(value)?;
        }
        let values = values.into_iter().map(|(key, value)| (key, Bytes::from(value))).collect();
        let shared = self.shared().clone();
        let capabilities = &shared.capabilities;
        let (cache, pending) = (capabilities.cache.as_ref(), capabilities.invalidations.pending());
        let filled = self.reads.fill_many(cache, pending, capabilities.clock.now(), values, ttl).await;
        Ok(self.noted(filled)?)
    }

    fn entry(&self, key: &str, wanted: KeyAccess, value: &[u8], ttl: u32) -> Result<Ttl, Error> {
        self.key(key, wanted)?;
        check_value(value)?;
        Ok(Ttl::seconds(ttl)?)
    }
}

/// Puts a `cache.get` into the place of the one that is generated: it writes the value to the guest from where the cache has it.
pub(crate) fn lend_values(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance("devconnect:platform/cache@0.1.0")?
        .func_wrap_async("get", |store: StoreContextMut<'_, State>, (key,): (WasmStr,)| Box::new(get(store, key)))?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn get(mut store: StoreContextMut<'_, State>, key: WasmStr) -> wasmtime::Result<(Result<Option<Bytes>, Error>,)> {
    let _host = store.data_mut().enter("cache.get")?;
    let key = key.to_str(&store)?.into_owned();
    if let Some(known) = store.data_mut().cached(&key) {
        return Ok((known,));
    }
    Ok((store.data_mut().asked(&key).await,))
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
        answer!($state.noted(result))
    }};
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let _host = self.enter("cache.get")?;
        let found = match self.cached(&key) {
            Some(known) => known,
            None => self.asked(&key).await,
        };
        Ok(found.map(|value| value.map(Vec::from)))
    }

    async fn get_many(&mut self, keys: Vec<String>) -> wasmtime::Result<Result<Vec<Option<Vec<u8>>>, Error>> {
        let _host = self.enter("cache.get-many")?;
        Ok(self.many(&keys).await)
    }

    async fn fill_many(&mut self, values: Vec<(String, Vec<u8>)>, ttl: u32) -> wasmtime::Result<Result<u32, Error>> {
        let _host = self.enter("cache.fill-many")?;
        Ok(self.filled(values, ttl).await)
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
