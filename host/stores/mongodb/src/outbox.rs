//! The outbox in a MongoDB, in the database of the documents.
//!
//! The rows of a lane (a topic and a key) are ordered by the time of the cluster, as the server tells it in the transaction of
//! their commit, and by their place in that transaction. So a commit is behind those that it sees, which are all that were
//! acknowledged before it began, on whatever host; no document counts, and commits that do not depend on each other do not wait
//! for each other. Rows of earlier programs have whole numbers, which sort first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::mongodb::options::{ReadConcern, ReturnDocument};
use ::mongodb::{ClientSession, Collection, Database};
use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawArrayBuf, RawDocumentBuf, Timestamp, doc};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::refusal::outcome;
use crate::writes::{INSERT, command};
use crate::{MAX_TIME, MongoDb, Shared, Stop, is_duplicate, store_error};
use capability::documents;
use capability::documents::Schema;

use capability::events::{Error, Event, Outbox, Shards, Waiting, partitions, shard, validate};

/// The rows.
const ROWS: &str = "outbox";
/// The lease of each shard: its holder and its expiry.
const LEASES: &str = "outboxleases";

/// The collections of the outbox and the keys of their unique indexes.
pub(crate) const OUTBOX_INDEXES: [(&str, &[&str]); 2] = [(ROWS, &["shard", "lane", "number"]), (LEASES, &[])];

/// The most bytes of rows in one command.
const MAX_COMMAND: usize = 12 << 20;
/// The most rows that one call returns.
const MAX_WAITING: u32 = 1_000;
/// The shard of events whose topic is gone. No relay moves it.
const ASIDE: i64 = -1;
/// A lane gets one of this many parts of a batch before the other lanes were read.
const PARTS: usize = 8;

/// Refuses a schema that has a collection of the outbox.
pub(crate) fn check_outbox_names(schema: &Schema) -> Result<(), documents::Error> {
    match OUTBOX_INDEXES.iter().find(|(name, _)| schema.collections.contains_key(*name)) {
        Some((name, _)) => Err(documents::Error::Invalid(format!("the collection `{name}` is the host's own"))),
        None => Ok(()),
    }
}

/// Puts events into the outbox in order, in the transaction of a session.
pub(crate) async fn enqueue(
    database: &Database,
    session: &mut ClientSession,
    topics: &BTreeMap<String, u32>,
    events: &[&Event],
) -> Result<(), Stop> {
    if events.is_empty() {
        return Ok(());
    }
    for event in events {
        validate(topics, event).map_err(|error| documents::Error::Invalid(error.to_string()))?;
    }
    let at = time(database, session).await?;
    let mut places: BTreeMap<String, i32> = BTreeMap::new();
    let (mut rows, mut bytes) = (RawArrayBuf::new(), 0);
    for event in events {
        let lane = lane(event);
        let place = places.entry(lane.clone()).or_default();
        let row = RawDocumentBuf::try_from(&row(&lane, doc! { "at": at, "place": *place }, event));
        let row = row.map_err(|error| documents::Error::Invalid(error.to_string()))?;
        *place += 1;
        bytes += row.as_bytes().len();
        if bytes > MAX_COMMAND {
            insert(database, session, std::mem::replace(&mut rows, RawArrayBuf::new())).await?;
            bytes = row.as_bytes().len();
        }
        rows.push(row);
    }
    insert(database, session, rows).await
}

/// The time of the cluster after the first command of a session's transaction. Every commit that the transaction sees has an
/// earlier one, and the transaction itself commits at a later one.
async fn time(database: &Database, session: &mut ClientSession) -> Result<Timestamp, Stop> {
    if session.cluster_time().is_none() {
        // The transaction sees nothing before its first command.
        let rows: Collection<RawDocumentBuf> = database.collection(ROWS);
        rows.find_one(doc! { "_id": Bson::Null }).max_time(MAX_TIME).session(&mut *session).await.map(drop)?;
    }
    let time = session.cluster_time().and_then(|time| bson::serialize_to_document(time).ok());
    let time = time.and_then(|time| time.get_timestamp("clusterTime").ok());
    time.ok_or_else(|| documents::Error::Unavailable("MongoDB does not tell the cluster's time".to_owned()).into())
}

