//! The embedded event log: tables beside the collections, in the same file and the same transactions.
//!
//! Appending runs inside a document commit on the writer thread; reading and offsets go through the store's threads.
//! Touches the tables `log`, `log_ends` and `log_offsets` alone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::capability::documents::{self, Embedded};

use super::{Error, Event, EventLog, MAX_VALUE, Record, partition};

/// The most records that one read answers.
const MAX_READ: u32 = 1_000;
/// The most bytes of their values, so that a read stays small however large the events are. One record always fits.
const MAX_READ_BYTES: usize = 8 << 20;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log(
        topic TEXT NOT NULL, partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL,
        id TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY(topic, partition, \"offset\"));
    CREATE TABLE IF NOT EXISTS log_ends(
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
        PRIMARY KEY(topic, partition)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log_offsets(
        \"group\" TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL,
        PRIMARY KEY(\"group\", topic, partition)) WITHOUT ROWID;";

/// Appends events in order, inside the transaction that the connection is in. `topics` are the known ones with their
/// numbers of partitions.
///
/// # Errors
/// [`Error::Invalid`] for an unknown topic or a value over [`MAX_VALUE`], [`Error::Unavailable`] when the file can't
/// be written. The caller rolls back.
pub fn append(connection: &Connection, topics: &BTreeMap<String, u32>, events: &[Event]) -> Result<(), Error> {
    for event in events {
        let partitions = check(topics, event)?;
        append_one(connection, partition(&event.key, partitions), event).map_err(unavailable)?;
    }
    Ok(())
}

/// Refuses an event that no log takes; answers the partitions of its topic.
pub(super) fn check(topics: &BTreeMap<String, u32>, event: &Event) -> Result<u32, Error> {
    let partitions = partitions(topics, &event.topic)?;
    if event.value.len() > MAX_VALUE {
        return Err(Error::Invalid(format!(
            "the event `{}` has a value of {} bytes; at most {MAX_VALUE} are allowed",
            event.id,
            event.value.len()
        )));
    }
    Ok(partitions)
}

fn append_one(connection: &Connection, partition: u32, event: &Event) -> rusqlite::Result<()> {
    let offset: i64 = connection
        .prepare_cached(
            "INSERT INTO log_ends(topic, partition, next) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET next = next + 1 RETURNING next - 1",
        )?
        .query_row(params![event.topic, partition], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO log(topic, partition, \"offset\", id, key, kind, value, headers, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            event.topic,
            partition,
            offset,
            event.id,
            event.key,
            event.kind,
            event.value,
            encode_headers(&event.headers),
            event.at.cast_signed(),
        ])
        .map(drop)
}

fn partitions(topics: &BTreeMap<String, u32>, topic: &str) -> Result<u32, Error> {
    topics
        .get(topic)
        .copied()
        .filter(|partitions| *partitions > 0)
        .ok_or_else(|| Error::Invalid(format!("the topic `{topic}` is not among the application's topics")))
}

/// The reading side of the log in a document store's file.
#[derive(Clone)]
pub struct EmbeddedLog {
    store: Embedded,
}

impl EmbeddedLog {
    pub(crate) fn new(store: Embedded) -> EmbeddedLog {
        EmbeddedLog { store }
    }

    /// Makes the log's tables if they are not there.
    pub(crate) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(TABLES)
    }

    fn check(&self, topic: &str, partition: u32) -> Result<(), Error> {
        let partitions = partitions(self.store.topics(), topic)?;
        if partition < partitions {
            return Ok(());
        }
        Err(Error::Invalid(format!("the topic `{topic}` has the partitions 0 to {}, not {partition}", partitions - 1)))
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.store.read(move |connection, _| Ok(work(connection).map_err(unavailable))).await;
        answer.map_err(from_documents)?
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error> {
        self.check(topic, partition)?;
        let topic = topic.to_owned();
        self.ask(move |connection| read(connection, &topic, partition, offset, max)).await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<u64>, Error> {
        let partitions = partitions(self.store.topics(), topic)?;
        let topic = topic.to_owned();
        self.ask(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT next FROM log_ends WHERE topic = ?1 AND partition = ?2")?;
            let mut end = |partition| {
                let next = statement.query_row(params![topic, partition], |row| row.get::<_, i64>(0)).optional();
                next.map(|next| next.unwrap_or(0).cast_unsigned())
            };
            (0..partitions).map(&mut end).collect()
        })
        .await
    }

    async fn committed(&self, group: &str, topic: &str, partition: u32) -> Result<u64, Error> {
        self.check(topic, partition)?;
        let (group, topic) = (group.to_owned(), topic.to_owned());
        self.ask(move |connection| {
            let offset = connection
                .prepare_cached(
                    "SELECT \"offset\" FROM log_offsets WHERE \"group\" = ?1 AND topic = ?2 AND partition = ?3",
                )?
                .query_row(params![group, topic, partition], |row| row.get::<_, i64>(0));
            Ok(offset.optional()?.unwrap_or(0).cast_unsigned())
        })
        .await
    }

    async fn commit_offset(&self, group: &str, topic: &str, partition: u32, offset: u64) -> Result<(), Error> {
        self.check(topic, partition)?;
        let offset = i64::try_from(offset).map_err(|_| Error::Invalid(format!("the offset {offset} is too large")))?;
        let (group, topic) = (group.to_owned(), topic.to_owned());
        let done = self.store.write(move |connection, _| {
            connection
                .prepare_cached(
                    "INSERT INTO log_offsets(\"group\", topic, partition, \"offset\") VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET \"offset\" = excluded.\"offset\"",
                )
                .and_then(|mut statement| statement.execute(params![group, topic, partition, offset]))
                .map(|_| Vec::new())
                .map_err(|error| documents::Error::Unavailable(error.to_string()))
        });
        done.await.map(drop).map_err(from_documents)
    }
}

fn read(connection: &Connection, topic: &str, partition: u32, offset: u64, max: u32) -> rusqlite::Result<Vec<Record>> {
    // An offset that SQLite can't hold is behind every end.
    let Ok(offset) = i64::try_from(offset) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT \"offset\", id, key, kind, value, headers, at FROM log
         WHERE topic = ?1 AND partition = ?2 AND \"offset\" >= ?3 ORDER BY \"offset\" LIMIT ?4",
    )?;
    let mut rows = statement.query(params![topic, partition, offset, max.min(MAX_READ)])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = record(row, topic, partition)?;
        bytes += record.event.value.len();
        if bytes > MAX_READ_BYTES && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    Ok(records)
}

fn record(row: &Row<'_>, topic: &str, partition: u32) -> rusqlite::Result<Record> {
    let event = Event {
        id: row.get(1)?,
        topic: topic.to_owned(),
        key: row.get(2)?,
        kind: row.get(3)?,
        value: row.get(4)?,
        headers: decode_headers(row.get_ref(5)?.as_blob()?),
        at: row.get::<_, i64>(6)?.cast_unsigned(),
    };
    Ok(Record { partition, offset: row.get::<_, i64>(0)?.cast_unsigned(), event })
}

/// Headers as one BSON array, names and values by turns: a name may be there twice.
fn encode_headers(headers: &[(String, String)]) -> Vec<u8> {
    let mut array = RawArrayBuf::new();
    for (name, value) in headers {
        array.push(name.as_str());
        array.push(value.as_str());
    }
    let mut document = RawDocumentBuf::new();
    document.append(bson::raw::cstr!("headers"), array);
    document.into_bytes()
}

fn decode_headers(bytes: &[u8]) -> Vec<(String, String)> {
    let array = RawDocument::from_bytes(bytes).ok().and_then(|document| document.get_array("headers").ok());
    let texts: Vec<&str> =
        array.into_iter().flat_map(|array| array.into_iter().flatten()).filter_map(RawBsonRef::as_str).collect();
    let (pairs, _) = texts.as_chunks::<2>();
    pairs.iter().map(|[name, value]| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string())
}

fn from_documents(error: documents::Error) -> Error {
    match error {
        documents::Error::Unavailable(text) => Error::Unavailable(text),
        other => Error::Invalid(other.to_string()),
    }
}
