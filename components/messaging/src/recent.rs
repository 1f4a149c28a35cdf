//! The newest messages of a conversation in the cache: a list, newest first, that is only believed when it is unbroken.
//!
//! Each entry carries its message's place and how often the conversation had been stamped. A list whose head is the
//! conversation's newest message, without a gap, and with the stamps of this moment, is the history; any other one, left
//! by writers that overtook each other or by a host that died between commit and cache, is dropped and read again.

use devconnect_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::conversation::Conversation;
use crate::message;

/// How many messages are kept.
pub(crate) const KEPT: u32 = 50;
/// How long, in seconds.
const AGE: u32 = 86_400;

/// One message of the list.
#[derive(Serialize, Deserialize)]
struct Entry {
    seq: i64,
    stamps: i64,
    /// As the history shows it.
    shown: Box<RawValue>,
}

fn key(pair: &str) -> String {
    format!("recent:{pair}")
}

/// Puts a new message, stored behind `before`, at the head of a list that ends there; a list that does not is dropped.
pub(crate) fn add(pair: &str, before: &Conversation, document: &Document) {
    let Ok(Some(list)) = cache::recent(&key(pair), 1) else { return };
    let head = list.first().and_then(|head| serde_json::from_slice::<Entry>(head).ok());
    let follows = head.is_some_and(|head| head.seq == before.seq && head.stamps == before.stamps);
    let entry = entry(document, before.stamps).filter(|_| follows);
    let added = entry.is_some_and(|entry| cache::push_recent(&key(pair), &entry, KEPT, AGE).is_ok());
    if !added {
        forget(pair);
    }
}

/// Drops the list.
pub(crate) fn forget(pair: &str) {
    // A cache that is away keeps nothing that would be believed later: the stamps differ.
    let _ = cache::delete(&key(pair));
}

/// The newest `limit` messages, oldest first, when the list has them.
pub(crate) fn newest(pair: &str, conversation: &Conversation, limit: u32) -> Option<Vec<Box<RawValue>>> {
    let list = cache::recent(&key(pair), limit).ok().flatten()?;
    let entries: Vec<Entry> = list.iter().map(|entry| serde_json::from_slice(entry).ok()).collect::<Option<_>>()?;
    let unbroken = entries
        .iter()
        .zip((1..=conversation.seq).rev())
        .filter(|(entry, seq)| entry.seq == *seq && entry.stamps == conversation.stamps)
        .count();
    let whole = entries.len() == limit as usize || entries.last().is_some_and(|oldest| oldest.seq == 1);
    if unbroken != entries.len() || !whole {
        forget(pair);
        return None;
    }
    Some(entries.into_iter().rev().map(|entry| entry.shown).collect())
}

/// Keeps what was read from documents, newest first, unless a message among it has no place: those are older than places.
pub(crate) fn keep(pair: &str, conversation: &Conversation, newest_first: &[Document]) {
    let entries = newest_first.iter().map(|document| entry(document, conversation.stamps));
    let Some(entries) = entries.collect::<Option<Vec<_>>>() else { return };
    // The cache is never needed: a list that can't be kept is read again.
    let _ = cache::fill_recent(&key(pair), &entries, AGE);
}

fn entry(document: &Document, stamps: i64) -> Option<Vec<u8>> {
    let shown = serde_json::value::to_raw_value(&message::shown(document)).ok()?;
    serde_json::to_vec(&Entry { seq: document.get_i64("seq")?, stamps, shown }).ok()
}
