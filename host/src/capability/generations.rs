//! Generations: effects of events that are built anew beside those that are read, and take their place when they have come
//! as far.
//!
//! A component whose collections are `rebuilt-by` it has two slots of each, and a document that says which generation is read
//! and which one is being built. The commits that change it demand what they change: of two hosts or operators one does. A
//! crash while a slot is cleared leaves a generation that is told nothing, until an operator begins again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, doc};

use super::documents::{Commit, Documents, Error, Filter, Projection, Query, Write, date};

/// Where the documents are. A collection of the host, not of the application.
pub(crate) const COLLECTION: &str = "host-generations";
/// What the second slot of a collection has behind its name.
pub(crate) const SECOND: &str = "-b";
/// For how long after a switch the slot that was read before is left alone: hosts that have not heard of it finish there.
const REST: Duration = Duration::from_secs(10);

/// Which generation of a component's effects is read, and which one is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    /// The one that is read.
    pub serving: u64,
    /// The one that is told what happened from the beginning.
    pub building: Option<u64>,
}

/// Why a generation is not begun.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One is being built, or was a moment ago.
    #[error("{0}")]
    Conflict(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

/// What is known of all components. Those that were never rebuilt are in their first generation, 0.
pub struct Generations {
    documents: Arc<dyn Documents>,
    known: ArcSwap<BTreeMap<String, Generation>>,
}

/// The group of consumers, and the name in the marks, of a generation of a component.
pub fn group(component: &str, generation: u64) -> String {
    if generation == 0 { component.to_owned() } else { format!("{component}~{generation}") }
}

/// Where a generation has its documents of a collection.
pub fn slot(collection: &str, generation: u64) -> String {
    if generation.is_multiple_of(2) { collection.to_owned() } else { format!("{collection}{SECOND}") }
}

impl Generations {
    /// As these documents have them; nothing is known before the first look.
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents, known: ArcSwap::default() }
    }

    /// One component's, as it was at the last look.
    pub fn of(&self, component: &str) -> Generation {
        self.known.load().get(component).copied().unwrap_or_default()
    }

    /// Looks what other hosts have begun and switched.
    pub async fn look(&self) -> Result<(), Error> {
        let rows = self.documents.find(Query::all(COLLECTION, Filter::from_document(&doc! {})?)).await?;
        let known = rows.iter().filter_map(|row| {
            let number = |name: &str| u64::try_from(row.get_i64(name).ok()?).ok();
            let cleared = row.get_object_id("clearing").is_err();
            let generation =
                Generation { serving: number("serving")?, building: number("building").filter(|_| cleared) };
            Some((row.get_str("_id").ok()?.to_owned(), generation))
        });
        let known: BTreeMap<_, _> = known.collect();
        if **self.known.load() != known {
            self.known.store(Arc::new(known));
        }
        Ok(())
    }

    /// Begins a generation of a component with nothing in these collections; answers its number.
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

    /// Has a generation that has come far enough be read; false when another host was first.
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

    /// Says that the next generation is being cleared, by nobody else.
    async fn claim(&self, component: &str, serving: u64, mine: ObjectId, now: u64) -> Result<(), Refusal> {
        let first = RawDocumentBuf::try_from(&doc! { "_id": component, "serving": 0_i64, "switched": date(0) })
            .map_err(|error| Error::Invalid(error.to_string()))?;
        match self.commit(vec![Write::Insert { collection: COLLECTION.to_owned(), document: first }]).await {
            Ok(()) | Err(Error::Duplicate { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let rested = date(now.saturating_sub(u64::try_from(REST.as_millis()).unwrap_or(u64::MAX)));
        // Nothing is being built, or only cleared, by somebody who may have died with it.
        let free = [doc! { "building": null }, doc! { "clearing": { "$exists": true } }].map(Bson::Document);
        let from = doc! { "serving": signed(serving), "switched": { "$lte": rested }, "$or": free.to_vec() };
        let change = doc! { "$set": { "building": signed(serving + 1), "clearing": mine } };
        self.commit(vec![self.change(component, from, change)?]).await.map_err(|error| taken(component, error))
    }

    /// Takes away everything in a slot, some at a time, as long as nobody else clears it.
    async fn clear(&self, component: &str, mine: ObjectId, slot: &str) -> Result<(), Refusal> {
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
            let still = self.change(component, doc! { "clearing": mine }, doc! { "$set": { "clearing": mine } })?;
            let gone = Write::Delete { collection: slot.to_owned(), filter, many: true, must_match: false };
            self.commit(vec![still, gone]).await.map_err(|error| taken(component, error))?;
        }
    }

    /// A change of a component's document that is refused when it is not as `from` says.
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
            "{component} is being rebuilt, or was less than {REST:?} ago; see `devconnect events lag`"
        )),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::documents::{Collection, Embedded, Location, Schema};

    const NOW: u64 = 1_768_478_400_000;

    fn store() -> Arc<Embedded> {
        let names = [COLLECTION, "counts", "counts-b"];
        let collections = names.map(|name| (name.to_owned(), Collection::default())).into();
        Arc::new(Embedded::open(Location::Memory, &Schema { collections }, &BTreeMap::new()).unwrap())
    }

    async fn put(store: &Embedded, collection: &str, count: i32) {
        let insert = |id: i32| Write::Insert {
            collection: collection.to_owned(),
            document: RawDocumentBuf::try_from(&doc! { "_id": id }).unwrap(),
        };
        store.commit(Commit { writes: (0..count).map(insert).collect(), events: Vec::new() }).await.unwrap();
    }

    async fn count(store: &Embedded, collection: &str) -> u64 {
        store.count(collection, Filter::from_document(&doc! {}).unwrap(), 0).await.unwrap()
    }

    #[tokio::test]
    async fn a_generation_begins_with_nothing_and_is_read_when_it_is_switched_to() {
        let store = store();
        let (one, other) = (Generations::new(store.clone()), Generations::new(store.clone()));
        put(&store, "counts", 3).await;
        put(&store, "counts-b", 1_500).await;
        assert_eq!(one.begin("c", &["counts"], NOW).await.unwrap(), 1);
        assert_eq!((count(&store, "counts").await, count(&store, "counts-b").await), (3, 0));
        assert!(matches!(other.begin("c", &["counts"], NOW).await, Err(Refusal::Conflict(_))));
        assert_eq!(other.of("c"), Generation { serving: 0, building: Some(1) });
        assert!(other.switch("c", 1, NOW).await.unwrap());
        assert!(!one.switch("c", 1, NOW).await.unwrap());
        assert_eq!(one.of("c"), Generation { serving: 1, building: None });
        assert_eq!((slot("counts", 1), group("c", 1)), ("counts-b".to_owned(), "c~1".to_owned()));
        // What was read a moment ago may still be written to.
        assert!(matches!(one.begin("c", &["counts"], NOW + 9_999).await, Err(Refusal::Conflict(_))));
        assert_eq!(one.begin("c", &["counts"], NOW + 10_000).await.unwrap(), 2);
        assert_eq!(count(&store, "counts").await, 0);
    }

    #[tokio::test]
    async fn a_host_that_dies_while_it_clears_leaves_what_another_can_begin() {
        let store = store();
        let (dead, other) = (Generations::new(store.clone()), Generations::new(store.clone()));
        put(&store, "counts-b", 5).await;
        let mine = ObjectId::new();
        dead.claim("c", 0, mine, NOW).await.unwrap();
        other.look().await.unwrap();
        assert_eq!(other.of("c"), Generation::default(), "nobody is told to a slot that is not empty");
        assert_eq!(other.begin("c", &["counts"], NOW).await.unwrap(), 1);
        put(&store, "counts-b", 2).await;
        assert!(matches!(dead.clear("c", mine, "counts-b").await, Err(Refusal::Conflict(_))), "it was not dead");
        assert_eq!(count(&store, "counts-b").await, 2);
    }
}
