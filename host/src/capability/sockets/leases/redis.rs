//! Leases in Redis, shared by all hosts.
//!
//! `presence:{user}` is a sorted set of hosts by the moment their lease ends; one script at a time decides there. The
//! sorted set `presences` says which users to look at, and when: in a cluster it is on another node, so it is written
//! before the user's own key and taken back after, and one entry too many only costs a look. Times are Redis' own.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;
use futures_util::future::join_all;

use super::{Away, Leases};
use crate::capability::redis::{Error, Redis};

/// Ended leases that are looked at in one go.
const AT_ONCE: u32 = 500;
/// Scripts that wait for their answer at once.
const IN_FLIGHT: usize = 64;
/// The sorted set of users that somebody said were there.
const INDEX: &str = "presences";

/// What the scripts have in common: the time, and what becomes of a key. It stays for twice the length of a lease, so that
/// there is time to notice that its holders died.
const TIME: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local length = tonumber(ARGV[1])
    local function keep(host)
        redis.call('ZADD', KEYS[1], now + length, host)
        redis.call('PEXPIRE', KEYS[1], 2 * length)
    end
";

/// ARGV[2] has the user; 1 when nobody said so before.
const CLAIM: &str = "
    local first = 1
    for _, holder in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if holder ~= ARGV[2] then first = 0 end
        if string.sub(holder, 1, 1) == '!' then redis.call('ZREM', KEYS[1], holder) end
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    keep(ARGV[2])
    return first";

/// ARGV[2] does not have the user any more; 1 when no other host has.
const RELEASE: &str = "
    redis.call('ZREM', KEYS[1], ARGV[2], '!' .. ARGV[2])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    return redis.call('EXISTS', KEYS[1]) == 0 and 1 or 0";

/// ARGV[2] still has the user; 0 when nothing is known of that.
const RENEW: &str = "
    if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
    keep(ARGV[2])
    return 1";

/// 1 when a host has the user.
const HELD: &str = "
    for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
        if string.sub(holder, 1, 1) ~= '!' then return 1 end
    end
    return 0";

/// ARGV[2] takes over to tell that the user went: 1 when it may. 0 when a host still has the user, or tells already; -1
/// when nothing is known of the user.
const TAKE: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    keep('!' .. ARGV[2])
    return 1";

/// In the index: the users ARGV[2…] are to be looked at after the length of a lease.
const LOOK_LATER: &str = "
    for at = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', now + length, ARGV[at]) end
    return 1";

/// In the index: the users to be looked at by now, ARGV[2] at most.
const LOOK_NOW: &str = "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])";

/// The leases of all hosts on one Redis.
pub struct InRedis {
    redis: Arc<Redis>,
    length: Duration,
    claim: Script,
    release: Script,
    renew: Script,
    held: Script,
    take: Script,
    look_later: Script,
    look_now: Script,
}

impl InRedis {
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
            take: script(TAKE),
            look_later: script(LOOK_LATER),
            look_now: script(LOOK_NOW),
        }
    }

    async fn decide(&self, script: &Script, user: &str, host: &str) -> Result<i64, Away> {
        let mut script = script.key(self.redis.key(&format!("presence:{user}")));
        script.arg(self.millis()).arg(host);
        self.redis.run(&script).await.map_err(away)
    }

    async fn look_later(&self, users: &[String]) -> Result<(), Away> {
        for some in users.chunks(AT_ONCE as usize) {
            let mut script = self.look_later.key(self.redis.key(INDEX));
            script.arg(self.millis()).arg(some);
            self.redis.run::<()>(&script).await.map_err(away)?;
        }
        Ok(())
    }

    /// Takes a user out of the index; true for the one who did.
    async fn strike(&self, user: &str) -> Result<bool, Away> {
        let mut command = ::redis::cmd("ZREM");
        command.arg(self.redis.key(INDEX)).arg(user);
        self.redis.ask(&command).await.map_err(away)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Leases for InRedis {
    fn length(&self) -> Duration {
        self.length
    }

    async fn claim(&self, user: &str, host: &str) -> Result<bool, Away> {
        self.look_later(&[user.to_owned()]).await?;
        Ok(self.decide(&self.claim, user, host).await? == 1)
    }

    async fn release(&self, user: &str, host: &str) -> Result<bool, Away> {
        let last = self.decide(&self.release, user, host).await? == 1;
        if last {
            self.strike(user).await?;
        }
        Ok(last)
    }

    async fn renew(&self, users: &[String], host: &str) -> Result<Vec<String>, Away> {
        self.look_later(users).await?;
        let mut unknown = Vec::new();
        for some in users.chunks(IN_FLIGHT) {
            let renewed = join_all(some.iter().map(|user| self.decide(&self.renew, user, host))).await;
            for (user, renewed) in some.iter().zip(renewed) {
                if renewed? == 0 {
                    unknown.push(user.clone());
                }
            }
        }
        Ok(unknown)
    }

    async fn held(&self, user: &str) -> Result<bool, Away> {
        Ok(self.decide(&self.held, user, "").await? == 1)
    }

    async fn ended(&self, host: &str) -> Result<Vec<String>, Away> {
        let mut script = self.look_now.key(self.redis.key(INDEX));
        script.arg(self.millis()).arg(AT_ONCE);
        let users: Vec<String> = self.redis.run(&script).await.map_err(away)?;
        let mut ended = Vec::new();
        for user in users {
            let mine = match self.decide(&self.take, &user, host).await? {
                1 => true,
                // Whoever has the user, or tells, has lengthened or will; until then it is looked at again.
                0 => false,
                // Its holders died so long ago that nothing is left but this entry: who strikes it tells.
                _ => self.strike(&user).await?,
            };
            if mine {
                self.look_later(std::slice::from_ref(&user)).await?;
                ended.push(user);
            }
        }
        Ok(ended)
    }
}

fn away(error: Error) -> Away {
    Away(error.to_string())
}
