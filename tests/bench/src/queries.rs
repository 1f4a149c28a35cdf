//! How many database queries the caches save, on a mix of requests of which nine in ten read, and whether a read is ever older
//! than a write that was acknowledged before it began.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use e2e::network::Account;
use e2e::{Value, json};
use http::Method;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Mutex;

use crate::http::engine;
use crate::in_process::InProcess;
use crate::machine::Usage;
use crate::members::{self, HISTORY};
use crate::report::{Report, Row};
use crate::stack;

/// Members who ask, in pairs.
const READERS: usize = 1_000;
/// Requests of the mix, and how many are under way at once.
const REQUESTS: usize = 20_000;
const AT_ONCE: usize = 16;
/// Members of each kind's first request, for which nothing is cached.
const COLD: usize = 10;
/// What the mix is made of.
const SEED: u64 = 18;

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Profile,
    History,
    Connections,
    Feed,
    Edit,
    Message,
}

impl Kind {
    /// Each with its share of a hundred.
    const ALL: [(Kind, u32); 6] = [
        (Kind::Profile, 40),
        (Kind::History, 25),
        (Kind::Connections, 15),
        (Kind::Feed, 10),
        (Kind::Edit, 5),
        (Kind::Message, 5),
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Profile => "own profile",
            Kind::History => "history of 50",
            Kind::Connections => "connections",
            Kind::Feed => "feed",
            Kind::Edit => "profile edit",
            Kind::Message => "message",
        }
    }

    /// For a number below a hundred.
    fn of(mut number: u32) -> Self {
        for (kind, share) in Self::ALL {
            if number < share {
                return kind;
            }
            number -= share;
        }
        Kind::Profile
    }
}

/// A member, and what was acknowledged to it.
struct Reader {
    account: Account,
    /// The number of the newest profile.
    profile: AtomicU64,
    /// The number of the newest message of the pair, which the first one of it keeps.
    message: AtomicI64,
    /// Edits and messages are made one after the other: the newest one is the one with the highest number.
    writing: Mutex<()>,
}

/// The network, and what was found.
struct World {
    host: InProcess,
    readers: Vec<Reader>,
    stale: AtomicU64,
}

impl World {
    fn new(host: InProcess) -> Self {
        let reader = |account: &Account| Reader {
            account: account.clone(),
            profile: AtomicU64::new(0),
            message: AtomicI64::new(HISTORY as i64),
            writing: Mutex::default(),
        };
        let readers = host.members.readers.iter().map(reader).collect();
        Self { host, readers, stale: AtomicU64::new(0) }
    }

    /// Has a member do it.
    async fn perform(&self, kind: Kind, at: usize) -> anyhow::Result<()> {
        // The pairs stand beside each other.
        let (Some(me), Some(other), Some(pair)) =
            (self.readers.get(at), self.readers.get(at ^ 1), self.readers.get(at & !1))
        else {
            anyhow::bail!("there is no member {at}");
        };
        match kind {
            Kind::Profile => {
                let least = me.profile.load(Ordering::SeqCst);
                let user = self.get(me, "/profile/view").await?;
                self.judge(version(&user) >= least);
            }
            Kind::History => {
                let least = pair.message.load(Ordering::SeqCst);
                let page = self.get(me, &format!("/chat/{}/history", other.account.id)).await?;
                let newest = page.pointer("/data").and_then(Value::as_array).and_then(|all| all.last());
                self.judge(newest.and_then(number).is_some_and(|number| number >= least));
            }
            Kind::Connections => {
                let least = other.profile.load(Ordering::SeqCst);
                let page = self.get(me, "/user/connections").await?;
                let mut users = page.pointer("/data").and_then(Value::as_array).into_iter().flatten();
                let shown = users.find(|user| user.get("_id").and_then(Value::as_str) == Some(&*other.account.id));
                self.judge(shown.is_some_and(|user| version(user) >= least));
            }
            Kind::Feed => drop(self.get(me, "/feed").await?),
            Kind::Edit => {
                let _alone = me.writing.lock().await;
                let next = me.profile.load(Ordering::SeqCst) + 1;
                let edit = json!({ "about": next.to_string() });
                self.host.ask(Method::PATCH, "/profile/edit", &me.account, Some(edit)).await?;
                me.profile.store(next, Ordering::SeqCst);
            }
            Kind::Message => {
                let _alone = pair.writing.lock().await;
                let next = pair.message.load(Ordering::SeqCst) + 1;
                self.host.write(&me.account, &other.account.id, &members::text(next)).await?;
                pair.message.store(next, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    async fn get(&self, me: &Reader, path: &str) -> anyhow::Result<Value> {
        self.host.ask(Method::GET, path, &me.account, None).await
    }

    fn judge(&self, fresh: bool) {
        self.stale.fetch_add(u64::from(!fresh), Ordering::SeqCst);
    }
}

/// The number of a profile; 0 before it is edited.
fn version(user: &Value) -> u64 {
    user.get("about").and_then(Value::as_str).and_then(|about| about.parse().ok()).unwrap_or(0)
}

/// The number of a message of [`members::text`].
fn number(message: &Value) -> Option<i64> {
    message.get("text")?.as_str()?.split(':').next()?.parse().ok()
}

/// Members by Zipf's law: the second one asks half as often as the first, the third one a third as often.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let up_to = (1..=count).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self(up_to.collect())
    }

    /// For a number from 0 to 1.
    fn at(&self, share: f64) -> usize {
        let whole = self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum < share * whole).min(self.0.len().saturating_sub(1))
    }
}

/// Runs all of it; about a minute, on servers some more.
pub(crate) fn measure(real: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack))?;
    let about = vec![
        format!(
            "{REQUESTS} requests, {AT_ONCE} at once, of {READERS} members by Zipf's law (exponent 1), through the triggers of a host \
             in the bench's own process. A query is a find, a count or a distinct that the document store is asked, by \
             components or by the host. What a request asks with nothing cached is the mean of {COLD} members' first ones; `saved` is by how \
             much the mix asked less than all of its requests would have asked so. The other figures of the mix are a request."
        ),
        "A read is stale when its profile, its newest message or its connection's profile is older than one that was acknowledged \
         before the request began."
            .to_owned(),
    ];
    Ok(Report { bench: "queries", engine: engine(real), about, rows })
}

