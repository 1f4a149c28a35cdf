//! The outbox in a document store's file: a table of events that wait, in the order of their commits.
//!
//! The writer is one thread, so the number of a row is its place in that order; a number is never given twice. Leases are
//! kept in memory: the folder belongs to one process, and nobody else's leases could be alive. Touches the table `outbox`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::Bson;
use rusqlite::{Connection, OptionalExtension, params};

use crate::capability::documents::Embedded;
use crate::capability::events::{Error, Event, Outbox, Shards, Waiting, partition, partitions, shard, validate};

use super::{MAX_READ, MAX_READ_BYTES, append_to, change, from_documents, row, unavailable};

pub(super) fn create_table(connection: &Connection) -> rusqlite::Result<()> {
    let columns = row::DEFINITIONS;
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS outbox(
            row INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, {columns});
        CREATE INDEX IF NOT EXISTS outbox_rows ON outbox(shard, row);
        CREATE INDEX IF NOT EXISTS outbox_keys ON outbox(shard, key, row);"
    ))
}

/// Puts an event into the outbox inside the transaction that the connection is in.
///
/// # Errors
/// [`Error::Invalid`] when no log takes it, [`Error::Unavailable`] when the file can't be written.
pub(in super::super) fn put_out(
    connection: &Connection,
    topics: &BTreeMap<String, u32>,
    event: &Event,
) -> Result<(), Error> {
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
            row::encode_headers(&event.headers),
            event.at.cast_signed(),
        ])
    })
    .map(drop)
    .map_err(unavailable)
}

/// Moves what waits into the log of the same file, in order. An event whose topic is gone stays where it is.
pub(in super::super) fn drain_outbox(connection: &Connection, topics: &BTreeMap<String, u32>) -> rusqlite::Result<()> {
    let next = format!("SELECT row, {} FROM outbox WHERE row > ?1 ORDER BY row LIMIT 1", row::COLUMNS);
    let (mut last, mut moved, mut left) = (0_i64, 0_u64, 0_u64);
    loop {
        let found = connection
            .prepare_cached(&next)?
            .query_row([last], |found| Ok((found.get::<_, i64>(0)?, row::read(found, 1)?)))
            .optional()?;
        let Some((number, event)) = found else { break };
        last = number;
        match partitions(topics, &event.topic) {
            Ok(partitions) => {
                append_to(connection, partition(&event.key, partitions), &event)?;
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
        tracing::warn!(moved, left, "events that waited for another log go into the embedded one");
    }
    Ok(())
}

/// Says so when groups have not finished what is in the log that this store does not fill any more.
pub(in super::super) fn warn_of_rest(connection: &Connection) -> rusqlite::Result<()> {
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

/// Who holds which shard, and until when.
#[derive(Debug, Default)]
pub(in super::super) struct Leases(Mutex<BTreeMap<u32, (String, Instant)>>);

impl Leases {
    /// Those that have not ended.
    fn alive(&self) -> MutexGuard<'_, BTreeMap<u32, (String, Instant)>> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        leases.retain(|_, (_, until)| *until > now);
        leases
    }
}

/// What waits in a document store's file.
#[derive(Clone)]
pub struct EmbeddedOutbox {
    store: Embedded,
}

impl EmbeddedOutbox {
    pub(crate) fn new(store: Embedded) -> EmbeddedOutbox {
        EmbeddedOutbox { store }
    }

    async fn ask<T: Send + 'static>(
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
impl Outbox for EmbeddedOutbox {
    async fn lease(&self, shard: u32, holder: &str, length: Duration) -> Result<bool, Error> {
        let mut leases = self.leases().alive();
        if leases.get(&shard).is_some_and(|(other, _)| other != holder) {
            return Ok(false);
        }
        leases.insert(shard, (holder.to_owned(), Instant::now() + length));
        Ok(true)
    }

    async fn release(&self, shard: u32, holder: &str) -> Result<(), Error> {
        let mut leases = self.leases().alive();
        if leases.get(&shard).is_some_and(|(other, _)| other == holder) {
            leases.remove(&shard);
        }
        Ok(())
    }

    async fn holders(&self) -> Result<u32, Error> {
        let leases = self.leases().alive();
        let holders: BTreeSet<&str> = leases.values().map(|(holder, _)| holder.as_str()).collect();
        Ok(u32::try_from(holders.len()).unwrap_or(u32::MAX))
    }

    async fn waiting(&self, shard: u32, max: u32) -> Result<Vec<Waiting>, Error> {
        self.ask(move |connection| waiting(connection, shard, max.min(MAX_READ))).await
    }

    async fn count(&self) -> Result<u64, Error> {
        let count = self.ask(|connection| {
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

    async fn filled(&self) -> Result<Shards, Error> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached("SELECT DISTINCT shard FROM outbox")?;
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
    // Where more wait than are asked for, every key's first comes before any key's second.
    let which = if more {
        "row IN (SELECT row FROM (
             SELECT row, row_number() OVER (PARTITION BY key ORDER BY row) AS place FROM outbox WHERE shard = ?1
         ) ORDER BY place, row LIMIT ?2) ORDER BY row"
    } else {
        "shard = ?1 ORDER BY row LIMIT ?2"
    };
    let mut statement =
        connection.prepare_cached(&format!("SELECT row, {} FROM outbox WHERE {which}", row::COLUMNS))?;
    let mut rows = statement.query(params![shard, max])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = row::read(row, 1)?;
        bytes += event.value.len();
        if bytes > MAX_READ_BYTES && !found.is_empty() {
            break;
        }
        found.push(Waiting { row: Bson::Int64(row.get(0)?), event });
    }
    Ok(found)
}