async fn insert(database: &Database, session: &mut ClientSession, rows: RawArrayBuf) -> Result<(), Stop> {
    let reply = database.run_raw_command(command(&INSERT, ROWS, rows)).session(session).await;
    match outcome(reply, &documents::Collection::default(), |row| row) {
        // Another commit to the same lane, which this one does not depend on, has the same time.
        Err(Stop::Refused(documents::Error::Duplicate { .. })) => Err(Stop::Conflict),
        done => done.map(drop),
    }
}

/// The unit of order. Two keys that share a lane because of a slash in a topic's name are ordered with each other, too.
fn lane(event: &Event) -> String {
    format!("{}/{}", event.topic, event.key)
}

fn row(lane: &str, number: Document, event: &Event) -> Document {
    let headers: Vec<Bson> =
        event.headers.iter().map(|(name, value)| doc! { "name": name, "value": value }.into()).collect();
    doc! {
        "_id": ObjectId::new(),
        "shard": i64::from(shard(&event.key)),
        "lane": lane,
        "number": number,
        "id": &event.id,
        "topic": &event.topic,
        "key": &event.key,
        "kind": &event.kind,
        "value": Binary { subtype: BinarySubtype::Generic, bytes: event.value.clone() },
        "headers": headers,
        "at": event.at.cast_signed(),
    }
}

fn event(row: &Document) -> Option<Event> {
    let text = |name: &str| row.get_str(name).map(str::to_owned).ok();
    let headers = row.get_array("headers").ok()?.iter().filter_map(Bson::as_document);
    let pair =
        |header: &Document| Some((header.get_str("name").ok()?.to_owned(), header.get_str("value").ok()?.to_owned()));
    Some(Event {
        id: text("id")?,
        topic: text("topic")?,
        key: text("key")?,
        kind: text("kind")?,
        value: row.get_binary_generic("value").ok()?.clone(),
        headers: headers.filter_map(pair).collect(),
        at: row.get_i64("at").ok()?.cast_unsigned(),
    })
}

/// One read of a shard's rows, lane after lane.
struct Round<'a> {
    rows: Collection<Document>,
    shard: u32,
    max: usize,
    /// The most rows of one lane.
    share: usize,
    shared: &'a Shared,
    /// By lane, in the order of their numbers.
    found: Vec<(String, Vec<Waiting>)>,
    count: usize,
}