async fn all(stack: &e2e::Stack) -> anyhow::Result<Vec<Row>> {
    eprintln!("putting {READERS} members with their messages into the store…");
    let world = Arc::new(World::new(InProcess::open(stack, READERS).await?));
    let (mut rows, mut cold) = (Vec::new(), Vec::new());
    // From the end: those ask least in the mix.
    let mut fresh = (0..READERS).rev().step_by(2);
    for (kind, share) in Kind::ALL {
        let before = world.host.tally();
        for at in fresh.by_ref().take(COLD) {
            world.perform(kind, at).await?;
        }
        let asked = world.host.tally().since(before).queries as f64 / COLD as f64;
        cold.push((kind, asked));
        rows.push(Row::default().with("request", kind.name()).with("% of the mix", share).with("queries, cold", asked));
    }
    eprintln!("{REQUESTS} requests…");
    let (before, calls, used) = (world.host.tally(), world.host.host_calls(), Usage::of(std::process::id()));
    let done = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..AT_ONCE).map(|client| tokio::spawn(ask(world.clone(), client, done.clone()))).collect();
    let mut would = 0.0;
    for client in clients {
        for kind in client.await?? {
            would += cold.iter().find(|(known, _)| *known == kind).map_or(0.0, |(_, asked)| *asked);
        }
    }
    let asked = world.host.tally().since(before);
    let used = used.zip(Usage::of(std::process::id())).map(|(before, after)| after.since(before));
    let a_request = |number: u64| number as f64 / REQUESTS as f64;
    let total = Row::default()
        .with("request", "the mix")
        .with("% of the mix", 100)
        .with("queries, cold", would / REQUESTS as f64)
        .with("queries, asked", a_request(asked.queries))
        .with("saved %", 100.0 * (1.0 - asked.queries as f64 / would))
        .with("stale reads", world.stale.load(Ordering::SeqCst))
        .with("commits", a_request(asked.commits))
        .with("writes", a_request(asked.writes))
        .with("events", a_request(asked.events))
        .with("host calls", a_request(world.host.host_calls() - calls))
        .with_some("page faults", used.map(|used| a_request(used.page_faults)));
    rows.push(total);
    world.host.host.close().await;
    Ok(rows)
}

/// One client; what it did.
async fn ask(world: Arc<World>, client: usize, done: Arc<AtomicU64>) -> anyhow::Result<Vec<Kind>> {
    let (mut random, zipf) = (SmallRng::seed_from_u64(SEED + client as u64), Zipf::new(READERS));
    let mut kinds = Vec::new();
    while done.fetch_add(1, Ordering::Relaxed) < REQUESTS as u64 {
        let (kind, at) = (Kind::of(random.random_range(0..100)), zipf.at(random.random_range(0.0..1.0)));
        world.perform(kind, at).await?;
        kinds.push(kind);
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_in_ten_read() {
        let kinds: Vec<Kind> = (0..100).map(Kind::of).collect();
        let writes = kinds.iter().filter(|kind| matches!(kind, Kind::Edit | Kind::Message)).count();
        assert_eq!((kinds.len(), writes), (100, 10));
        for (kind, share) in Kind::ALL {
            assert_eq!(kinds.iter().filter(|known| **known == kind).count(), share as usize, "{kind:?}");
        }
    }

    #[test]
    fn the_first_member_asks_most() {
        let zipf = Zipf::new(3);
        // 6/11, 3/11, 2/11.
        assert_eq!([0.0, 0.5, 0.6, 0.8, 0.9, 1.0].map(|share| zipf.at(share)), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn a_message_says_its_number() {
        assert_eq!(number(&json!({ "text": members::text(61) })), Some(61));
        assert_eq!((version(&json!({ "about": "7" })), version(&json!({ "about": "Writes." }))), (7, 0));
    }
}
