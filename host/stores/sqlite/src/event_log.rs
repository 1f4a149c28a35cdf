//! The embedded event log: tables in the same file and the same transactions as the collections.
//!
//! Appending runs inside a document commit on the writer thread; reading and offsets go through the store's threads.
//! Touches the tables `log`, `log_ends`, `log_offsets` and, with `retention`, `log_groups`; `outbox` has the table of events for
//! another log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Instant;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Sqlite;
use capability::documents;
use capability::documents::Effect;

use capability::events::{
    Error, Event, EventLog, Log, Record, Start, Subscription, TopicPartition, partitions, screen,
};

use crate::subscription::Member;
use crate::tail::Tails;
use crate::{event_row, outbox, retention};
use capability::retention::Retention;

/// The most records of one read.
pub(crate) const MAX_READ: u32 = 1_000;
/// The most bytes of their values, so that a read stays small however large the events are; one record is always returned.
pub(crate) const MAX_READ_BYTES: usize = 8 << 20;

/// The records of a partition from an offset on.
static READ: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT \"offset\", {} FROM log
         WHERE topic = ?1 AND partition = ?2 AND \"offset\" >= ?3 ORDER BY \"offset\" LIMIT ?4",
        event_row::COLUMNS
    )
});

/// Creates the tables of the log and of the outbox if they are missing.
pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    let columns = event_row::DEFINITIONS;
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS log(
            partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL, {columns},
            PRIMARY KEY(topic, partition, \"offset\"));
        CREATE TABLE IF NOT EXISTS log_ends(
            topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
            PRIMARY KEY(topic, partition)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS log_offsets(
            \"group\" TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL,
            PRIMARY KEY(\"group\", topic, partition)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS log_groups(
            \"group\" TEXT NOT NULL, topic TEXT NOT NULL, seen INTEGER NOT NULL,
            PRIMARY KEY(\"group\", topic)) WITHOUT ROWID;"
    ))?;
    outbox::create_table(connection)
}

/// Appends an event inside the transaction that the connection is in. Where its partition ends is written by [`write_end`].
pub(crate) fn append(connection: &Connection, partition: u32, offset: u64, event: &Event) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO log(topic, partition, \"offset\", id, key, kind, value, headers, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            event.topic,
            partition,
            offset.cast_signed(),
            event.id,
            event.key,
            event.kind,
            event.value,
            event_row::encode_headers(&event.headers),
            event.at.cast_signed(),
        ])
        .map(drop)
}

/// A partition ends here now. In the transaction that appends, so that no offset is used twice, also when retention has deleted
/// every record.
pub(crate) fn write_end(connection: &Connection, topic: &str, partition: u32, end: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO log_ends(topic, partition, next) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next = ?3",
        )?
        .execute(params![topic, partition, end.cast_signed()])
        .map(drop)
}

/// Where every partition that ever had a record ends.
pub(crate) fn read_ends(connection: &Connection, tails: &mut Tails) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT topic, partition, next FROM log_ends")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tails.set_end(row.get_ref(0)?.as_str()?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
    }
    Ok(())
}

/// The log in a document store's file.
#[derive(Clone)]
pub struct SqliteLog {
    pub(crate) store: Sqlite,
}

impl SqliteLog {
    pub(crate) fn new(store: Sqlite) -> SqliteLog {
        SqliteLog { store }
    }

    fn partitions(&self, topic: &str) -> Result<u32, Error> {
        partitions(self.store.outlet().topics(), topic)
    }

    fn topic_partitions(&self, topics: &[String]) -> Result<BTreeSet<TopicPartition>, Error> {
        let mut partitions = BTreeSet::new();
        for topic in topics {
            let all = 0..self.partitions(topic)?;
            partitions.extend(all.map(|partition| TopicPartition { topic: topic.clone(), partition }));
        }
        Ok(partitions)
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let answer = self.store.read(move |connection, _| Ok(work(connection).map_err(unavailable))).await;
        answer.map_err(from_documents)?
    }

    pub(crate) async fn change(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        change(&self.store, work).await
    }
}

#[async_trait]
impl Log for SqliteLog {
    async fn append(&self, events: Vec<Event>, by: Instant) -> Vec<Result<(), Error>> {
        let answers = screen(self.store.outlet().topics(), &events);
        let accepted = events.into_iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let accepted: Vec<Event> = accepted.map(|(event, _)| event).collect();
        let appended = self.store.write(move |connection, layout| {
            let done = layout.outlet().append(connection, &accepted);
            done.map(|()| Vec::new()).map_err(|error| documents::Error::Unavailable(error.to_string()))
        });
        let failed = match tokio::time::timeout_at(by.into(), appended).await {
            Ok(Ok(_)) => return answers,
            Ok(Err(error)) => from_documents(error),
            Err(_) => Error::Unavailable("the log's store did not answer in time".to_owned()),
        };
        answers.into_iter().map(|answer| answer.and(Err(failed.clone()))).collect()
    }

