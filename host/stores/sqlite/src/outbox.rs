//! The outbox in a document store's file: a table of events in the order of their commits.
//!
//! The writer is one thread, so the numbers of the rows are in that order; a number is never used twice. Leases are in
//! memory: the folder belongs to one process, so no other process can hold one. Touches the table `outbox`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::Bson;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Sqlite;
use capability::events::{Error, Event, Outbox, Shards, Waiting, partition, partitions, shard, validate};

use crate::event_log::{MAX_READ, MAX_READ_BYTES, change, from_documents, unavailable};
use crate::tail::Tails;
use crate::{event_log, event_row};

/// The shard of events whose topic is gone. No relay moves it.
const ASIDE: i64 = -1;

pub(super) fn create_table(connection: &Connection) -> rusqlite::Result<()> {
    let columns = event_row::DEFINITIONS;
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS outbox(
            row INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, {columns});
        CREATE INDEX IF NOT EXISTS outbox_rows ON outbox(shard, row);
        CREATE INDEX IF NOT EXISTS outbox_keys ON outbox(shard, key, row);"
    ))
}

/// Adds an event to the outbox inside the transaction that the connection is in.
///
/// # Errors
/// [`Error::Invalid`] when no log accepts it, [`Error::Unavailable`] when the file can't be written.
pub(crate) fn enqueue(connection: &Connection, topics: &BTreeMap<String, u32>, event: &Event) -> Result<(), Error> {
    validate(topics, event)?;
    let put = connection.prepare_cached(
        "INSERT INTO outbox(shard, topic, id, key, kind, value, headers, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    );
    put.and_then(|mut put| {
        put.execute(params![
            shard(&event.key),
            event.topic,
            event.id,
            event.key,
            event.kind,
            event.value,
            event_row::encode_headers(&event.headers),
            event.at.cast_signed(),
        ])
    })
    .map(drop)
    .map_err(unavailable)
}

/// Gives the events that were set aside and whose topic is there now back to their shards.
pub(crate) fn take_back(connection: &Connection, topics: &BTreeMap<String, u32>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT row, topic, key FROM outbox WHERE shard = ?1")?;
    let aside: Vec<(i64, String, String)> = statement
        .query_map([ASIDE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (row, _, key) in aside.iter().filter(|(_, topic, _)| partitions(topics, topic).is_ok()) {
        connection.execute("UPDATE outbox SET shard = ?1 WHERE row = ?2", params![shard(key), row])?;
    }
    Ok(())
}

/// Moves the events into the log of the same file, in order. An event whose topic is gone stays in the outbox.
pub(crate) fn drain_outbox(
    connection: &Connection,
    topics: &BTreeMap<String, u32>,
    tails: &mut Tails,
) -> rusqlite::Result<()> {
    let next = format!("SELECT row, {} FROM outbox WHERE row > ?1 ORDER BY row LIMIT 1", event_row::COLUMNS);
    let (mut last, mut moved, mut left) = (0_i64, 0_u64, 0_u64);
    loop {
        let found = connection
            .prepare_cached(&next)?
            .query_row([last], |found| Ok((found.get::<_, i64>(0)?, event_row::read(found, 1)?)))
            .optional()?;
        let Some((number, event)) = found else { break };
        last = number;
        match partitions(topics, &event.topic) {
            Ok(partitions) => {
                let partition = partition(&event.key, partitions);
                let offset = tails.end(&event.topic, partition);
                event_log::append(connection, partition, offset, &event)?;
                event_log::write_end(connection, &event.topic, partition, offset + 1)?;
                tails.set_end(&event.topic, partition, offset + 1);
                connection.prepare_cached("DELETE FROM outbox WHERE row = ?1")?.execute([number])?;
                moved += 1;
            }
            Err(error) => {
                tracing::error!(%error, id = event.id, "an event can't leave the outbox");
                left += 1;
            }
        }
    }
    if moved + left > 0 {
        tracing::warn!(moved, left, "the events of the outbox are moved into the embedded log");
    }
    Ok(())
}

/// Warns when groups have not consumed all of the log in this file, which gets no new events any more.
pub(crate) fn warn_of_unconsumed(connection: &Connection) -> rusqlite::Result<()> {
    let events: i64 = connection.query_row(
        "SELECT coalesce(sum(next - begun), 0) FROM log_ends JOIN (
             SELECT topic, partition, min(\"offset\") AS begun FROM log_offsets GROUP BY topic, partition
         ) USING (topic, partition)",
        [],
        |row| row.get(0),
    )?;
    if events > 0 {
        tracing::warn!(
            events,
            "the embedded event log has events that not every consumer has finished; they stay there"
        );
    }
    Ok(())
}

/// The leases of the shards: holder and expiry.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<u32, (String, Instant)>>);

impl Leases {
    /// The unexpired leases.
    fn unexpired(&self) -> MutexGuard<'_, BTreeMap<u32, (String, Instant)>> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        leases.retain(|_, (_, until)| *until > now);
        leases
    }
}

/// The outbox in a document store's file.
#[derive(Clone)]
pub struct SqliteOutbox {
    store: Sqlite,
}

impl SqliteOutbox {
    pub(crate) fn new(store: Sqlite) -> SqliteOutbox {
        SqliteOutbox { store }
    }

    async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.store.read(move |connection, _| Ok(work(connection).map_err(unavailable))).await;
        answer.map_err(from_documents)?
    }

    fn leases(&self) -> &Leases {
        &self.store.outlet().leases
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn lease(&self, shard: u32, holder: &str, length: Duration) -> Result<bool, Error> {
        let mut leases = self.leases().unexpired();
        if leases.get(&shard).is_some_and(|(other, _)| other != holder) {
            return Ok(false);
        }
        leases.insert(shard, (holder.to_owned(), Instant::now() + length));
        Ok(true)
    }

    async fn renew(&self, shards: &[u32], holder: &str, length: Duration) -> Result<Vec<u32>, Error> {
        let mut leases = self.leases().0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = Vec::new();
        for shard in shards {
            if let Some((_, until)) = leases.get_mut(shard).filter(|(other, _)| other == holder) {
                *until = Instant::now() + length;
                held.push(*shard);
            }
        }
        Ok(held)
    }

    async fn release(&self, shard: u32, holder: &str) -> Result<(), Error> {
        let mut leases = self.leases().unexpired();
        if leases.get(&shard).is_some_and(|(other, _)| other == holder) {
            leases.remove(&shard);
        }
        Ok(())
    }

    async fn holders(&self) -> Result<u32, Error> {
        let leases = self.leases().unexpired();
        let holders: BTreeSet<&str> = leases.values().map(|(holder, _)| holder.as_str()).collect();
        Ok(u32::try_from(holders.len()).unwrap_or(u32::MAX))
    }

    async fn waiting(&self, shard: u32, max: u32) -> Result<Vec<Waiting>, Error> {
        self.query(move |connection| waiting(connection, shard, max.min(MAX_READ))).await
    }

    async fn count(&self) -> Result<u64, Error> {
        let count = self.query(|connection| {
            connection.prepare_cached("SELECT count(*) FROM outbox")?.query_row([], |row| row.get::<_, i64>(0))
        });
        count.await.map(i64::cast_unsigned)
    }

    async fn done(&self, rows: &[Bson]) -> Result<(), Error> {
        let rows: Vec<i64> = rows.iter().filter_map(Bson::as_i64).collect();
        change(&self.store, move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE row = ?1")?;
            rows.iter().try_for_each(|row| delete.execute([row]).map(drop))
        })
        .await
    }

    async fn set_aside(&self, rows: &[Bson]) -> Result<(), Error> {
        let rows: Vec<i64> = rows.iter().filter_map(Bson::as_i64).collect();
        change(&self.store, move |connection| {
            let mut set = connection.prepare_cached("UPDATE outbox SET shard = ?1 WHERE row = ?2")?;
            rows.iter().try_for_each(|row| set.execute([ASIDE, *row]).map(drop))
        })
        .await
    }

    async fn filled(&self) -> Result<Shards, Error> {
        self.query(|connection| {
            let mut statement = connection.prepare_cached("SELECT DISTINCT shard FROM outbox WHERE shard >= 0")?;
            let mut rows = statement.query([])?;
            let mut shards = Shards::default();
            while let Some(row) = rows.next()? {
                shards.insert(row.get(0)?);
            }
            Ok(shards)
        })
        .await
    }

    async fn committed(&self) -> Shards {
        self.store.outlet().relay.heard().await
    }
}

fn waiting(connection: &Connection, shard: u32, max: u32) -> rusqlite::Result<Vec<Waiting>> {
    let more: bool = connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM outbox WHERE shard = ?1 ORDER BY row LIMIT 1 OFFSET ?2)")?
        .query_row(params![shard, max], |row| row.get(0))?;
    // Where there are more than `max`, the first event of every key comes before the second of any.
    let which = if more {
        "row IN (SELECT row FROM (
             SELECT row, row_number() OVER (PARTITION BY key ORDER BY row) AS place FROM outbox WHERE shard = ?1
         ) ORDER BY place, row LIMIT ?2) ORDER BY row"
    } else {
        "shard = ?1 ORDER BY row LIMIT ?2"
    };
    let mut statement =
        connection.prepare_cached(&format!("SELECT row, {} FROM outbox WHERE {which}", event_row::COLUMNS))?;
    let mut rows = statement.query(params![shard, max])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = event_row::read(row, 1)?;
        bytes += event.value.len();
        if bytes > MAX_READ_BYTES && !found.is_empty() {
            break;
        }
        found.push(Waiting { row: Bson::Int64(row.get(0)?), event });
    }
    Ok(found)
}
