//! Generations: effects of events that are rebuilt next to those that are served, and replace them once they have caught up.
//!
//! A component whose collections are `rebuilt-by` it has two slots of each, and a document that says which generation is
//! served and which one is being built. Commits change it by compare-and-set: of two hosts or operators one succeeds. A
//! crash while a slot is cleared leaves a generation that gets no events, until an operator begins again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, doc};
use tokio::sync::Notify;

use crate::documents::{Commit, Documents, Error, Filter, Projection, Query, Write, date};

/// The collection of these documents. It is the host's, not the application's.
pub const COLLECTION: &str = "host-generations";
/// The suffix of a collection's second slot.
pub const SECOND: &str = "-b";
/// For how long after a switch the slot that was served before is not cleared: hosts that do not know of the switch yet
/// still use it.
const DRAIN: Duration = Duration::from_secs(10);

/// Which generation of a component's effects is served, and which one is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    /// The one that is served.
    pub serving: u64,
    /// The one that gets the events from the beginning of the log.
    pub building: Option<u64>,
}

/// Why a generation is not started.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One is being built, or was less than 10 s ago.
    #[error("{0}")]
    Conflict(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The generations of all components. Those that were never rebuilt are in their first generation, 0.
pub struct Generations {
    documents: Arc<dyn Documents>,
    known: ArcSwap<BTreeMap<String, Generation>>,
    /// Notified when what is known has changed.
    changed: Notify,
}

/// The consumer group, and the name in the marks, of a generation of a component.
pub fn group(component: &str, generation: u64) -> String {
    if generation == 0 { component.to_owned() } else { format!("{component}~{generation}") }
}

/// The collection that has a generation's documents.
pub fn slot(collection: &str, generation: u64) -> String {
    if generation.is_multiple_of(2) { collection.to_owned() } else { format!("{collection}{SECOND}") }
}

impl Generations {
    /// The generations in these documents; nothing is known before the first [`Generations::look`].
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents, known: ArcSwap::default(), changed: Notify::new() }
    }

    /// One component's, as of the last [`Generations::look`].
    pub fn of(&self, component: &str) -> Generation {
        self.known.load().get(component).copied().unwrap_or_default()
    }

    /// Reads what other hosts have started and switched.
    pub async fn look(&self) -> Result<(), Error> {
        let found = self.documents.find(Query::all(COLLECTION, Filter::from_document(&doc! {})?)).await?;
        let known = found.iter().filter_map(|document| {
            let number = |name: &str| u64::try_from(document.get_i64(name).ok()?).ok();
            let cleared = document.get_object_id("clearing").is_err();
            let generation =
                Generation { serving: number("serving")?, building: number("building").filter(|_| cleared) };
            Some((document.get_str("_id").ok()?.to_owned(), generation))
        });
        let known: BTreeMap<_, _> = known.collect();
        if **self.known.load() != known {
            self.known.store(Arc::new(known));
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Returns when a [`Generations::look`] of this host has found a change since the last call. It has one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether one is being built, as of the last [`Generations::look`].
    pub fn is_any_built(&self) -> bool {
        self.known.load().values().any(|generation| generation.building.is_some())
    }

    /// Starts a generation of a component with these collections empty; returns its number.
    pub async fn begin(&self, component: &str, collections: &[&str], now: u64) -> Result<u64, Refusal> {
        self.look().await?;
        let Generation { serving, building } = self.of(component);
        if let Some(building) = building {
            return Err(Refusal::Conflict(format!("generation {building} of {component} is being built")));
        }
        let (next, mine) = (serving + 1, ObjectId::new());
        self.claim(component, serving, mine, now).await?;
        for collection in collections {
            self.clear(component, mine, &slot(collection, next)).await?;
        }
        let done = self.change(component, doc! { "clearing": mine }, doc! { "$unset": { "clearing": 1 } })?;
        self.commit(vec![done]).await.map_err(|error| taken(component, error))?;
        self.look().await?;
        Ok(next)
    }

    /// Serves a generation that has caught up; false when another host was first.
    pub async fn switch(&self, component: &str, to: u64, now: u64) -> Result<bool, Error> {
        let from = doc! { "building": signed(to), "clearing": null };
        let change = doc! { "$set": { "serving": signed(to), "switched": date(now) }, "$unset": { "building": 1 } };
        let switched = match self.commit(vec![self.change(component, from, change)?]).await {
            Err(Error::Unmet(_)) => false,
            done => done.map(|()| true)?,
        };
        self.look().await?;
        Ok(switched)
    }

    /// Claims the clearing of the next generation for this host. The first step of [`Generations::begin`].
    ///
    /// # Errors
    /// Another host clears it, or the document store does not answer.
    pub async fn claim(&self, component: &str, serving: u64, mine: ObjectId, now: u64) -> Result<(), Refusal> {
        let first = RawDocumentBuf::try_from(&doc! { "_id": component, "serving": 0_i64, "switched": date(0) })
            .map_err(|error| Error::Invalid(error.to_string()))?;
        match self.commit(vec![Write::Insert { collection: COLLECTION.to_owned(), document: first }]).await {
            Ok(()) | Err(Error::Duplicate { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let drained = date(now.saturating_sub(u64::try_from(DRAIN.as_millis()).unwrap_or(u64::MAX)));
        // Nothing is being built, or a host that may have died was clearing.
        let free = [doc! { "building": null }, doc! { "clearing": { "$exists": true } }].map(Bson::Document);
        let from = doc! { "serving": signed(serving), "switched": { "$lte": drained }, "$or": free.to_vec() };
        let change = doc! { "$set": { "building": signed(serving + 1), "clearing": mine } };
        self.commit(vec![self.change(component, from, change)?]).await.map_err(|error| taken(component, error))
    }

    /// Deletes everything in a slot, a batch at a time, as long as the claim is still this host's. The second step of
    /// [`Generations::begin`].
    ///
    /// # Errors
    /// Another host has claimed it since, or the document store does not answer.
    pub async fn clear(&self, component: &str, mine: ObjectId, slot: &str) -> Result<(), Refusal> {
        loop {
            let query = Query {
                projection: Projection::from_document(&doc! { "_id": 1 })?,
                ..Query::all(slot, Filter::from_document(&doc! {})?)
            };
            let found = self.documents.find(query).await?;
            let ids = found.iter().filter_map(|found| found.get("_id").ok().flatten()?.try_into().ok());
            let ids: Vec<Bson> = ids.collect();
            if ids.is_empty() {
                return Ok(());
            }
            let filter = Filter::from_document(&doc! { "_id": { "$in": ids } })?;
            let claimed = self.change(component, doc! { "clearing": mine }, doc! { "$set": { "clearing": mine } })?;
            let delete = Write::Delete { collection: slot.to_owned(), filter, many: true, must_match: false };
            self.commit(vec![claimed, delete]).await.map_err(|error| taken(component, error))?;
        }
    }

    /// A change of a component's document that is refused when the document does not match `from`.
    fn change(&self, component: &str, mut from: Document, change: Document) -> Result<Write, Error> {
        from.insert("_id", component);
        Write::change_known(COLLECTION, &from, &change)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        self.documents.commit(Commit { writes, events: Vec::new() }).await.map(drop)
    }
}

fn signed(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}

fn taken(component: &str, error: Error) -> Refusal {
    match error {
        Error::Unmet(_) => Refusal::Conflict(format!(
            "{component} is being rebuilt, or was less than {DRAIN:?} ago; see `devconnect events lag`"
        )),
        error => error.into(),
    }
}
