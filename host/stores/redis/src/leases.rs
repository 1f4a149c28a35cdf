//! Leases in Redis, shared by all hosts.
//!
//! `presence:{user}` is a sorted set of hosts by the expiry of their lease; each change of it is one script. The sorted set
//! `presences` has the users to check, by the time of the check: in a cluster it is on another node, so it is written before
//! the user's own key and cleared after, and an extra entry only costs a check. Times are Redis' own.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;
use futures_util::future::join_all;

use crate::{Error, Redis};
use capability::sockets::leases::{Away, INDEX_KEY, KEY_PREFIX, Leases};

/// The most users of one check.
const BATCH: u32 = 500;
/// The most concurrent scripts.
const IN_FLIGHT: usize = 64;

/// The common part of the scripts: the time, and a function that writes a lease. A key expires after twice the length of a
/// lease, so that there is time to notice that its holders died. A holder with `!` before it only reports the user offline.
const TIME: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local length = tonumber(ARGV[1])
    local function keep(host)
        redis.call('ZADD', KEYS[1], now + length, host)
        redis.call('PEXPIRE', KEYS[1], 2 * length)
    end
";

/// ARGV[2] takes a lease; 1 when no other host held one before.
const CLAIM: &str = "
    local first = 1
    for _, holder in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if holder ~= ARGV[2] then first = 0 end
        if string.sub(holder, 1, 1) == '!' then redis.call('ZREM', KEYS[1], holder) end
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    keep(ARGV[2])
    return first";

/// ARGV[2] releases its lease; 1 when no other host holds one.
const RELEASE: &str = "
    redis.call('ZREM', KEYS[1], ARGV[2], '!' .. ARGV[2])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    return redis.call('EXISTS', KEYS[1]) == 0 and 1 or 0";

/// ARGV[2] renews its lease; 0 when it has none.
const RENEW: &str = "
    if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
    keep(ARGV[2])
    return 1";

/// 1 when a host holds a lease.
const HELD: &str = "
    for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
        if string.sub(holder, 1, 1) ~= '!' then return 1 end
    end
    return 0";

/// ARGV[2] takes over to report the user offline: 1 when it may. 0 when a host still holds a lease, or reports already; -1
/// when the key does not exist.
const TAKE_OVER: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    keep('!' .. ARGV[2])
    return 1";

/// In the index: schedules a check of the users ARGV[2…] after the length of a lease.
const SCHEDULE: &str = "
    for at = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', now + length, ARGV[at]) end
    return 1";

/// In the index: the users whose check is due, ARGV[2] at most.
const DUE: &str = "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])";

/// The leases of all hosts on one Redis.
pub struct RedisLeases {
    redis: Arc<Redis>,
    length: Duration,
    claim: Script,
    release: Script,
    renew: Script,
    held: Script,
    take_over: Script,
    schedule: Script,
    due: Script,
}

impl RedisLeases {
    /// Leases of this length.
    pub fn new(redis: Arc<Redis>, length: Duration) -> Self {
        let script = |body: &str| Script::new(&format!("{TIME}{body}"));
        Self {
            redis,
            length,
            claim: script(CLAIM),
            release: script(RELEASE),
            renew: script(RENEW),
            held: script(HELD),
            take_over: script(TAKE_OVER),
            schedule: script(SCHEDULE),
            due: script(DUE),
        }
    }

    async fn run_script(&self, script: &Script, user: &str, host: &str) -> Result<i64, Away> {
        let mut script = script.key(self.redis.key(&format!("{KEY_PREFIX}{user}")));
        script.arg(self.millis()).arg(host);
        self.redis.run(&script).await.map_err(away)
    }

    async fn schedule_checks(&self, users: &[String]) -> Result<(), Away> {
        for some in users.chunks(BATCH as usize) {
            let mut script = self.schedule.key(self.redis.key(INDEX_KEY));
            script.arg(self.millis()).arg(some);
            self.redis.run::<()>(&script).await.map_err(away)?;
        }
        Ok(())
    }

    /// Removes a user from the index; true for the caller that did.
    async fn remove_from_index(&self, user: &str) -> Result<bool, Away> {
        let mut command = ::redis::cmd("ZREM");
        command.arg(self.redis.key(INDEX_KEY)).arg(user);
        self.redis.ask(&command).await.map_err(away)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Leases for RedisLeases {
    fn length(&self) -> Duration {
        self.length
    }

    async fn claim(&self, user: &str, host: &str) -> Result<bool, Away> {
        self.schedule_checks(&[user.to_owned()]).await?;
        Ok(self.run_script(&self.claim, user, host).await? == 1)
    }

    async fn release(&self, user: &str, host: &str) -> Result<bool, Away> {
        let last = self.run_script(&self.release, user, host).await? == 1;
        if last {
            self.remove_from_index(user).await?;
        }
        Ok(last)
    }

    async fn renew(&self, users: &[String], host: &str) -> Result<Vec<String>, Away> {
        self.schedule_checks(users).await?;
        let mut unknown = Vec::new();
        for some in users.chunks(IN_FLIGHT) {
            let renewed = join_all(some.iter().map(|user| self.run_script(&self.renew, user, host))).await;
            for (user, renewed) in some.iter().zip(renewed) {
                if renewed? == 0 {
                    unknown.push(user.clone());
                }
            }
        }
        Ok(unknown)
    }

    async fn held(&self, user: &str) -> Result<bool, Away> {
        Ok(self.run_script(&self.held, user, "").await? == 1)
    }

    async fn ended(&self, host: &str) -> Result<Vec<String>, Away> {
        let mut script = self.due.key(self.redis.key(INDEX_KEY));
        script.arg(self.millis()).arg(BATCH);
        let users: Vec<String> = self.redis.run(&script).await.map_err(away)?;
        let mut ended = Vec::new();
        for user in users {
            let mine = match self.run_script(&self.take_over, &user, host).await? {
                1 => true,
                // The holder has renewed its lease, or will; until then the user is checked again.
                0 => false,
                // Its holders died so long ago that the key has expired: the host that removes the entry reports.
                _ => self.remove_from_index(&user).await?,
            };
            if mine {
                self.schedule_checks(std::slice::from_ref(&user)).await?;
                ended.push(user);
            }
        }
        Ok(ended)
    }
}

fn away(error: Error) -> Away {
    Away(error.to_string())
}
