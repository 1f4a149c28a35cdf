//! The cases of leases, by which hosts agree who is there. Each works with users of its own, so that any number of them may
//! share a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use capability::clocks::Manual;
use capability::sockets::leases::{InProcess, Leases};
use store_redis::RedisLeases;
use store_redis::{Options, Redis};

/// How long the leases of the cases last.
const LENGTH: Duration = Duration::from_secs(1);
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Leases under test, and how time passes for them.
pub struct Subject {
    leases: Arc<dyn Leases>,
    /// None: time passes by itself.
    clock: Option<Arc<Manual>>,
    users: String,
}

impl Subject {
    /// Leases in this process, whose time the cases set.
    pub fn embedded() -> Self {
        let clock = Arc::new(Manual::at(1_000_000));
        let leases = InProcess::new(clock.clone(), LENGTH);
        Self { leases: Arc::new(leases), clock: Some(clock), users: String::new() }
    }

    /// Leases on a Redis server or cluster, apart from those of all other cases.
    pub fn redis(url: &str) -> Self {
        let random = capability::random::bytes::<8>();
        let users = random.map(|byte| format!("{byte:02x}")).concat();
        let options = Options { url: url.to_owned(), prefix: format!("conformance:{users}:"), near: Vec::new() };
        let (redis, _) = Redis::open(options).unwrap_or_else(|error| panic!("{error}"));
        Self { leases: Arc::new(RedisLeases::new(redis, LENGTH)), clock: None, users }
    }

    fn user(&self, name: &str) -> String {
        format!("{}{name}", self.users)
    }

    async fn pass(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(u64::try_from(time.as_millis()).unwrap()),
            None => tokio::time::sleep(time).await,
        }
    }

    /// Looks for ended leases on three hosts at once until `count` users were answered; each with the host that got it.
    async fn until_ended(&self, count: usize) -> Vec<(String, &'static str)> {
        let (mut ended, begun) = (Vec::new(), Instant::now());
        while ended.len() < count {
            assert!(begun.elapsed() < PATIENCE, "only {ended:?} have ended");
            self.pass(Duration::from_millis(50)).await;
            let hosts = ["x", "y", "z"];
            let looks = hosts.map(|host| {
                let leases = self.leases.clone();
                tokio::spawn(async move { (host, leases.ended(host).await.unwrap()) })
            });
            for look in looks {
                let (host, users) = look.await.unwrap();
                ended.extend(users.into_iter().map(|user| (user, host)));
            }
        }
        ended
    }
}

/// Of hosts that come and go one is the first and one the last.
pub async fn one_host_is_the_first_and_one_the_last(subject: &Subject) {
    let (leases, user) = (&subject.leases, subject.user("u"));
    assert!(!leases.held(&user).await.unwrap());
    assert!(leases.claim(&user, "a").await.unwrap());
    assert!(leases.claim(&user, "a").await.unwrap(), "its own lease is no other host's");
    assert!(!leases.claim(&user, "b").await.unwrap());
    assert!(!leases.release(&user, "a").await.unwrap());
    assert!(leases.held(&user).await.unwrap());
    assert!(leases.release(&user, "b").await.unwrap());
    assert!(!leases.held(&user).await.unwrap());
    assert!(leases.release(&user, "b").await.unwrap(), "nobody is left");
}

/// However many come at once, one is the first; however many go at once, one is the last.
pub async fn racing_hosts_agree(subject: &Subject) {
    let user = subject.user("u");
    for claims in [true, false] {
        let racing = (0..20).map(|host| {
            let (leases, user) = (subject.leases.clone(), user.clone());
            tokio::spawn(async move {
                let host = format!("host {host}");
                let one = if claims { leases.claim(&user, &host).await } else { leases.release(&user, &host).await };
                one.unwrap()
            })
        });
        let mut ones = 0;
        for one in racing.collect::<Vec<_>>() {
            ones += u32::from(one.await.unwrap());
        }
        assert_eq!(ones, 1, "claims: {claims}");
    }
}

/// What a host that died leaves behind ends by itself and is told by one host; nobody else's users are.
pub async fn what_a_dead_host_leaves_ends_once(subject: &Subject) {
    let leases = &subject.leases;
    let [u, v, w] = ["u", "v", "w"].map(|name| subject.user(name));
    for user in [&u, &v, &w] {
        leases.claim(user, "dead").await.unwrap();
    }
    leases.claim(&w, "alive").await.unwrap();
    let (mut ended, begun) = (Vec::new(), Instant::now());
    while ended.len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "only {ended:?} have ended");
        assert!(leases.renew(std::slice::from_ref(&w), "alive").await.unwrap().is_empty());
        subject.pass(LENGTH / 4).await;
        ended.extend(leases.ended("alive").await.unwrap());
    }
    ended.sort();
    assert_eq!(ended, [u.clone(), v.clone()]);
    for user in [&u, &v] {
        assert!(!leases.held(user).await.unwrap(), "who only tells does not have the user");
        assert!(leases.release(user, "alive").await.unwrap());
    }
    assert!(leases.held(&w).await.unwrap());
    assert_eq!(leases.renew(std::slice::from_ref(&u), "dead").await.unwrap(), [u], "it was taken for dead");
    assert!(leases.release(&w, "alive").await.unwrap(), "a lease that has ended is nobody's");
}

/// Of hosts that look at once each user goes to one; and when that one dies before it has told, to another.
pub async fn who_dies_while_telling_is_taken_over(subject: &Subject) {
    let leases = &subject.leases;
    let users: Vec<String> = (0..20).map(|n| subject.user(&format!("u{n}"))).collect();
    for user in &users {
        leases.claim(user, "dead").await.unwrap();
    }
    for round in 0..2 {
        let ended = subject.until_ended(users.len()).await;
        let mut names: Vec<&String> = ended.iter().map(|(user, _)| user).collect();
        names.sort();
        names.dedup();
        assert_eq!((ended.len(), names.len()), (users.len(), users.len()), "round {round}: {ended:?}");
        if round == 1 {
            for (user, host) in &ended {
                assert!(leases.release(user, host).await.unwrap());
            }
        }
    }
    subject.pass(LENGTH + LENGTH / 2).await;
    assert!(leases.ended("x").await.unwrap().is_empty(), "it is told");
}

/// A user who comes back before anybody told that they went was there all the time.
pub async fn who_is_back_before_it_is_told_was_never_gone(subject: &Subject) {
    let (leases, user) = (&subject.leases, subject.user("u"));
    leases.claim(&user, "dead").await.unwrap();
    subject.pass(LENGTH + LENGTH / 4).await;
    assert!(!leases.held(&user).await.unwrap());
    assert!(!leases.claim(&user, "alive").await.unwrap(), "it was told that they are there");
    assert!(leases.ended("alive").await.unwrap().is_empty());
    assert!(leases.release(&user, "alive").await.unwrap());
}
