//! Filling on the embedded store: its results, also with failures and changes meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};

use crate::{Location, Sqlite};
use capability::clocks::Manual;
use capability::documents::{
    Change, Commit, Derived, Documents, Effect, Error, Filled, Filter, MAX_DOCUMENT, Plan, Projection, Query, Schema,
    Sort, Uncached, Write, fill,
};

const SCHEMA: &str = "
[people]
indexes = [{ fields = ['key'], unique = true, where-exists = ['key'] }]
derived = { key = { lower-case = 'mail' } }
[links]
indexes = [{ fields = ['pair'], unique = true, where-exists = ['pair'] }]
derived = { pair = { unordered = ['from', 'to'] } }
[host-markers]
";

fn schema() -> Schema {
    toml::from_str(SCHEMA).unwrap()
}

fn memory() -> Sqlite {
    Sqlite::open(Location::Memory, &schema(), &BTreeMap::new()).unwrap()
}

async fn insert(store: &dyn Documents, collection: &str, documents: impl IntoIterator<Item = Document>) {
    let write = |document| Write::Insert {
        collection: collection.to_owned(),
        document: RawDocumentBuf::try_from(&document).unwrap(),
    };
    let writes = documents.into_iter().map(write).collect();
    store.commit(Commit { writes, events: Vec::new() }).await.unwrap();
}

async fn set(store: &dyn Documents, collection: &str, id: i32, fields: Document) {
    let write = Write::Update {
        collection: collection.to_owned(),
        filter: Filter::from_document(&doc! { "_id": id }).unwrap(),
        change: Change::from_document(&doc! { "$set": fields }).unwrap(),
        upsert: false,
        many: false,
        must_match: true,
    };
    store.commit(Commit { writes: vec![write], events: Vec::new() }).await.unwrap();
}

async fn filled(store: &dyn Documents) -> Vec<Filled> {
    fill(store, &Uncached(store), &schema(), &Manual::at(0), false).await.unwrap()
}

/// The documents of one collection that were read, filled and skipped.
fn counts(filled: &[Filled], collection: &str) -> (i64, i64, i64) {
    let one = filled.iter().find(|filled| filled.collection == collection).unwrap();
    (one.seen, one.filled, one.skipped)
}

/// All documents of a collection, however many.
async fn all(store: &dyn Documents, collection: &str) -> Vec<Document> {
    let mut all = Vec::new();
    loop {
        let query = Query {
            collection: collection.to_owned(),
            filter: Filter::all(),
            sort: Sort::none(),
            projection: Projection::all(),
            skip: u32::try_from(all.len()).unwrap(),
            limit: 1_000,
        };
        let page = store.find(query).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page.iter().map(|raw| Document::try_from(raw.as_ref()).unwrap()));
    }
}

/// `key` by `_id`.
async fn keys(store: &dyn Documents) -> Vec<(Bson, Option<String>)> {
    let key = |document: &Document| document.get_str("key").ok().map(str::to_owned);
    all(store, "people").await.iter().map(|document| (document["_id"].clone(), key(document))).collect()
}

/// A store that injects a fault or a change at one of its calls, counted from 0.
struct Meddled {
    store: Sqlite,
    calls: AtomicU32,
    at: u32,
    what: Meddling,
}

enum Meddling {
    /// The call is not done.
    Fails,
    /// The call is done, but its answer is lost.
    IsSilent,
    /// Just before, the document 1 of `people` gets these fields.
    Changes(Document),
    /// Nothing.
    Nothing,
}

impl Meddled {
    fn new(store: &Sqlite, at: u32, what: Meddling) -> Self {
        Self { store: store.clone(), calls: AtomicU32::new(0), at, what }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn meddle<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let gone = || Err(Error::Unavailable("gone".to_owned()));
        if self.calls.fetch_add(1, Ordering::SeqCst) != self.at {
            return call.await;
        }
        match &self.what {
            Meddling::Fails => gone(),
            Meddling::IsSilent => call.await.and_then(|_| gone()),
            Meddling::Changes(fields) => {
                set(&self.store, "people", 1, fields.clone()).await;
                call.await
            }
            Meddling::Nothing => call.await,
        }
    }
}

#[async_trait]
impl Documents for Meddled {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.meddle(self.store.find(query)).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.meddle(self.store.count(collection, filter, limit)).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.meddle(self.store.distinct(collection, field, filter)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.meddle(self.store.commit(commit)).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.meddle(self.store.explain(query)).await
    }
}

