//! The newest messages of a conversation in the cache, as the history shows them: a JSON array, oldest first. `application.toml`
//! says that it follows from the messages of the pair, so each commit of a message or a stamp makes it stale.

use devconnect_sdk::prelude::*;
use model::cached;
use serde_json::value::RawValue;

/// How many messages are kept.
pub(crate) const KEPT: u32 = 50;

fn key(pair: &str) -> String {
    format!("history:{pair}")
}

/// The newest `limit` messages, at most [`KEPT`], when the cache has them.
pub(crate) fn newest(pair: &str, limit: u32) -> Option<Vec<u8>> {
    let kept = cache::get(&key(pair)).ok().flatten()?;
    if limit >= KEPT {
        return Some(kept);
    }
    let messages: Vec<&RawValue> = serde_json::from_slice(&kept).ok()?;
    let first = messages.len().saturating_sub(limit as usize);
    serde_json::to_vec(messages.get(first..)?).ok()
}

/// Keeps the newest [`KEPT`] messages.
pub(crate) fn keep(pair: &str, messages: Vec<u8>) {
    cached::keep(&key(pair), messages);
}
