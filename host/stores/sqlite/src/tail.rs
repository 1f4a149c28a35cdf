//! The tail of the log in memory: where each partition ends, and its newest records.
//!
//! Consumers that keep up read from here, each the same records, and no query is needed to know that there is nothing new. It
//! has what is durable, and nothing else. Pure: no database.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use capability::events::{Record, TopicPartition};

/// The most records of a partition.
const RECORDS: usize = 256;
/// The most bytes of them.
const BYTES: usize = 256 << 10;
/// What a record counts besides its texts and its value.
const OVERHEAD: usize = 256;

/// The tails of all partitions, by topic and number. One that never had a record is not there.
#[derive(Debug, Default)]
pub(crate) struct Tails(BTreeMap<String, BTreeMap<u32, Tail>>);

/// The tail of a partition.
#[derive(Debug, Default)]
struct Tail {
    /// The offset after the last record.
    end: u64,
    /// The last records, without a gap.
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Tails {
    fn get(&self, topic: &str, partition: u32) -> Option<&Tail> {
        self.0.get(topic)?.get(&partition)
    }

    fn entry(&mut self, topic: &str, partition: u32) -> &mut Tail {
        self.0.entry(topic.to_owned()).or_default().entry(partition).or_default()
    }

    /// The offset after the last record of a partition.
    pub(crate) fn end(&self, topic: &str, partition: u32) -> u64 {
        self.get(topic, partition).map_or(0, |tail| tail.end)
    }

    /// The records from an offset on, at most `max`; none when they are not all here.
    pub(crate) fn since(&self, partition: &TopicPartition, offset: u64, max: usize) -> Option<Vec<Arc<Record>>> {
        let records = &self.get(&partition.topic, partition.partition)?.records;
        let skipped = usize::try_from(offset.checked_sub(records.front()?.offset)?).ok()?;
        let found: Vec<Arc<Record>> = records.iter().skip(skipped).take(max).cloned().collect();
        (!found.is_empty()).then_some(found)
    }

    /// A partition has records up to here, which are in the file only.
    pub(crate) fn set_end(&mut self, topic: &str, partition: u32, end: u64) {
        *self.entry(topic, partition) = Tail { end, ..Tail::default() };
    }

    /// A record is durable.
    pub(crate) fn push(&mut self, record: Record) {
        let tail = self.entry(&record.event.topic, record.partition);
        if record.offset != tail.end {
            (tail.records, tail.bytes) = (VecDeque::new(), 0);
        }
        tail.end = record.offset + 1;
        tail.bytes += weight(&record);
        tail.records.push_back(Arc::new(record));
        while (tail.records.len() > RECORDS || tail.bytes > BYTES)
            && let Some(oldest) = tail.records.pop_front()
        {
            tail.bytes -= weight(&oldest);
        }
    }
}

fn weight(record: &Record) -> usize {
    let event = &record.event;
    let headers: usize = event.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    OVERHEAD + event.id.len() + event.topic.len() + event.key.len() + event.kind.len() + event.value.len() + headers
}

#[cfg(test)]
mod tests {
    use capability::events::Event;

    use super::*;

    fn record(offset: u64, bytes: usize) -> Record {
        let event = Event {
            id: offset.to_string(),
            topic: "t".to_owned(),
            key: "k".to_owned(),
            kind: "K".to_owned(),
            value: vec![0; bytes],
            headers: Vec::new(),
            at: 0,
        };
        Record { partition: 1, offset, event }
    }

    fn place() -> TopicPartition {
        TopicPartition { topic: "t".to_owned(), partition: 1 }
    }

    fn offsets(tails: &Tails, from: u64, max: usize) -> Option<Vec<u64>> {
        Some(tails.since(&place(), from, max)?.iter().map(|record| record.offset).collect())
    }

    #[test]
    fn it_has_the_newest_records_without_a_gap() {
        let mut tails = Tails::default();
        assert_eq!((tails.end("t", 1), offsets(&tails, 0, 9)), (0, None));
        tails.set_end("t", 1, 5);
        assert_eq!((tails.end("t", 1), offsets(&tails, 0, 9)), (5, None));
        for offset in 5..9 {
            tails.push(record(offset, 1));
        }
        assert_eq!((tails.end("t", 1), offsets(&tails, 4, 9)), (9, None), "4 is in the file");
        assert_eq!(offsets(&tails, 5, 9), Some(vec![5, 6, 7, 8]));
        assert_eq!(offsets(&tails, 6, 2), Some(vec![6, 7]));
        assert_eq!((offsets(&tails, 9, 9), offsets(&tails, u64::MAX, 9)), (None, None));
        tails.push(record(12, 1));
        assert_eq!((tails.end("t", 1), offsets(&tails, 5, 9), offsets(&tails, 12, 9)), (13, None, Some(vec![12])));
    }

    #[test]
    fn it_is_bounded_by_records_and_by_bytes() {
        let mut tails = Tails::default();
        let count = RECORDS as u64 + 10;
        for offset in 0..count {
            tails.push(record(offset, 1));
        }
        assert_eq!((offsets(&tails, 9, 1), offsets(&tails, 10, 1)), (None, Some(vec![10])));
        tails.push(record(count, BYTES / 2));
        tails.push(record(count + 1, BYTES / 2));
        assert_eq!((offsets(&tails, count, 1), offsets(&tails, count + 1, 9)), (None, Some(vec![count + 1])));
        tails.push(record(count + 2, BYTES + 1));
        assert_eq!((tails.end("t", 1), offsets(&tails, count + 2, 1)), (count + 3, None));
        tails.push(record(count + 3, 1));
        assert_eq!(offsets(&tails, count + 3, 1), Some(vec![count + 3]));
        assert_eq!(tails.get("t", 1).unwrap().bytes, weight(&record(count + 3, 1)));
    }
}
