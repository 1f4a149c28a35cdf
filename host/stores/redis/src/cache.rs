//! The cache in Redis, shared by all hosts.
//!
//! Every operation is one command or one script, so that it is atomic over all hosts. Values that are read often are in the
//! client cache; a hit costs no round trip. While Redis does not answer, counters go on in this process, so that limits hold.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use crate::flights::Flights;
use crate::{Error as Failure, Redis};
use capability::cache::{Absence, Cache, Error, InProcess, Looked, MAX_RECENT, Ttl, check_entry, check_length};
use capability::clocks::System;

/// How the value of an invalidated key begins, which lets no reader store an older value. Random bytes follow, other ones each
/// time: who fills the key later knows by them whether it was invalidated again.
const INVALIDATED: &[u8] = b"\0over";
/// How many keys are asked for at once.
const AT_ONCE: usize = 250;

/// Stores ARGV[3] for ARGV[4] ms if the value is ARGV[2] (ARGV[1] = '1') or if there is none (ARGV[1] = '0').
const COMPARE_AND_SET: &str = "
    local kind = redis.call('TYPE', KEYS[1]).ok
    if kind ~= 'none' and kind ~= 'string' then return 0 end
    local old = redis.call('GET', KEYS[1])
    local same
    if ARGV[1] == '0' then same = (old == false) else same = (old == ARGV[2]) end
    if not same then return 0 end
    redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
    return 1";

/// Adds ARGV[1]; a counter that this creates expires after ARGV[2] ms.
const INCREMENT: &str = "
    local made = redis.call('EXISTS', KEYS[1]) == 0
    local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
    if made then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return sum";

/// Pushes ARGV[1] at the head, keeps ARGV[2] values, for ARGV[3] ms.
const PUSH_RECENT: &str = "
    local length = redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return math.min(length, tonumber(ARGV[2]))";

/// Stores a list of ARGV[2…] for ARGV[1] ms unless the key exists.
const FILL_RECENT: &str = "
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    for at = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[at]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return 1";

/// The value and its remaining time to live in milliseconds.
const READ: &str = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";

/// The cache of all hosts on one Redis.
pub struct RedisCache {
    redis: Arc<Redis>,
    flights: Flights,
    /// The counters while Redis does not answer.
    fallback: InProcess,
    scripts: Scripts,
}

struct Scripts {
    compare_and_set: Script,
    increment: Script,
    push_recent: Script,
    fill_recent: Script,
    read: Script,
}

impl RedisCache {
    /// In this Redis.
    pub fn new(redis: Arc<Redis>) -> Self {
        let scripts = Scripts {
            compare_and_set: Script::new(COMPARE_AND_SET),
            increment: Script::new(INCREMENT),
            push_recent: Script::new(PUSH_RECENT),
            fill_recent: Script::new(FILL_RECENT),
            read: Script::new(READ),
        };
        Self { redis, flights: Flights::default(), fallback: InProcess::new(Arc::new(System::default())), scripts }
    }

    fn key(&self, key: &str) -> String {
        self.redis.key(key)
    }

    /// A write to a key. It invalidates the client cache before and after: a value that was read before the answer of the
    /// write is old.
    async fn write<T>(&self, key: &str, write: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
        self.redis.client_cache().invalidate(key);
        let done = write.await;
        self.redis.client_cache().invalidate(key);
        Ok(done?)
    }

    /// A write after which the value before must not be read: where Redis takes no writes, it is deleted. That a full Redis
    /// does, too.
    async fn replace<T>(&self, key: &str, write: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
        self.write(key, async {
            let done = write.await;
            if matches!(done, Err(Failure::WritesRefused(_))) {
                // The write has failed either way, and the caller repeats it where it has to.
                let _: Result<(), Failure> = self.redis.ask(::redis::cmd("DEL").arg(self.key(key))).await;
            }
            done
        })
        .await
    }

    /// Reads a key from Redis.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let Some(version) = self.redis.client_cache().version(key) else {
            let value: Option<Vec<u8>> = self.redis.ask(::redis::cmd("GET").arg(self.key(key))).await?;
            return Ok(value.map(Bytes::from));
        };
        let (redis, script, key_there) = (self.redis.clone(), self.scripts.read.clone(), self.key(key));
        let key_here = key.to_owned();
        let flight = async move {
            let (value, millis): (Option<Vec<u8>>, i64) = redis.run(&script.key(key_there)).await?;
            let value = value.map(Bytes::from);
            if let (Some(value), Ok(millis)) = (&value, u64::try_from(millis)) {
                let left = Duration::from_millis(millis.min(Ttl::clamped(u64::MAX).millis()));
                redis.client_cache().fill(&key_here, version, value.clone(), left);
            }
            Ok(value)
        };
        self.flights.join(key, version, flight).await
    }
}

/// What a value of Redis says.
fn looked(value: Bytes) -> Looked {
    if !value.starts_with(INVALIDATED) {
        return Looked::Value(value);
    }
    // Without random bytes it is of a host of an earlier version, whose next one looks the same: nobody fills behind it.
    Looked::Absent(if value == INVALIDATED { Absence::default() } else { Absence::behind(value) })
}

