//! The outbox in a MongoDB, in the database of the documents.
//!
//! A row has the next number of its lane (a topic and a key), taken in the transaction of its commit: two commits to one
//! lane conflict, so the numbers are in the order of the commits and have no gap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::mongodb::options::{ReadConcern, ReturnDocument};
use ::mongodb::{ClientSession, Collection, Database};
use async_trait::async_trait;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};

use crate::{MAX_TIME, MongoDb, Shared, Stop, is_duplicate, store_error};
use capability::documents;
use capability::documents::Schema;

use capability::events::{Error, Event, Outbox, SHARDS, Shards, Waiting, partitions, shard, validate};

/// The rows.
const ROWS: &str = "outbox";
/// The last number of each lane.
const NUMBERS: &str = "outboxlanes";
/// The lease of each shard: its holder and its expiry.
const LEASES: &str = "outboxleases";

/// The collections of the outbox and the keys of their unique indexes.
pub(crate) const OUTBOX_INDEXES: [(&str, &[&str]); 3] =
    [(ROWS, &["shard", "lane", "number"]), (NUMBERS, &[]), (LEASES, &[])];

/// The most bytes of rows in one command.
const MAX_COMMAND: usize = 12 << 20;
/// The most rows that one call returns.
const MAX_WAITING: u32 = 1_000;
/// How many lanes are looked at in one call for those that are idle.
const PAGE: i64 = 200;
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
    events: &[Event],
) -> Result<(), Stop> {
    let mut lanes: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events {
        validate(topics, event).map_err(|error| documents::Error::Invalid(error.to_string()))?;
        lanes.entry(lane(event)).or_default().push(event);
    }
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for (lane, events) in lanes {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let newest = events.iter().map(|event| event.at).max().unwrap_or(0);
        let mut number = last_number(database, session, &lane, count, newest).await? - count;
        for event in events {
            number += 1;
            bytes += event.value.len();
            rows.push(row(&lane, number, event));
            if bytes > MAX_COMMAND {
                insert(database, session, std::mem::take(&mut rows)).await?;
                bytes = 0;
            }
        }
    }
    if rows.is_empty() { Ok(()) } else { insert(database, session, rows).await }
}

/// Takes `count` numbers of a lane for events of the time `at`, and returns the last one.
async fn last_number(
    database: &Database,
    session: &mut ClientSession,
    lane: &str,
    count: i64,
    at: u64,
) -> Result<i64, Stop> {
    let numbers: Collection<Document> = database.collection(NUMBERS);
    let at = DateTime::from_millis(at.cast_signed());
    let taken = numbers
        .find_one_and_update(doc! { "_id": lane }, doc! { "$inc": { "last": count }, "$max": { "at": at } })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .max_time(MAX_TIME)
        .session(session)
        .await;
    match taken {
        Ok(Some(taken)) => Ok(taken.get_i64("last").unwrap_or(count)),
        Ok(None) => Err(Stop::Conflict),
        // Another commit created the same lane.
        Err(error) if is_duplicate(&error) => Err(Stop::Conflict),
        Err(error) => Err(error.into()),
    }
}

async fn insert(database: &Database, session: &mut ClientSession, rows: Vec<Document>) -> Result<(), Stop> {
    let outbox: Collection<Document> = database.collection(ROWS);
    outbox.insert_many(rows).session(session).await?;
    Ok(())
}

/// The unit of order. Two keys that share a lane because of a slash in a topic's name are ordered with each other, too.
fn lane(event: &Event) -> String {
    format!("{}/{}", event.topic, event.key)
}

fn row(lane: &str, number: i64, event: &Event) -> Document {
    let headers: Vec<Bson> =
        event.headers.iter().map(|(name, value)| doc! { "name": name, "value": value }.into()).collect();
    doc! {
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

/// Deletes the numbers of lanes, in a page of them behind the lane `after`, that had no event since `before` and have none in the
/// outbox: the next event of such a lane begins at 1 again. Returns the last lane of the page, if there are more, and how many
/// were deleted.
async fn delete_idle_lanes(
    database: &Database,
    after: &str,
    before: u64,
) -> Result<(Option<String>, u64), documents::Error> {
    let failed = |error: ::mongodb::error::Error| store_error(&error);
    let numbers: Collection<Document> = database.collection(NUMBERS);
    let page = numbers.find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 }).limit(PAGE).max_time(MAX_TIME);
    let mut cursor = page.await.map_err(failed)?;
    let (mut last, mut read, mut idle) = (None, 0, Vec::new());
    while cursor.advance().await.map_err(failed)? {
        let lane = cursor.deserialize_current().map_err(failed)?;
        read += 1;
        last = lane.get_str("_id").ok().map(str::to_owned);
        // A lane of an earlier version has no time.
        if lane.get_datetime("at").map_or(true, |at| at.timestamp_millis() < before.cast_signed()) {
            idle.push(lane);
        }
    }
    let names: Vec<Bson> = idle.iter().filter_map(|lane| lane.get("_id").cloned()).collect();
    let mut deleted = 0;
    if !names.is_empty() {
        let rows: Collection<Document> = database.collection(ROWS);
        let shards: Vec<i64> = (ASIDE..i64::from(SHARDS)).collect();
        let used = rows.distinct("lane", doc! { "shard": { "$in": shards }, "lane": { "$in": names } });
        let used = used.max_time(MAX_TIME).await.map_err(failed)?;
        // As it was read: a commit that has used the lane since has changed both.
        let guard = |lane: &Document| {
            let of = |field: &str| lane.get(field).cloned().unwrap_or(Bson::Null);
            (!used.contains(&of("_id"))).then(|| doc! { "_id": of("_id"), "last": of("last"), "at": of("at") })
        };
        let guards: Vec<Document> = idle.iter().filter_map(guard).collect();
        if !guards.is_empty() {
            deleted = numbers.delete_many(doc! { "$or": guards }).await.map_err(failed)?.deleted_count;
        }
    }
    Ok((last.filter(|_| read >= PAGE), deleted))
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
        self.call(move |shared, database| async move {
            read_batch(&shared, &database, shard, max).await.map_err(to_documents)
        })
        .await
        .map_err(from_documents)
    }

    async fn done(&self, rows: &[Bson]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let those = doc! { "_id": { "$in": rows } };
        self.call(move |_, database| async move {
            let outbox: Collection<Document> = database.collection(ROWS);
            outbox.delete_many(those).await.map(drop).map_err(|error| store_error(&error))
        })
        .await
        .map_err(from_documents)
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

    async fn delete_idle(&self, before: u64) -> Result<u64, Error> {
        let (mut after, mut deleted) = (String::new(), 0);
        loop {
            let page = self.call(move |_, database| async move { delete_idle_lanes(&database, &after, before).await });
            let (next, count) = page.await.map_err(from_documents)?;
            deleted += count;
            match next {
                Some(next) => after = next,
                None => return Ok(deleted),
            }
        }
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
