//! What is cached beside asking the database for it: a session, a user, who is there, and the recent messages of a pair. It is
//! the host's own work, through its capabilities, one call after the other.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bson::{Document, doc, oid::ObjectId};
use bytes::Bytes;
use capability::cache::{Absence, Cache, Error, Looked, Ttl};
use capability::documents::{Filter, Projection, Query, Sort};
use capability::sessions::{Keys, Sessions};
use http::Method;

use crate::http::engine;
use crate::in_process::InProcess;
use crate::members::{READERS, pair};
use crate::report::{Report, Row};
use crate::spread::{Spread, micros, nanoseconds};
use crate::stack;

/// Calls of each that are timed, in turns with their references, and those before.
const CALLS: usize = 2_000;
const WARM_UP: usize = 200;
/// Messages of a history.
const MESSAGES: u32 = 50;

/// A cache that has nothing and keeps nothing: whoever asks it has to ask the store.
struct Nothing;

#[async_trait]
impl Cache for Nothing {
    async fn look(&self, _: &str) -> Result<Looked, Error> {
        Ok(Looked::Absent(Absence::default()))
    }

    async fn fill(&self, _: &str, _: &Absence, _: Bytes, _: Ttl) -> Result<bool, Error> {
        Ok(false)
    }

    async fn set(&self, _: &str, _: Bytes, _: Ttl) -> Result<(), Error> {
        Ok(())
    }

    async fn set_if_absent(&self, _: &str, _: Bytes, _: Ttl) -> Result<bool, Error> {
        Ok(false)
    }

    async fn compare_and_set(&self, _: &str, _: Option<Bytes>, _: Bytes, _: Ttl) -> Result<bool, Error> {
        Ok(false)
    }

    async fn delete(&self, _: &str) -> Result<bool, Error> {
        Ok(false)
    }

    async fn invalidate(&self, _: &str, _: Ttl) -> Result<(), Error> {
        Ok(())
    }

    async fn increment(&self, _: &str, by: i64, _: Ttl) -> Result<i64, Error> {
        Ok(by)
    }

    async fn push_recent(&self, _: &str, _: Bytes, _: u32, _: Ttl) -> Result<u32, Error> {
        Ok(0)
    }

    async fn fill_recent(&self, _: &str, _: Vec<Bytes>, _: Ttl) -> Result<bool, Error> {
        Ok(false)
    }

    async fn recent(&self, _: &str, _: u32) -> Result<Option<Vec<Bytes>>, Error> {
        Ok(None)
    }
}

/// One thing that is cached, and how many times as fast that should be.
#[derive(Debug, Clone, Copy)]
enum What {
    Session,
    User,
    Presence,
    History,
}

impl What {
    const ALL: [(What, u32); 4] = [(What::Session, 50), (What::User, 15), (What::Presence, 20), (What::History, 20)];

    fn name(self) -> &'static str {
        match self {
            What::Session => "session",
            What::User => "user",
            What::Presence => "presence",
            What::History => "recent history",
        }
    }
}

/// The host with everything cached, and the sessions that ask the store each time.
struct Compared {
    host: InProcess,
    uncached: Sessions,
}

/// Runs all of it; about a minute.
pub(crate) fn measure(real: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stack = stack(real)?;
    let rows = runtime.block_on(all(&stack))?;
    let about = vec![format!(
        "{CALLS} calls of each after {WARM_UP}, one after the other and in turns, of {READERS} members in a host in the bench's own \
         process. Asked of the database: the session by its id, user and hash; the user's document; for presence a user's \
         document by its id with one field; the {MESSAGES} newest messages of a pair by their index."
    )];
    Ok(Report { bench: "sessions", engine: engine(real), about, rows })
}

async fn all(stack: &e2e::Stack) -> anyhow::Result<Vec<Row>> {
    let host = InProcess::open(stack, READERS).await?;
    let uncached = {
        let shared = host.host.registry.engine().shared();
        let rules = shared.application.session.clone();
        let keys = Keys::new(e2e::JWT_SECRET.as_bytes());
        let (documents, clock) = (host.host.documents.clone(), shared.capabilities.clock.clone());
        Sessions::new(rules, keys, Arc::new(Nothing), documents, clock, Arc::default())
    };
    let compared = Compared { host, uncached };
    compared.fill().await?;
    // In a task of the runtime, as calls are.
    let compared = Arc::new(compared);
    let mut rows = Vec::new();
    for (what, wanted) in What::ALL {
        let this = compared.clone();
        let (cached, asked) = tokio::spawn(async move { this.times(what).await }).await??;
        let row = Row::default()
            .with("what", what.name())
            .with("cached p50 µs", micros(cached.p50))
            .with("cached p99 µs", micros(cached.p99))
            .with("database p50 µs", micros(asked.p50))
            .with("database p99 µs", micros(asked.p99))
            .with("times as fast", asked.p50 as f64 / cached.p50.max(1) as f64)
            .with("wanted", wanted);
        rows.push(row);
    }
    compared.host.host.close().await;
    Ok(rows)
}