    async fn answers(&self) -> Result<(), Error> {
        self.query(|_| Ok(())).await
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error> {
        let partitions = self.partitions(topic)?;
        if partition >= partitions {
            let last = partitions - 1;
            return Err(Error::Invalid(format!("the topic `{topic}` has the partitions 0 to {last}, not {partition}")));
        }
        let partition = TopicPartition { topic: topic.to_owned(), partition };
        self.query(move |connection| read(connection, &partition, offset, max)).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<(u64, u64)>, Error> {
        let partitions = self.partitions(topic)?;
        let topic = topic.to_owned();
        self.query(move |connection| {
            let of = |partition| TopicPartition { topic: topic.clone(), partition };
            let bounds = |partition: u32| -> rusqlite::Result<(u64, u64)> {
                Ok((oldest(connection, &of(partition))?, end(connection, &of(partition))?))
            };
            (0..partitions).map(bounds).collect()
        })
        .await
    }

    async fn delete_old(&self, now: u64, retention: &Retention) -> Result<u64, Error> {
        retention::delete_old(self, now, retention).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<u64>>, Error> {
        let partitions = self.partitions(topic)?;
        let (group, topic) = (group.to_owned(), topic.to_owned());
        self.query(move |connection| {
            let of = |partition| TopicPartition { topic: topic.clone(), partition };
            (0..partitions).map(|partition| committed(connection, &group, &of(partition))).collect()
        })
        .await
    }

    async fn subscribe(&self, group: &str, topics: &[String], start: Start) -> Result<Box<dyn Subscription>, Error> {
        let partitions = self.topic_partitions(topics)?;
        let (all, name, topics) = (partitions.clone(), group.to_owned(), topics.to_vec());
        self.change(move |connection| {
            let mut starts = BTreeMap::new();
            for topic in &topics {
                // A partition that the topic got later is new to a group that has begun.
                let start = if has_begun(connection, &name, topic)? { Start::Earliest } else { start };
                starts.insert(topic.as_str(), start);
            }
            let start = |partition: &TopicPartition| starts.get(partition.topic.as_str()).copied().unwrap_or(start);
            all.iter().try_for_each(|partition| init_offset(connection, &name, partition, start(partition)))
        })
        .await?;
        Ok(Box::new(Member::join(self.store.clone(), group, partitions)))
    }
}

/// Commits the start offset of a group, unless it has a committed offset.
fn init_offset(connection: &Connection, group: &str, partition: &TopicPartition, start: Start) -> rusqlite::Result<()> {
    let offset = match start {
        Start::Earliest => oldest(connection, partition)?,
        Start::Latest => end(connection, partition)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO log_offsets(\"group\", topic, partition, \"offset\") VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![group, partition.topic, partition.partition, offset.cast_signed()])
        .map(drop)
}

/// Whether a group has a committed offset in a topic.
fn has_begun(connection: &Connection, group: &str, topic: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM log_offsets WHERE \"group\" = ?1 AND topic = ?2)")?
        .query_row(params![group, topic], |row| row.get(0))
}

/// The offset of the oldest record; the end where there is none.
fn oldest(connection: &Connection, partition: &TopicPartition) -> rusqlite::Result<u64> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(\"offset\") FROM log WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![partition.topic, partition.partition], |row| row.get(0))?;
    oldest.map_or_else(|| end(connection, partition), |oldest| Ok(oldest.cast_unsigned()))
}

fn end(connection: &Connection, partition: &TopicPartition) -> rusqlite::Result<u64> {
    let next = connection
        .prepare_cached("SELECT next FROM log_ends WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![partition.topic, partition.partition], |row| row.get::<_, i64>(0))
        .optional();
    Ok(next?.unwrap_or(0).cast_unsigned())
}

pub(crate) fn committed(
    connection: &Connection,
    group: &str,
    partition: &TopicPartition,
) -> rusqlite::Result<Option<u64>> {
    let offset = connection
        .prepare_cached("SELECT \"offset\" FROM log_offsets WHERE \"group\" = ?1 AND topic = ?2 AND partition = ?3")?
        .query_row(params![group, partition.topic, partition.partition], |row| row.get::<_, i64>(0))
        .optional();
    Ok(offset?.map(i64::cast_unsigned))
}

pub(crate) fn read(
    connection: &Connection,
    partition: &TopicPartition,
    offset: u64,
    max: u32,
) -> rusqlite::Result<Vec<Record>> {
    // An offset that SQLite can't hold is beyond every end.
    let Ok(offset) = i64::try_from(offset) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(&READ)?;
    let mut rows = statement.query(params![partition.topic, partition.partition, offset, max.min(MAX_READ)])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = event_row::read(row, 1)?;
        bytes += event.value.len();
        if bytes > MAX_READ_BYTES && !records.is_empty() {
            break;
        }
        let offset = row.get::<_, i64>(0)?.cast_unsigned();
        records.push(Record { partition: partition.partition, offset, event });
    }
    Ok(records)
}

/// One write on the store's writer thread; returns when it is durable.
pub(crate) async fn change(
    store: &Sqlite,
    work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let done = store.write(move |connection, _| {
        let done: Result<Vec<Effect>, _> = work(connection).map(|()| Vec::new());
        done.map_err(|error| documents::Error::Unavailable(error.to_string()))
    });
    done.await.map(drop).map_err(from_documents)
}

pub(crate) fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string())
}

pub(crate) fn from_documents(error: documents::Error) -> Error {
    match error {
        documents::Error::Overdue(text) | documents::Error::Unavailable(text) => Error::Unavailable(text),
        other => Error::Invalid(other.to_string()),
    }
}
