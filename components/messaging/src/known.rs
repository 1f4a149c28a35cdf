//! What the cache knows of a conversation: its newest place, so that a message needs no read before its commit. The commit refuses
//! a place that is not the newest one any more: whatever is cached here, no message is lost and none has a wrong place.

use devconnect_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;

/// How long it is kept after the last message, in seconds.
const AGE: u32 = 3_600;

/// What is cached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    seq: i64,
    /// When the newest message was; milliseconds since 1970.
    ts: i64,
}

fn key(pair: &str) -> String {
    format!("conversation:{pair}")
}

impl Known {
    /// What is known of a pair's conversation; none without a cache, too.
    pub(crate) fn of(pair: &str) -> Option<Self> {
        cache::get_json(&key(pair)).ok().flatten()
    }

    /// The conversation as it was then.
    pub(crate) fn conversation(self, pair: &str) -> Conversation {
        Conversation::cached(pair, self.seq, DateTime::from_millis(self.ts))
    }
}

/// A message was stored behind `before`.
pub(crate) fn add(pair: &str, before: &Conversation, ts: DateTime) {
    let known = Known { seq: before.seq + 1, ts: ts.millis() };
    // The cache is never needed: what is not known is read.
    let _ = cache::set_json(&key(pair), &known, AGE);
}