impl Compared {
    /// Has the components and the session check fill the cache.
    async fn fill(&self) -> anyhow::Result<()> {
        for [one, other] in self.host.members.pairs() {
            for (me, other) in [(&one, &other), (&other, &one)] {
                let history = format!("/chat/{}/history", other.id);
                for path in ["/profile/view", history.as_str()] {
                    self.host.ask(Method::GET, path, me, None).await?;
                }
            }
        }
        Ok(())
    }

    /// The times of both ways, of which each comes first as often as the other.
    async fn times(&self, what: What) -> anyhow::Result<(Spread, Spread)> {
        let (mut cached, mut asked) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        for number in 0..WARM_UP + CALLS {
            for first in [number % 2 == 0, number % 2 != 0] {
                let begun = Instant::now();
                if first {
                    self.cached(what, number).await?
                } else {
                    self.asked(what, number).await?
                }
                let time = nanoseconds(begun.elapsed());
                if number >= WARM_UP {
                    if first { cached.push(time) } else { asked.push(time) }
                }
            }
        }
        Ok((Spread::of(cached), Spread::of(asked)))
    }

    async fn cached(&self, what: What, number: usize) -> anyhow::Result<()> {
        let (me, other) = self.readers(number)?;
        let capabilities = &self.host.host.registry.engine().shared().capabilities;
        match what {
            What::Session => {
                let identity = capabilities.sessions.check(&me.token).await?;
                ensure!(identity.is_some(), "a session is not valid");
            }
            What::User => {
                let user = capabilities.cache.get(&format!("user:{}", me.id)).await?;
                ensure!(user.is_some(), "a user is not cached");
            }
            // Of somebody who is not there, for which the leases are looked at as well.
            What::Presence => ensure!(!capabilities.sockets.online(&me.id).await?, "somebody is there"),
            What::History => {
                let pair = pair(ObjectId::parse_str(&me.id)?, ObjectId::parse_str(&other.id)?);
                let list = capabilities.cache.recent(&format!("recent:{pair}"), MESSAGES).await?;
                let length = list.map_or(0, |list| list.len());
                ensure!(length == MESSAGES as usize, "{length} messages of a pair are cached");
            }
        }
        Ok(())
    }

    async fn asked(&self, what: What, number: usize) -> anyhow::Result<()> {
        let (me, other) = self.readers(number)?;
        let id = ObjectId::parse_str(&me.id)?;
        let found = match what {
            What::Session => usize::from(self.uncached.check(&me.token).await?.is_some()),
            What::User => self.find("users", doc! { "_id": id }, Sort::none(), Projection::all(), 1).await?,
            What::Presence => {
                let wanted = Projection::from_document(&doc! { "updatedAt": 1 })?;
                self.find("users", doc! { "_id": id }, Sort::none(), wanted, 1).await?
            }
            What::History => {
                let pair = pair(id, ObjectId::parse_str(&other.id)?);
                let order = Sort::from_document(&doc! { "ts": -1, "seq": -1, "_id": -1 })?;
                let all = self.find("messages", doc! { "pair": pair }, order, Projection::all(), MESSAGES).await?;
                usize::from(all == MESSAGES as usize)
            }
        };
        ensure!(found == 1, "the {} is not there", what.name());
        Ok(())
    }

    async fn find(
        &self,
        collection: &str,
        filter: Document,
        sort: Sort,
        projection: Projection,
        limit: u32,
    ) -> anyhow::Result<usize> {
        let query = Query { sort, projection, limit, ..Query::all(collection, Filter::from_document(&filter)?) };
        Ok(self.host.host.documents.find(query).await?.len())
    }

    /// A member, and the other one of its pair.
    fn readers(&self, number: usize) -> anyhow::Result<(&e2e::network::Account, &e2e::network::Account)> {
        let (readers, at) = (&self.host.members.readers, number % READERS);
        readers.get(at).zip(readers.get(at ^ 1)).context("there are members")
    }
}
