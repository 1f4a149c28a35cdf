//! The cache in Redis 7 or newer, shared by all hosts.
//!
//! Every operation is one command or one script, so that it is atomic over all of them. One connection is shared by all
//! calls and comes back by itself; while it is away calls fail at once instead of waiting for it.

mod circuit;

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Cmd, FromRedisValue, RedisError, Script};
use async_trait::async_trait;
use bytes::Bytes;

use super::{Cache, Error, MAX_RECENT, Ttl};
use circuit::Circuit;

/// No call waits longer for Redis.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries to connect, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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

/// A Redis server.
pub struct Redis {
    connection: ConnectionManager,
    /// Before every key, so that several networks can share a server.
    prefix: String,
    circuit: Circuit,
    compare_and_set: Script,
    increment: Script,
    push_recent: Script,
    fill_recent: Script,
}

impl Redis {
    /// The server of a URL: `redis://` or `rediss://`. It need not be there yet. Needs a runtime.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URL is none; the text does not repeat it, since it may have a password.
    pub fn open(url: &str, prefix: &str) -> Result<Self, Error> {
        let wrong = |error: RedisError| Error::Invalid(format!("the URL of Redis is wrong: {error}"));
        let client = ::redis::Client::open(url).map_err(wrong)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_max_delay(LONGEST_PAUSE);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config).map_err(wrong)?,
            prefix: prefix.to_owned(),
            circuit: Circuit::default(),
            compare_and_set: Script::new(COMPARE_AND_SET),
            increment: Script::new(INCREMENT),
            push_recent: Script::new(PUSH_RECENT),
            fill_recent: Script::new(FILL_RECENT),
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let mut connection = self.connection.clone();
        self.bounded(command.query_async(&mut connection)).await
    }

    async fn run<T: FromRedisValue>(&self, script: &::redis::ScriptInvocation<'_>) -> Result<T, Error> {
        let mut connection = self.connection.clone();
        self.bounded(script.invoke_async(&mut connection)).await
    }

    /// One call within the patience of a caller, or none while Redis is known to be away.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Error> {
        let pass = self.circuit.pass().ok_or_else(|| Error::Unavailable("Redis does not answer".into()))?;
        let answer = match tokio::time::timeout(PATIENCE, call).await {
            Err(_) => Err(Error::Unavailable(format!("Redis did not answer in {PATIENCE:?}"))),
            Ok(Err(error)) => Err(told(&error)),
            Ok(Ok(answer)) => Ok(answer),
        };
        pass.learn(!matches!(answer, Err(Error::Unavailable(_))));
        answer
    }
}

/// What Redis says of a value is the caller's business; everything else is Redis being away.
fn told(error: &RedisError) -> Error {
    let text = error.to_string();
    let of_the_value = ["WRONGTYPE", "not an integer", "would overflow"];
    if of_the_value.iter().any(|sign| text.contains(sign)) { Error::Invalid(text) } else { Error::Unavailable(text) }
}

#[async_trait]
impl Cache for Redis {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let value: Option<Vec<u8>> = self.ask(::redis::cmd("GET").arg(self.key(key))).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error> {
        self.ask(::redis::cmd("SET").arg(self.key(key)).arg(&*value).arg("PX").arg(ttl.millis())).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        let mut command = ::redis::cmd("SET");
        command.arg(self.key(key)).arg(&*value).arg("NX").arg("PX").arg(ttl.millis());
        let stored: Option<String> = self.ask(&command).await?;
        Ok(stored.is_some())
    }

    async fn compare_and_set(&self, key: &str, expected: Option<Bytes>, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        let mut script = self.compare_and_set.key(self.key(key));
        script.arg(u8::from(expected.is_some())).arg(expected.as_deref().unwrap_or_default());
        self.run(script.arg(&*value).arg(ttl.millis())).await
    }

    async fn delete(&self, key: &str) -> Result<bool, Error> {
        self.ask(::redis::cmd("DEL").arg(self.key(key))).await
    }

    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error> {
        self.run(self.increment.key(self.key(key)).arg(by).arg(ttl.millis())).await
    }

    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error> {
        if !(1..=MAX_RECENT).contains(&keep) {
            return Err(Error::Invalid(format!("a list keeps 1 to {MAX_RECENT} values, not {keep}")));
        }
        self.run(self.push_recent.key(self.key(key)).arg(&*value).arg(keep).arg(ttl.millis())).await
    }

    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error> {
        if !(1..=MAX_RECENT as usize).contains(&values.len()) {
            return Err(Error::Invalid(format!("a list keeps 1 to {MAX_RECENT} values, not {}", values.len())));
        }
        let mut script = self.fill_recent.key(self.key(key));
        script.arg(ttl.millis());
        for value in &values {
            script.arg(&**value);
        }
        self.run(&script).await
    }

    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error> {
        // At least one is asked for, since a list is never empty: no answer is no list.
        let last = limit.clamp(1, MAX_RECENT) - 1;
        let values: Vec<Vec<u8>> = self.ask(::redis::cmd("LRANGE").arg(self.key(key)).arg(0).arg(last)).await?;
        Ok((!values.is_empty()).then(|| values.into_iter().take(limit as usize).map(Bytes::from).collect()))
    }
}