#[test]
fn a_value_is_what_the_rule_says() {
    let value = |rule: &Derived, document: Document| rule.value(&RawDocumentBuf::try_from(&document).unwrap());
    let lower = Derived::LowerCase("mail".to_owned());
    assert_eq!(value(&lower, doc! { "mail": "\u{a0} Ada@ÉXAMPLE.com\n" }).as_deref(), Some("ada@éxample.com"));
    for mail in [Bson::Null, Bson::Int32(5), Bson::from(["a"])] {
        assert_eq!(value(&lower, doc! { "mail": mail }), None);
    }
    assert_eq!(value(&lower, doc! {}), None);
    let pair = Derived::Unordered(["from".to_owned(), "to".to_owned()]);
    let (one, other) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([0xAB; 12]));
    let expected = format!("{}:{}", "01".repeat(12), "ab".repeat(12));
    assert_eq!(value(&pair, doc! { "from": one, "to": other }).as_ref(), Some(&expected));
    assert_eq!(value(&pair, doc! { "from": other, "to": one }).as_ref(), Some(&expected));
    assert_eq!(value(&pair, doc! { "from": other, "to": one.to_hex() }), None);
    assert_eq!(value(&pair, doc! { "from": other }), None);
}

#[tokio::test]
async fn what_is_missing_is_filled_and_nothing_else_changes() {
    let store = memory();
    let there = [
        doc! { "_id": 1, "mail": " A@X ", "more": [1] },
        doc! { "_id": 2, "mail": "B@x", "key": null },
        doc! { "_id": 3, "mail": "C@x", "key": "kept" },
        doc! { "_id": 4, "mail": 5 },
        doc! { "_id": 5 },
    ];
    insert(&store, "people", there.clone()).await;
    let (one, other) = (ObjectId::new(), ObjectId::new());
    insert(&store, "links", [doc! { "_id": 1, "from": one, "to": other }, doc! { "_id": 2, "from": one }]).await;
    let filled = filled(&store).await;
    assert_eq!((counts(&filled, "people"), counts(&filled, "links")), ((5, 2, 0), (2, 1, 0)));
    let mut expected = there;
    expected[0].insert("key", "a@x");
    expected[1].insert("key", "b@x");
    assert_eq!(all(&store, "people").await, expected);
    assert_eq!(all(&store, "links").await[0].get_str("pair").unwrap(), format!("{one}:{other}"));
}

#[tokio::test]
async fn ids_of_every_kind_and_many_pages_are_walked() {
    let store = memory();
    let mut ids: Vec<Bson> = (0..1_300).map(Bson::Int32).collect();
    ids.extend([Bson::Double(-7.5), Bson::from("text"), Bson::from(doc! { "a": 1 }), Bson::Boolean(true)]);
    ids.extend([Bson::from(ObjectId::new()), Bson::from(bson::DateTime::from_millis(-5))]);
    ids.push(Bson::Timestamp(bson::Timestamp { time: 7, increment: 0 }));
    ids.push(Bson::from(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1] }));
    let count = i64::try_from(ids.len()).unwrap();
    insert(&store, "people", ids.iter().enumerate().map(|(n, id)| doc! { "_id": id, "mail": format!("M{n}") })).await;
    assert_eq!(counts(&filled(&store).await, "people"), (count, count, 0));
    assert!(keys(&store).await.iter().all(|(_, key)| key.is_some()));
}

#[tokio::test]
async fn of_those_that_clash_the_first_has_it_and_the_others_are_named() {
    let store = memory();
    insert(&store, "people", [doc! { "_id": "new", "mail": "m7", "key": "m7" }]).await;
    // Ten values, each two hundred times.
    insert(&store, "people", (0..2_000).map(|n| doc! { "_id": n, "mail": format!("M{}", n % 10) })).await;
    assert_eq!(counts(&filled(&store).await, "people"), (2_001, 9, 1_991));
    let have: Vec<Bson> = keys(&store).await.into_iter().filter(|(_, key)| key.is_some()).map(|(id, _)| id).collect();
    let mut expected: Vec<Bson> = [0, 1, 2, 3, 4, 5, 6, 8, 9].map(Bson::Int32).into();
    expected.push(Bson::from("new"));
    assert_eq!(have, expected);
    let marker = &all(&store, "host-markers").await[1];
    assert_eq!(marker.get_str("_id").unwrap(), "derived:people.key=lower-case(mail)");
    let examples: Vec<&str> = marker.get_array("examples").unwrap().iter().filter_map(Bson::as_str).collect();
    assert_eq!((examples.len(), examples[0], examples[1]), (10, "7: the same value as new", "10: the same value as 0"));
}

#[tokio::test]
async fn who_clashes_within_a_page_is_named_too() {
    let store = memory();
    insert(&store, "people", ["A@x", "B@x", "a@X"].iter().zip(1..).map(|(mail, id)| doc! { "_id": id, "mail": *mail }))
        .await;
    assert_eq!(counts(&filled(&store).await, "people"), (3, 2, 1));
    let marker = &all(&store, "host-markers").await[1];
    assert_eq!(marker.get_array("examples").unwrap(), &[Bson::from("3: the same value as 1")]);
}

