//! The cache in Redis, shared by all hosts.
//!
//! Every operation is one command or one script, so that it is atomic over all of them. Values that are read often are
//! kept near; a hit costs no round trip. While Redis is away, counters go on in this process: a limit still limits.

mod flights;

use std::sync::Arc;
use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;
use bytes::Bytes;

use super::{Cache, Embedded, Error, MAX_RECENT, Ttl, check_length};
use crate::capability::clocks::System;
use crate::capability::redis::{Error as Failure, Redis};
use flights::Flights;

/// What stands under a key whose value is over, where no reader's older value may come back.
const OVER: &[u8] = b"\0over";

/// Stores ARGV[3] for ARGV[4] ms where ARGV[2] is (ARGV[1] = '1') or where nothing is (ARGV[1] = '0').
const COMPARE_AND_SET: &str = "
    local kind = redis.call('TYPE', KEYS[1]).ok
    if kind ~= 'none' and kind ~= 'string' then return 0 end
    local old = redis.call('GET', KEYS[1])
    local same
    if ARGV[1] == '0' then same = (old == false) else same = (old == ARGV[2]) end
    if not same then return 0 end
    redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
    return 1";

/// Adds ARGV[1]; a counter that this makes lives for ARGV[2] ms.
const INCREMENT: &str = "
    local made = redis.call('EXISTS', KEYS[1]) == 0
    local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
    if made then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return sum";

/// Puts ARGV[1] at the head, keeps ARGV[2], for ARGV[3] ms.
const PUSH_RECENT: &str = "
    local length = redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return math.min(length, tonumber(ARGV[2]))";

/// Makes a list of ARGV[2…] for ARGV[1] ms where nothing is.
const FILL_RECENT: &str = "
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    for at = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[at]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return 1";

/// The value and how many milliseconds it still has.
const READ: &str = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";

/// The cache of all hosts on one Redis.
pub struct InRedis {
    redis: Arc<Redis>,
    flights: Flights,
    /// What is counted while Redis is away.
    stand_in: Embedded,
    scripts: Scripts,
}

struct Scripts {
    compare_and_set: Script,
    increment: Script,
    push_recent: Script,
    fill_recent: Script,
    read: Script,
}

impl InRedis {
    /// In this Redis.
    pub fn new(redis: Arc<Redis>) -> Self {
        let scripts = Scripts {
            compare_and_set: Script::new(COMPARE_AND_SET),
            increment: Script::new(INCREMENT),
            push_recent: Script::new(PUSH_RECENT),
            fill_recent: Script::new(FILL_RECENT),
            read: Script::new(READ),
        };
        Self { redis, flights: Flights::default(), stand_in: Embedded::new(Arc::new(System::default())), scripts }
    }

    fn key(&self, key: &str) -> String {
        self.redis.key(key)
    }

    /// A write to a key. Before it and after it the near value goes: what was read before the write had an answer is old.
    async fn write<T>(&self, key: &str, write: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
        self.redis.near().forget(key);
        let done = write.await;
        self.redis.near().forget(key);
        Ok(done?)
    }

    /// What Redis has under a key.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let Some(asked) = self.redis.near().asked(key) else {
            let value: Option<Vec<u8>> = self.redis.ask(::redis::cmd("GET").arg(self.key(key))).await?;
            return Ok(value.map(Bytes::from));
        };
        let flight = async {
            let (value, millis): (Option<Vec<u8>>, i64) = self.redis.run(&self.scripts.read.key(self.key(key))).await?;
            let value = value.map(Bytes::from);
            if let (Some(value), Ok(millis)) = (&value, u64::try_from(millis)) {
                self.redis.near().keep(key, asked, value.clone(), Duration::from_millis(millis));
            }
            Ok(value)
        };
        self.flights.join(key, asked, flight).await
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Invalid(why),
            Failure::Away(_) => Self::Unavailable(failure.to_string()),
        }
    }
}

#[async_trait]
impl Cache for InRedis {
    fn is_shared(&self) -> bool {
        true
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let value = match self.redis.near().get(key) {
            Some(value) => Some(value),
            None => match self.read(key).await {
                Ok(value) => value,
                Err(failure) => match self.stand_in.get(key).await {
                    Ok(Some(counted)) => Some(counted),
                    Ok(None) | Err(_) => return Err(failure.into()),
                },
            },
        };
        Ok(value.filter(|value| value != OVER))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error> {
        let mut command = ::redis::cmd("SET");
        command.arg(self.key(key)).arg(&*value).arg("PX").arg(ttl.millis());
        self.write(key, self.redis.ask(&command)).await
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
        let _ = self.stand_in.delete(key).await;
        self.write(key, self.redis.ask(::redis::cmd("DEL").arg(self.key(key)))).await
    }

    async fn invalidate(&self, key: &str, hold: Ttl) -> Result<(), Error> {
        self.set(key, Bytes::from_static(OVER), hold).await
    }

    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error> {
        let mut script = self.scripts.increment.key(self.key(key));
        script.arg(by).arg(ttl.millis());
        match self.write(key, self.redis.run(&script)).await {
            Err(Error::Unavailable(_)) => self.stand_in.increment(key, by, ttl).await,
            answer => answer,
        }
    }

    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error> {
        check_length(keep as usize)?;
        let mut script = self.scripts.push_recent.key(self.key(key));
        script.arg(&*value).arg(keep).arg(ttl.millis());
        self.write(key, self.redis.run(&script)).await
    }

    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error> {
        check_length(values.len())?;
        let mut script = self.scripts.fill_recent.key(self.key(key));
        script.arg(ttl.millis());
        for value in &values {
            script.arg(&**value);
        }
        self.write(key, self.redis.run(&script)).await
    }

    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error> {
        // At least one is asked for, since a list is never empty: no answer is no list.
        let last = limit.clamp(1, MAX_RECENT) - 1;
        let values: Vec<Vec<u8>> = self.redis.ask(::redis::cmd("LRANGE").arg(self.key(key)).arg(0).arg(last)).await?;
        Ok((!values.is_empty()).then(|| values.into_iter().take(limit as usize).map(Bytes::from).collect()))
    }
}
