//! Lists of dead letters: page by page from the newest on, and how many there are of each kind.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ErrorResponse;
use crate::dead_letters::{Address, DeadLetters, Letter};
use capability::events::{DEAD_LETTERS, Record};

/// How many records are read at once.
const BATCH: u32 = 500;
/// How many kinds are counted separately; the letters of further ones are counted together.
const MAX_KINDS: usize = 1_000;
/// The longest reason of a count, in characters.
const MAX_REASON: usize = 200;
/// The reason of the letters that are counted together.
const OTHER_REASONS: &str = "other reasons";

/// Where a letter stands in the list: by the time of its death, then by its name.
type Place = (u64, String, u32, u64);

/// How many letters nothing was done with, of one component and one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LetterCount {
    /// The topic of their events.
    pub topic: String,
    /// The component that could not process them.
    pub component: String,
    /// The first line of the reason.
    pub reason: String,
    /// How many there are.
    pub count: u64,
    /// The name of the newest: `topic/partition/offset`.
    pub newest: String,
    /// When that died, in milliseconds since 1970.
    pub newest_at: u64,
}

impl DeadLetters {
    /// The newest letters that were neither replayed nor dropped, of one topic or of all: those older than the letter `before`,
    /// at most `limit`.
    pub(crate) async fn list(
        &self,
        topic: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Letter>, ErrorResponse> {
        let topics = self.selected(topic)?;
        let before = match before {
            None => None,
            Some(name) => Some(self.place(name).await?),
        };
        let mut newest: Vec<(Place, Letter)> = Vec::new();
        for topic in topics {
            let ends = self.log.end_offsets(&format!("{topic}{DEAD_LETTERS}")).await?;
            for (partition, end) in (0..).zip(ends) {
                newest.extend(self.newest(topic, partition, end, before.as_ref(), limit).await?);
                newest.sort_by(|(one, _), (other, _)| other.cmp(one));
                newest.truncate(limit);
            }
        }
        Ok(newest.into_iter().map(|(_, letter)| letter).collect())
    }

    /// How many letters nothing was done with, by topic, component and reason, the most first.
    pub(crate) async fn counts(&self, topic: Option<&str>) -> Result<Vec<LetterCount>, ErrorResponse> {
        let mut counts: BTreeMap<(String, String, String), LetterCount> = BTreeMap::new();
        for topic in self.selected(topic)? {
            let name = format!("{topic}{DEAD_LETTERS}");
            for (partition, end) in (0..).zip(self.log.end_offsets(&name).await?) {
                let mut offset = 0;
                while offset < end {
                    let records = self.log.read(&name, partition, offset, BATCH).await?;
                    let Some(last) = records.last() else { break };
                    offset = last.offset + 1;
                    let letters = self.read_letters(topic, records).await?;
                    for letter in letters.into_iter().filter(|letter| letter.settled.is_none()) {
                        count(&mut counts, topic, letter);
                    }
                }
            }
        }
        let mut all: Vec<LetterCount> = counts.into_values().collect();
        // Stable: those of one topic stay together.
        all.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        Ok(all)
    }

    /// This topic, or all of them.
    fn selected(&self, topic: Option<&str>) -> Result<Vec<&str>, ErrorResponse> {
        let selected: Vec<&str> =
            self.topics.iter().map(String::as_str).filter(|known| topic.is_none_or(|topic| topic == *known)).collect();
        match topic {
            Some(unknown) if selected.is_empty() => {
                let why = format!("there is no topic {unknown:?}; there are {:?}", self.topics);
                Err(ErrorResponse(StatusCode::NOT_FOUND, why))
            }
            _ => Ok(selected),
        }
    }

    /// Where the letter of a name stands, whether or not something was done with it.
    async fn place(&self, name: &str) -> Result<Place, ErrorResponse> {
        let address: Address = name.parse()?;
        let at = self.record(&address).await?.event.at;
        Ok((at, address.topic, address.partition, address.offset))
    }

    /// The newest of one partition. Its letters are in the order of their time.
    async fn newest(
        &self,
        topic: &str,
        partition: u32,
        end: u64,
        before: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Letter)>, ErrorResponse> {
        let (mut found, mut end) = (Vec::new(), end);
        while end > 0 && found.len() < limit {
            let start = end.saturating_sub(u64::from(BATCH));
            let records = self.between(topic, partition, start, end).await?;
            // The log has forgotten what is older.
            if records.is_empty() {
                break;
            }
            let offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
            let letters = self.read_letters(topic, records).await?;
            let placed = offsets.into_iter().zip(letters).map(|(offset, letter)| {
                let place = (letter.at, topic.to_owned(), partition, offset);
                (place, letter)
            });
            found.extend(
                placed.filter(|(place, letter)| letter.settled.is_none() && before.is_none_or(|before| place < before)),
            );
            end = start;
        }
        Ok(found)
    }

    /// The records of a partition from `start` on and before `end`.
    async fn between(&self, topic: &str, partition: u32, start: u64, end: u64) -> Result<Vec<Record>, ErrorResponse> {
        let name = format!("{topic}{DEAD_LETTERS}");
        let (mut all, mut offset) = (Vec::new(), start);
        while offset < end {
            let records = self.log.read(&name, partition, offset, BATCH).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            all.extend(records.into_iter().filter(|record| record.offset < end));
        }
        Ok(all)
    }
}

/// Counts a letter with those of its kind.
fn count(counts: &mut BTreeMap<(String, String, String), LetterCount>, topic: &str, letter: Letter) {
    let reason: String = letter.reason.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect();
    let mut kind = (topic.to_owned(), letter.component.clone(), reason);
    if counts.len() >= MAX_KINDS && !counts.contains_key(&kind) {
        kind.2 = OTHER_REASONS.to_owned();
    }
    let new = || LetterCount {
        topic: kind.0.clone(),
        component: kind.1.clone(),
        reason: kind.2.clone(),
        count: 0,
        newest: String::new(),
        newest_at: 0,
    };
    let counted = counts.entry(kind.clone()).or_insert_with(new);
    counted.count += 1;
    if letter.at >= counted.newest_at {
        (counted.newest, counted.newest_at) = (letter.name, letter.at);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capability::clocks::Manual;
    use capability::documents::{Collection, Commit, Documents as _, Schema};
    use capability::events::{Event, SETTLED_LETTERS, letter};
    use capability::generations::Generations;
    use store_sqlite::{Location, Sqlite};

    use super::*;

    fn opened() -> (DeadLetters, Sqlite) {
        let schema = Schema { collections: BTreeMap::from([(SETTLED_LETTERS.to_owned(), Collection::default())]) };
        let topics = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 1)]);
        let store = Sqlite::open(Location::Memory, &schema, &topics).unwrap();
        let documents = Arc::new(store.clone());
        let letters = DeadLetters {
            log: Arc::new(store.event_log()),
            generations: Arc::new(Generations::new(documents.clone())),
            documents,
            clock: Arc::new(Manual::at(5)),
            topics: topics.into_keys().collect(),
        };
        (letters, store)
    }

    /// A letter of the topic that died at `at`.
    fn dead(topic: &str, at: u64, reason: &str) -> Event {
        let headers = [(letter::COMPONENT, "mail"), (letter::REASON, reason), (letter::EVENT, "e")];
        Event {
            id: format!("{topic}{at}"),
            topic: format!("{topic}{DEAD_LETTERS}"),
            key: format!("key{at}"),
            kind: "K".into(),
            value: Vec::new(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            at,
        }
    }

    async fn append(store: &Sqlite, events: impl Iterator<Item = Event>) {
        let events: Vec<Event> = events.collect();
        for some in events.chunks(100) {
            store.commit(Commit { writes: Vec::new(), events: some.to_vec() }).await.unwrap();
        }
    }

    fn times(letters: &[Letter]) -> Vec<u64> {
        letters.iter().map(|letter| letter.at).collect()
    }

    /// Attack (51): so many dead letters that those of today are behind a thousand older ones. Outcome: pages, the newest first.
    #[tokio::test]
    async fn all_letters_come_once_page_by_page_the_newest_first() {
        let (letters, store) = opened();
        append(&store, (0..3_000).map(|at| dead(if at % 3 == 0 { "b" } else { "a" }, at, "why"))).await;
        for limit in [1_000, 700, 999] {
            let (mut all, mut before) = (Vec::new(), None::<String>);
            loop {
                let page = letters.list(None, before.as_deref(), limit).await.unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                before = Some(last.name.clone());
                all.extend(times(&page));
            }
            assert_eq!(all, (0..3_000).rev().collect::<Vec<_>>(), "{limit}");
        }
        let of_b = letters.list(Some("b"), None, 3).await.unwrap();
        assert_eq!(times(&of_b), [2_997, 2_994, 2_991]);
        let unknown = letters.list(Some("c"), None, 3).await.unwrap_err();
        assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn what_something_was_done_with_is_not_listed_and_can_be_where_a_page_begins() {
        let (letters, store) = opened();
        append(&store, (0..10).map(|at| dead("b", at, "why"))).await;
        for offset in [9, 5] {
            letters.drop_letter(&Address { topic: "b".into(), partition: 0, offset }).await.unwrap();
        }
        assert_eq!(times(&letters.list(None, None, 3).await.unwrap()), [8, 7, 6]);
        assert_eq!(times(&letters.list(None, Some("b/0/5"), 3).await.unwrap()), [4, 3, 2]);
        assert_eq!(times(&letters.list(None, Some("b/0/0"), 3).await.unwrap()), Vec::<u64>::new());
        assert_eq!(letters.counts(None).await.unwrap()[0].count, 8);
    }

    #[tokio::test]
    async fn a_page_begins_at_a_letter_that_there_is() {
        let (letters, store) = opened();
        append(&store, (0..2).map(|at| dead("b", at, "why"))).await;
        for (name, status) in [
            ("b/0/2", StatusCode::NOT_FOUND),
            ("c/0/0", StatusCode::NOT_FOUND),
            ("b/0", StatusCode::BAD_REQUEST),
            ("b/0/x", StatusCode::BAD_REQUEST),
            ("b/-1/0", StatusCode::BAD_REQUEST),
            ("/0/0", StatusCode::BAD_REQUEST),
            ("", StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(letters.list(None, Some(name), 3).await.unwrap_err().0, status, "{name}");
        }
    }

    #[tokio::test]
    async fn letters_are_counted_by_their_reason() {
        let (letters, store) = opened();
        append(&store, (0..1_200).map(|at| dead("a", at, if at % 4 == 0 { "rare\nand more" } else { "often" }))).await;
        append(&store, (2_000..2_005).map(|at| dead("b", at, "often"))).await;
        let counts = letters.counts(None).await.unwrap();
        let seen: Vec<_> = counts.iter().map(|kind| (kind.topic.as_str(), kind.reason.as_str(), kind.count)).collect();
        assert_eq!(seen, [("a", "often", 900), ("a", "rare", 300), ("b", "often", 5)]);
        assert_eq!((counts[2].newest_at, counts[2].newest.as_str()), (2_004, "b/0/4"));
        assert_eq!(letters.counts(Some("b")).await.unwrap().len(), 1);
        append(&store, (3_000..4_100).map(|at| dead("b", at, &format!("why {at}")))).await;
        let counts = letters.counts(Some("b")).await.unwrap();
        let other = counts.iter().find(|kind| kind.reason == OTHER_REASONS).unwrap();
        assert_eq!((counts.len(), other.count), (MAX_KINDS + 1, 101), "of very many kinds the last ones are one");
    }
}