#[tokio::test]
async fn a_document_that_can_not_take_it_keeps_no_other_from_it() {
    let store = memory();
    let full = |mail: &str| {
        let empty = RawDocumentBuf::try_from(&doc! { "_id": 2, "mail": mail, "pad": "" }).unwrap();
        doc! { "_id": 2, "mail": mail, "pad": "x".repeat(MAX_DOCUMENT - empty.as_bytes().len()) }
    };
    insert(&store, "people", [doc! { "_id": 1, "mail": "A" }, full("B"), doc! { "_id": 3, "mail": "C" }]).await;
    assert_eq!(counts(&filled(&store).await, "people"), (3, 2, 1));
}

#[tokio::test]
async fn a_warm_start_asks_once_a_field() {
    let store = memory();
    insert(&store, "people", (0..3_000).map(|n| doc! { "_id": n, "mail": format!("M{n}") })).await;
    assert_eq!(filled(&store).await.len(), 2);
    let watched = Meddled::new(&store, 0, Meddling::Nothing);
    assert_eq!(filled(&watched).await, []);
    assert_eq!(watched.calls(), 2);
}

#[tokio::test]
async fn what_came_since_is_filled_when_asked_for_again_or_by_another_rule() {
    let store = memory();
    filled(&store).await;
    insert(&store, "people", [doc! { "_id": 1, "mail": "A", "name": "Ada" }]).await;
    assert_eq!(filled(&store).await, []);
    assert_eq!(keys(&store).await, [(Bson::Int32(1), None)]);
    let mut other = schema();
    let rule = Derived::LowerCase("name".to_owned());
    other.collections.get_mut("people").unwrap().derived.insert("key".to_owned(), rule);
    let by_other = fill(&store, &Uncached(&store), &other, &Manual::at(0), false).await.unwrap();
    assert_eq!((by_other.len(), counts(&by_other, "people")), (1, (1, 1, 0)));
    insert(&store, "people", [doc! { "_id": 0, "mail": "B" }]).await;
    let again = fill(&store, &Uncached(&store), &schema(), &Manual::at(0), true).await.unwrap();
    assert_eq!(counts(&again, "people"), (2, 1, 0));
    assert_eq!(filled(&store).await, [], "and that is remembered too");
}

/// Two pages with clashes, a document that has its field, and one that lacks its source.
async fn some(store: &Sqlite) {
    insert(store, "people", (0..700).map(|n| doc! { "_id": n, "mail": format!("M{}", n % 690) })).await;
    insert(store, "people", [doc! { "_id": 800, "mail": "x", "key": "x" }, doc! { "_id": 801 }]).await;
}

#[tokio::test]
async fn a_start_that_breaks_off_anywhere_goes_on_at_the_next() {
    let whole = memory();
    some(&whole).await;
    filled(&whole).await;
    let expected = all(&whole, "people").await;
    let mut breaks = 0;
    for at in 0.. {
        let mut broken = 0;
        for what in [Meddling::Fails, Meddling::IsSilent] {
            let store = memory();
            some(&store).await;
            let meddled = Meddled::new(&store, at, what);
            broken += u32::from(fill(&meddled, &Uncached(&meddled), &schema(), &Manual::at(0), false).await.is_err());
            filled(&store).await;
            assert_eq!(all(&store, "people").await, expected, "call {at}");
            assert_eq!(filled(&store).await, [], "call {at}");
        }
        breaks += broken;
        if broken == 0 {
            break;
        }
    }
    assert!(breaks > 40, "only {breaks} calls were broken off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hosts_at_once_come_to_the_same() {
    let store = memory();
    insert(&store, "people", (0..3_000).map(|n| doc! { "_id": n, "mail": format!("M{}", n % 2_900) })).await;
    let fillings: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            // None of its queries reads a whole collection.
            tokio::spawn(async move { filled(&store.refusing_scans()).await })
        })
        .collect();
    for filling in fillings {
        filling.await.unwrap();
    }
    let keys = keys(&store).await;
    for (n, (_, key)) in keys.iter().enumerate() {
        assert_eq!(key.clone(), (n < 2_900).then(|| format!("m{n}")));
    }
    assert_eq!(filled(&store).await, []);
}

#[tokio::test]
async fn a_document_that_changes_meanwhile_gets_the_field_of_what_it_is() {
    // Before everything, before the page is read, and between its read and its write.
    for at in [0, 13, 14] {
        for (change, key) in [
            (doc! { "mail": "New" }, Some("new")),
            (doc! { "mail": "New", "key": "theirs" }, Some("theirs")),
            (doc! { "mail": 5 }, None),
        ] {
            let store = memory();
            insert(&store, "people", (0..3).map(|n| doc! { "_id": n, "mail": format!("M{n}") })).await;
            let meddled = Meddled::new(&store, at, Meddling::Changes(change));
            filled(&meddled).await;
            let found = all(&store, "people").await.swap_remove(1);
            assert_eq!(found.get_str("key").ok(), key, "call {at}: {found}");
        }
    }
}