/// The value of an invalidated key.
fn new_mark() -> Bytes {
    Bytes::from([INVALIDATED, &capability::random::bytes::<8>()].concat())
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Invalid(why),
            Failure::Away(_) | Failure::WritesRefused(_) => Self::Unavailable(failure.to_string()),
        }
    }
}

#[async_trait]
impl Cache for RedisCache {
    fn is_shared(&self) -> bool {
        true
    }

    async fn look(&self, key: &str) -> Result<Looked, Error> {
        let value = match self.redis.client_cache().get(key) {
            Some(value) => Some(value),
            None => match self.read(key).await {
                Ok(value) => value,
                Err(failure) => match self.fallback.get(key).await {
                    Ok(Some(counted)) => Some(counted),
                    Ok(None) | Err(_) => return Err(failure.into()),
                },
            },
        };
        Ok(value.map_or(Looked::Absent(Absence::default()), looked))
    }

    async fn look_many(&self, keys: &[String]) -> Result<Vec<Looked>, Error> {
        let near = |key: &String| self.redis.client_cache().get(key).map(looked);
        let mut found: Vec<Option<Looked>> = keys.iter().map(near).collect();
        let mut missing: Vec<_> = found.iter_mut().zip(keys).filter(|(found, _)| found.is_none()).collect();
        // Those that are asked for together cost one round trip.
        for some in missing.chunks_mut(AT_ONCE) {
            let mut looks = Vec::with_capacity(some.len());
            for (_, key) in some.iter() {
                looks.push(self.look(key));
            }
            let looks = join_all(looks).await;
            for ((found, _), look) in some.iter_mut().zip(looks) {
                **found = Some(look?);
            }
        }
        Ok(found.into_iter().map(|found| found.unwrap_or(Looked::Absent(Absence::default()))).collect())
    }

    async fn fill(&self, key: &str, seen: &Absence, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        match seen.mark() {
            // A mark may have been there meanwhile, and be gone. Whoever looks next sees this one.
            None => self.set_if_absent(key, new_mark(), ttl).await.map(|_| false),
            Some(mark) => self.compare_and_set(key, Some(mark.clone()), value, ttl).await,
        }
    }

    fn look_now(&self, key: &str) -> Option<Result<Looked, Error>> {
        self.redis.client_cache().get(key).map(looked).map(Ok)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error> {
        let mut command = ::redis::cmd("SET");
        command.arg(self.key(key)).arg(&*value).arg("PX").arg(ttl.millis());
        self.replace(key, self.redis.ask(&command)).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        let mut command = ::redis::cmd("SET");
        command.arg(self.key(key)).arg(&*value).arg("NX").arg("PX").arg(ttl.millis());
        let stored: Option<String> = self.write(key, self.redis.ask(&command)).await?;
        Ok(stored.is_some())
    }

    async fn compare_and_set(&self, key: &str, expected: Option<Bytes>, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        let mut script = self.scripts.compare_and_set.key(self.key(key));
        script.arg(u8::from(expected.is_some())).arg(expected.as_deref().unwrap_or_default());
        script.arg(&*value).arg(ttl.millis());
        self.write(key, self.redis.run(&script)).await
    }

    async fn delete(&self, key: &str) -> Result<bool, Error> {
        let _ = self.fallback.delete(key).await;
        self.write(key, self.redis.ask(::redis::cmd("DEL").arg(self.key(key)))).await
    }

    async fn invalidate(&self, key: &str, hold: Ttl) -> Result<(), Error> {
        self.set(key, new_mark(), hold).await
    }

    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error> {
        let mut script = self.scripts.increment.key(self.key(key));
        script.arg(by).arg(ttl.millis());
        match self.write(key, self.redis.run(&script)).await {
            Err(Error::Unavailable(_)) => self.fallback.increment(key, by, ttl).await,
            answer => answer,
        }
    }

    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error> {
        check_length(keep as usize)?;
        check_entry(&value)?;
        let mut script = self.scripts.push_recent.key(self.key(key));
        script.arg(&*value).arg(keep).arg(ttl.millis());
        self.replace(key, self.redis.run(&script)).await
    }

    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error> {
        check_length(values.len())?;
        values.iter().try_for_each(|value| check_entry(value))?;
        let mut script = self.scripts.fill_recent.key(self.key(key));
        script.arg(ttl.millis());
        for value in &values {
            script.arg(&**value);
        }
        self.write(key, self.redis.run(&script)).await
    }

    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error> {
        // At least one value is requested, since a list is never empty: an empty reply means no list.
        let last = limit.clamp(1, MAX_RECENT) - 1;
        let values: Vec<Vec<u8>> = self.redis.ask(::redis::cmd("LRANGE").arg(self.key(key)).arg(0).arg(last)).await?;
        Ok((!values.is_empty()).then(|| values.into_iter().take(limit as usize).map(Bytes::from).collect()))
    }
}