impl Round<'_> {
    /// The lane at which the last round ended, so that other lanes come first now.
    fn begin(&self) -> String {
        let last_lanes = self.shared.last_lanes.lock();
        last_lanes.ok().and_then(|lanes| lanes.get(&self.shard).cloned()).unwrap_or_default()
    }

    fn end(&self, last: &str) {
        if let Ok(mut last_lanes) = self.shared.last_lanes.lock() {
            last_lanes.insert(self.shard, last.to_owned());
        }
    }

    /// All rows of the shard, unless they are more than `max`.
    async fn all(&self) -> Result<Option<Vec<Waiting>>, Error> {
        let found = self
            .rows
            .find(doc! { "shard": i64::from(self.shard) })
            .sort(doc! { "shard": 1, "lane": 1, "number": 1 })
            .limit(i64::try_from(self.max + 1).unwrap_or(i64::MAX))
            .max_time(MAX_TIME)
            .read_concern(ReadConcern::snapshot());
        let mut cursor = found.await.map_err(unavailable)?;
        let mut all = Vec::new();
        while cursor.advance().await.map_err(unavailable)? {
            all.push(waiting(&cursor.deserialize_current().map_err(unavailable)?)?);
        }
        Ok((all.len() <= self.max).then_some(all))
    }

    /// Reads the lanes of a range, at most a share of each. A lane is read from one snapshot: no row is missed while a later
    /// one is seen.
    async fn read(&mut self, above: Option<&str>, up_to: Option<&str>) -> Result<(), Error> {
        let mut above = above.map(str::to_owned);
        while self.count < self.max {
            let mut lanes = Document::new();
            lanes.extend(above.iter().map(|lane| ("$gt".to_owned(), Bson::String(lane.clone()))));
            lanes.extend(up_to.iter().map(|lane| ("$lte".to_owned(), Bson::String((*lane).to_owned()))));
            let mut filter = doc! { "shard": i64::from(self.shard) };
            if !lanes.is_empty() {
                filter.insert("lane", lanes);
            }
            match self.read_until_a_lane_has_its_share(filter).await? {
                Some(lane) => above = Some(lane),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Returns the lane that has more rows than its share.
    async fn read_until_a_lane_has_its_share(&mut self, filter: Document) -> Result<Option<String>, Error> {
        let left = i64::try_from(self.max - self.count).unwrap_or(i64::MAX);
        let found = self
            .rows
            .find(filter)
            .sort(doc! { "shard": 1, "lane": 1, "number": 1 })
            .limit(left)
            .max_time(MAX_TIME)
            .read_concern(ReadConcern::snapshot());
        let mut cursor = found.await.map_err(unavailable)?;
        while cursor.advance().await.map_err(unavailable)? {
            let row = cursor.deserialize_current().map_err(unavailable)?;
            let lane = row.get_str("lane").unwrap_or_default();
            if self.found.last().is_none_or(|(last, _)| last != lane) {
                self.found.push((lane.to_owned(), Vec::new()));
            }
            let Some((lane, rows)) = self.found.last_mut() else { break };
            if rows.len() >= self.share {
                return Ok(Some(lane.clone()));
            }
            rows.push(waiting(&row)?);
            self.count += 1;
        }
        Ok(None)
    }

    /// Fills the rest of the batch from the lanes that have more than their share.
    async fn fill(&mut self) -> Result<(), Error> {
        let mut found = std::mem::take(&mut self.found);
        for (lane, rows) in found.iter_mut().filter(|(_, rows)| rows.len() >= self.share) {
            let left = self.max - self.count;
            if left == 0 {
                break;
            }
            let filter = doc! { "shard": i64::from(self.shard), "lane": &*lane };
            let more = self
                .rows
                .find(filter)
                .sort(doc! { "shard": 1, "lane": 1, "number": 1 })
                .limit(i64::try_from(rows.len() + left).unwrap_or(i64::MAX))
                .max_time(MAX_TIME)
                .read_concern(ReadConcern::snapshot());
            let mut cursor = more.await.map_err(unavailable)?;
            let mut longer = Vec::new();
            while cursor.advance().await.map_err(unavailable)? {
                longer.push(waiting(&cursor.deserialize_current().map_err(unavailable)?)?);
            }
            self.count = self.count + longer.len() - rows.len();
            *rows = longer;
        }
        self.found = found;
        Ok(())
    }
}

fn waiting(row: &Document) -> Result<Waiting, Error> {
    let (Some(id), Some(event)) = (row.get("_id"), event(row)) else {
        return Err(Error::Unavailable("a row of the outbox is damaged".to_owned()));
    };
    Ok(Waiting { row: id.clone(), event })
}

/// A read of a shard that is asked for: the shard, the most rows, and who waits for them.
pub(crate) struct Read {
    shard: u32,
    max: u32,
    answer: oneshot::Sender<Result<Vec<Waiting>, Error>>,
}

/// Rows to be deleted, and who waits for that.
pub(crate) struct Delete {
    rows: Vec<Bson>,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// Answers what is asked of shards, together, until nothing is.
async fn answer_reads(store: MongoDb) {
    let mut turn = store.shared().outbox_reads.turn();
    // Those that the same commit has woken ask in a moment.
    tokio::task::yield_now().await;
    while let Some(reads) = turn.next() {
        let mut asked: BTreeMap<u32, u32> = BTreeMap::new();
        for read in &reads {
            let max = asked.entry(read.shard).or_default();
            *max = read.max.min(MAX_WAITING).max(*max);
        }
        let several = asked.len() < reads.len();
        let mut found = read_shards(&store, asked).await;
        for Read { shard, max, answer } in reads {
            // Two may ask about one shard.
            let rows = if several { found.get(&shard).cloned() } else { found.remove(&shard) };
            let rows = rows.unwrap_or_else(|| Ok(Vec::new())).map(|mut rows| {
                rows.truncate(max as usize);
                rows
            });
            // Nobody may wait any more.
            drop(answer.send(rows));
        }
    }
}

/// Deletes what is to be deleted, together, until nothing is.
async fn answer_deletes(store: MongoDb) {
    let mut turn = store.shared().outbox_deletes.turn();
    tokio::task::yield_now().await;
    while let Some(deletes) = turn.next() {
        let rows: Vec<Bson> = deletes.iter().flat_map(|delete| delete.rows.iter().cloned()).collect();
        let deleted = store.call(move |_, database| async move {
            let outbox: Collection<Document> = database.collection(ROWS);
            let those = doc! { "_id": { "$in": rows } };
            outbox.delete_many(those).await.map(drop).map_err(|error| store_error(&error))
        });
        let deleted = deleted.await.map_err(from_documents);
        for Delete { answer, .. } in deletes {
            drop(answer.send(deleted.clone()));
        }
    }
}

/// The rows of some shards, each with the most that are wanted: in one read when there are not many, which is usual. Otherwise
/// each shard has a read, a time and an outcome of its own.
async fn read_shards(store: &MongoDb, asked: BTreeMap<u32, u32>) -> BTreeMap<u32, Result<Vec<Waiting>, Error>> {
    if asked.len() > 1 {
        let few = {
            let asked = asked.clone();
            store.call(move |_, database| async move { read_few(&database, &asked).await.map_err(to_documents) })
        };
        match few.await.map_err(from_documents) {
            Ok(Some(found)) => return found.into_iter().map(|(shard, rows)| (shard, Ok(rows))).collect(),
            Ok(None) => {}
            Err(error) => return asked.into_keys().map(|shard| (shard, Err(error.clone()))).collect(),
        }
    }
    let mut reads = Vec::with_capacity(asked.len());
    for (shard, max) in asked {
        let read = store.call(move |shared, database| async move {
            read_batch(&shared, &database, shard, max).await.map_err(to_documents)
        });
        reads.push(async move { (shard, read.await.map_err(from_documents)) });
    }
    join_all(reads).await.into_iter().collect()
}

/// The rows of all these shards; none when there are many, or one of them is damaged.
async fn read_few(
    database: &Database,
    asked: &BTreeMap<u32, u32>,
) -> Result<Option<BTreeMap<u32, Vec<Waiting>>>, Error> {
    let mut found: BTreeMap<u32, Vec<Waiting>> = asked.keys().map(|shard| (*shard, Vec::new())).collect();
    let shards: Vec<i64> = asked.keys().map(|shard| i64::from(*shard)).collect();
    let rows: Collection<Document> = database.collection(ROWS);
    let all = rows
        .find(doc! { "shard": { "$in": shards } })
        .sort(doc! { "shard": 1, "lane": 1, "number": 1 })
        .limit(i64::from(MAX_WAITING) + 1)
        .batch_size(MAX_WAITING + 1)
        .max_time(MAX_TIME)
        .read_concern(ReadConcern::snapshot());
    let mut cursor = all.await.map_err(unavailable)?;
    let mut count = 0;
    while cursor.advance().await.map_err(unavailable)? {
        let row = cursor.deserialize_current().map_err(unavailable)?;
        let shard = row.get_i64("shard").ok().and_then(|shard| u32::try_from(shard).ok());
        let Ok(row) = waiting(&row) else { return Ok(None) };
        if let Some(rows) = shard.and_then(|shard| found.get_mut(&shard)) {
            rows.push(row);
        }
        count += 1;
    }
    let are_few = count <= MAX_WAITING
        && found.iter().all(|(shard, rows)| asked.get(shard).is_some_and(|max| rows.len() <= *max as usize));
    Ok(are_few.then_some(found))
}

async fn read_batch(shared: &Shared, database: &Database, shard: u32, max: u32) -> Result<Vec<Waiting>, Error> {
    let max = max.min(MAX_WAITING) as usize;
    let rows = database.collection(ROWS);
    let mut round = Round { rows, shard, max, share: (max / PARTS).max(1), shared, found: Vec::new(), count: 0 };
    if let Some(all) = round.all().await? {
        return Ok(all);
    }
    let begin = round.begin();
    round.read(Some(&begin), None).await?;
    round.read(None, Some(&begin)).await?;
    if let Some((last, _)) = round.found.last() {
        round.end(last);
    }
    round.fill().await?;
    Ok(round.found.into_iter().flat_map(|(_, rows)| rows).collect())
}

/// Gives the events that were set aside and whose topic is there now back to their shards.
pub(crate) async fn take_back(database: &Database, topics: &BTreeMap<String, u32>) -> Result<(), documents::Error> {
    let failed = |error: ::mongodb::error::Error| store_error(&error);
    let rows: Collection<Document> = database.collection(ROWS);
    let mut cursor = rows.find(doc! { "shard": ASIDE }).await.map_err(failed)?;
    while cursor.advance().await.map_err(failed)? {
        let row = cursor.deserialize_current().map_err(failed)?;
        let (Some(id), Ok(topic), Ok(key)) = (row.get("_id"), row.get_str("topic"), row.get_str("key")) else {
            continue;
        };
        if partitions(topics, topic).is_ok() {
            let back = doc! { "$set": { "shard": i64::from(shard(key)) } };
            rows.update_one(doc! { "_id": id }, back).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Takes a lease that is free, expired or the holder's own; leaves any other as it is.
async fn lease(database: &Database, shard: u32, holder: &str, length: Duration) -> Result<bool, Error> {
    let leases: Collection<Document> = database.collection(LEASES);
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let me = doc! { "$literal": holder };
    // A missing `until` is below every time.
    let mine = doc! { "$or": [{ "$eq": ["$holder", &me] }, { "$lte": ["$until", "$$NOW"] }] };
    let until = doc! { "$cond": [&mine, { "$add": ["$$NOW", length] }, "$until"] };
    let holds = doc! { "$cond": [&mine, me, "$holder"] };
    let taken = leases
        .find_one_and_update(
            doc! { "_id": i64::from(shard) },
            vec![doc! { "$set": { "holder": holds, "until": until } }],
        )
        .upsert(true)
        .return_document(ReturnDocument::After)
        .max_time(MAX_TIME)
        .await;
    match taken {
        Ok(lease) => Ok(lease.is_some_and(|lease| lease.get_str("holder").is_ok_and(|name| name == holder))),
        // Another holder created the first lease at the same time.
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(unavailable(error)),
    }
}

/// Extends the leases that a holder has, all in one operation; returns which it has.
async fn renew(
    database: &Database,
    shards: Vec<u32>,
    holder: &str,
    length: Duration,
) -> Result<Vec<u32>, documents::Error> {
    let failed = |error: ::mongodb::error::Error| store_error(&error);
    let leases: Collection<Document> = database.collection(LEASES);
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let numbers: Vec<i64> = shards.iter().map(|shard| i64::from(*shard)).collect();
    let mine = doc! { "_id": { "$in": numbers }, "holder": { "$eq": holder } };
    let extended = vec![doc! { "$set": { "until": { "$add": ["$$NOW", length] } } }];
    let renewed = leases.update_many(mine.clone(), extended).await.map_err(failed)?;
    if usize::try_from(renewed.matched_count).is_ok_and(|count| count == shards.len()) {
        return Ok(shards);
    }
    let mut cursor = leases.find(mine).max_time(MAX_TIME).await.map_err(failed)?;
    let mut held = Vec::new();
    while cursor.advance().await.map_err(failed)? {
        let lease = cursor.deserialize_current().map_err(failed)?;
        held.extend(lease.get_i64("_id").ok().and_then(|number| u32::try_from(number).ok()));
    }
    Ok(held)
}

fn unavailable(error: ::mongodb::error::Error) -> Error {
    from_documents(store_error(&error))
}

fn from_documents(error: documents::Error) -> Error {
    match error {
        documents::Error::Overdue(text) | documents::Error::Unavailable(text) => Error::Unavailable(text),
        other => Error::Invalid(other.to_string()),
    }
}

/// An outbox error inside a call of the store.
fn to_documents(error: Error) -> documents::Error {
    match error {
        Error::Unavailable(text) => documents::Error::Unavailable(text),
        Error::Invalid(text) => documents::Error::Invalid(text),
    }
}

#[async_trait]
impl Outbox for MongoDb {
    async fn lease(&self, shard: u32, holder: &str, length: Duration) -> Result<bool, Error> {
        let holder = holder.to_owned();
        self.call(
            move |_, database| async move { lease(&database, shard, &holder, length).await.map_err(to_documents) },
        )
        .await
        .map_err(from_documents)
    }

    async fn renew(&self, shards: &[u32], holder: &str, length: Duration) -> Result<Vec<u32>, Error> {
        let (shards, holder) = (shards.to_vec(), holder.to_owned());
        self.call(move |_, database| async move { renew(&database, shards, &holder, length).await })
            .await
            .map_err(from_documents)
    }

    async fn release(&self, shard: u32, holder: &str) -> Result<(), Error> {
        let mine = doc! { "_id": i64::from(shard), "holder": holder };
        self.call(move |_, database| async move {
            let leases: Collection<Document> = database.collection(LEASES);
            leases.delete_one(mine).await.map(drop).map_err(|error| store_error(&error))
        })
        .await
        .map_err(from_documents)
    }

    async fn holders(&self) -> Result<u32, Error> {
        let live = doc! { "$expr": { "$gt": ["$until", "$$NOW"] } };
        let holders = self.call(move |_, database| async move {
            let leases: Collection<Document> = database.collection(LEASES);
            let mut cursor = leases.find(live).max_time(MAX_TIME).await.map_err(|error| store_error(&error))?;
            let mut holders = BTreeSet::new();
            while cursor.advance().await.map_err(|error| store_error(&error))? {
                let lease = cursor.deserialize_current().map_err(|error| store_error(&error))?;
                holders.extend(lease.get_str("holder").map(str::to_owned));
            }
            Ok(holders.len())
        });
        let holders = holders.await.map_err(from_documents)?;
        Ok(u32::try_from(holders).unwrap_or(u32::MAX))
    }

    async fn count(&self) -> Result<u64, Error> {
        self.call(|_, database| async move {
            let outbox: Collection<Document> = database.collection(ROWS);
            outbox.estimated_document_count().max_time(MAX_TIME).await.map_err(|error| store_error(&error))
        })
        .await
        .map_err(from_documents)
    }

    async fn waiting(&self, shard: u32, max: u32) -> Result<Vec<Waiting>, Error> {
        let (answer, answered) = oneshot::channel();
        if self.shared().outbox_reads.ask(Read { shard, max, answer }) {
            tokio::spawn(answer_reads(self.clone()));
        }
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("a read of the outbox broke off".to_owned())))
    }

    async fn done(&self, rows: &[Bson]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        if self.shared().outbox_deletes.ask(Delete { rows: rows.to_vec(), answer }) {
            tokio::spawn(answer_deletes(self.clone()));
        }
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("a deletion in the outbox broke off".to_owned())))
    }

    async fn set_aside(&self, rows: &[Bson]) -> Result<(), Error> {
        let those = doc! { "_id": { "$in": rows } };
        self.call(move |_, database| async move {
            let outbox: Collection<Document> = database.collection(ROWS);
            let set = outbox.update_many(those, doc! { "$set": { "shard": ASIDE } });
            set.await.map(drop).map_err(|error| store_error(&error))
        })
        .await
        .map_err(from_documents)
    }

    async fn filled(&self) -> Result<Shards, Error> {
        let found = self.call(|_, database| async move {
            let outbox: Collection<Document> = database.collection(ROWS);
            outbox.distinct("shard", doc! {}).max_time(MAX_TIME).await.map_err(|error| store_error(&error))
        });
        let mut shards = Shards::default();
        let numbers = found.await.map_err(from_documents)?.into_iter().filter_map(|number| number.as_i64());
        numbers.filter_map(|number| u32::try_from(number).ok()).for_each(|number| shards.insert(number));
        Ok(shards)
    }

    async fn committed(&self) -> Shards {
        self.shared().committed.heard().await
    }
}
