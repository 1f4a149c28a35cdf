//! The conversation of a pair: how many messages it has had, and when the last one was. Its document is raised in the
//! commit of each message, so that of two messages at once one gets its place and the other tries again behind it.

use devconnect_sdk::prelude::*;

use crate::message;

/// The collection; `_id` is the pair.
const COLLECTION: &str = "conversations";

/// A conversation as it was when it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversation {
    pair: String,
    known: bool,
    /// The place of the newest message, from 1; 0 when it has none with a place.
    pub(crate) seq: i64,
    /// When the newest message was.
    ts: DateTime,
}

impl Conversation {
    /// Reads it. One that is not known yet may have messages of the earlier database.
    pub(crate) fn of(pair: &str) -> Result<Self, Error> {
        let found: Option<Document> = collection(COLLECTION).by_id(pair)?;
        let seq = found.as_ref().and_then(|found| found.get_i64("seq")).unwrap_or_default();
        let ts = match &found {
            Some(found) => found.get_date("ts"),
            None => newest_ts(pair)?,
        };
        Ok(Self { pair: pair.to_owned(), known: found.is_some(), seq, ts: ts.unwrap_or(DateTime::from_millis(0)) })
    }

    /// One that had a message with a place, as the cache has it.
    pub(crate) fn cached(pair: &str, seq: i64, ts: DateTime) -> Self {
        Self { pair: pair.to_owned(), known: true, seq, ts }
    }

    /// The place and the time of a message that follows now. Time never goes back within a conversation.
    pub(crate) fn next(&self, now: DateTime) -> (i64, DateTime) {
        (self.seq + 1, now.max(self.ts))
    }

    /// Adds to a commit, as its first write, that the next message is there. It does not hold when another one came first.
    pub(crate) fn advance(&self, commit: Commit, ts: DateTime) -> Commit {
        let seq = self.seq + 1;
        if self.known {
            let change = doc! { "$set": { "seq": seq, "ts": ts, "updatedAt": ts } };
            commit.update(COLLECTION, doc! { "_id": &self.pair, "seq": self.seq }, change).must_match()
        } else {
            let new = doc! { "_id": &self.pair, "seq": seq, "ts": ts, "createdAt": ts, "updatedAt": ts };
            commit.insert(COLLECTION, &new)
        }
    }
}

/// When the newest message of the earlier database was.
fn newest_ts(pair: &str) -> Result<Option<DateTime>, Error> {
    let newest =
        collection(message::COLLECTION).find(doc! { "pair": pair }).sort(doc! { "ts": -1, "seq": -1, "_id": -1 });
    let newest: Option<Document> = newest.project(doc! { "ts": 1 }).first()?;
    Ok(newest.and_then(|newest| newest.get_date("ts")))
}
