//! Retention of the embedded log: deletes events that are old enough and that every group has finished.
//!
//! A group is known by its committed offsets. One that has had no member for as long as events are kept (its component was
//! removed) is forgotten, so that it does not hold events back for ever. Deletes the oldest events of a partition first.

use rusqlite::{Connection, params};

use capability::events::{DEAD_LETTERS, Error, TopicPartition};
use capability::retention::{Retention, before};

use crate::event_log::SqliteLog;

/// How many events one write deletes, so that commits wait for a moment only.
const BATCH: u32 = 1_000;

/// See [`EventLog::delete_old`](capability::events::EventLog::delete_old).
pub(super) async fn delete_old(log: &SqliteLog, now: u64, retention: &Retention) -> Result<u64, Error> {
    let subscribed = log.store.outlet().groups.subscribed();
    let (now, forgotten) = (now.cast_signed(), before(now, retention.events).cast_signed());
    log.change(move |connection| {
        for (group, topic) in &subscribed {
            connection
                .prepare_cached(
                    "INSERT INTO log_groups(\"group\", topic, seen) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET seen = ?3",
                )?
                .execute(params![group, topic, now])?;
        }
        forget_groups(connection, now, forgotten)
    })
    .await?;
    let partitions = log.query(partitions).await?;
    let mut deleted = 0;
    for partition in partitions {
        let kept = if partition.topic.ends_with(DEAD_LETTERS) { retention.dead_letters } else { retention.events };
        let before = before(now.cast_unsigned(), kept).cast_signed();
        loop {
            let look = partition.clone();
            let Some((last, count)) = log.query(move |connection| old(connection, &look, before)).await? else { break };
            let partition = partition.clone();
            log.change(move |connection| {
                connection
                    .prepare_cached("DELETE FROM log WHERE topic = ?1 AND partition = ?2 AND \"offset\" <= ?3")?
                    .execute(params![partition.topic, partition.partition, last])
                    .map(drop)
            })
            .await?;
            deleted += count;
        }
    }
    Ok(deleted)
}

/// Deletes the offsets of groups that were last seen before `forgotten`. One that was never noted is noted now.
fn forget_groups(connection: &Connection, now: i64, forgotten: i64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO log_groups(\"group\", topic, seen) SELECT DISTINCT \"group\", topic, ?1 FROM log_offsets WHERE true
         ON CONFLICT DO NOTHING",
        [now],
    )?;
    connection.execute(
        "DELETE FROM log_offsets WHERE EXISTS(
             SELECT 1 FROM log_groups
             WHERE log_groups.\"group\" = log_offsets.\"group\" AND log_groups.topic = log_offsets.topic AND seen < ?1)",
        [forgotten],
    )?;
    connection.execute("DELETE FROM log_groups WHERE seen < ?1", [forgotten]).map(drop)
}

/// All partitions that ever had an event, also of topics that the application does not have any more.
fn partitions(connection: &Connection) -> rusqlite::Result<Vec<TopicPartition>> {
    let mut statement = connection.prepare_cached("SELECT topic, partition FROM log_ends")?;
    let rows = statement.query_map([], |row| Ok(TopicPartition { topic: row.get(0)?, partition: row.get(1)? }))?;
    rows.collect()
}

/// Of the oldest events of a partition those that are from before a time and finished by every group: the last one's offset, and
/// how many they are.
fn old(connection: &Connection, partition: &TopicPartition, before: i64) -> rusqlite::Result<Option<(i64, u64)>> {
    let finished: Option<i64> = connection
        .prepare_cached("SELECT min(\"offset\") FROM log_offsets WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![partition.topic, partition.partition], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(
        "SELECT \"offset\", at FROM log WHERE topic = ?1 AND partition = ?2 AND \"offset\" < ?3
         ORDER BY \"offset\" LIMIT ?4",
    )?;
    let end = finished.unwrap_or(i64::MAX);
    let mut rows = statement.query(params![partition.topic, partition.partition, end, BATCH])?;
    let mut found: Option<(i64, u64)> = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= before {
            break;
        }
        let count = found.map_or(0, |(_, count)| count);
        found = Some((row.get(0)?, count + 1));
    }
    Ok(found)
}
