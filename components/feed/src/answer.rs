//! The answer of `GET /feed`, the same for both kinds of feed.

use devconnect_sdk::prelude::*;
use serde::Serialize;

use crate::page::Page;

/// Members, and what is to be said of them as a whole.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) data: Vec<Document>,
    pub(crate) recommendations: Recommendations,
}

/// What is to be said of a page. The ranges are those of counts; `page` is from 1.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recommendations {
    /// How many members there are that the caller might be shown: all but the caller and those with whom a request
    /// exists. The same for both kinds of feed; a ranked one may leave some of them out. Accounts that ended in the
    /// last half minute may still be in it when there are more members than one answer looks at.
    pub(crate) total_available: u64,
    /// How many members were scored for this answer, on whatever page they are; 0 in a plain feed.
    pub(crate) ml_processed: usize,
    /// How many are in `data`.
    pub(crate) returned: usize,
    /// How many of those in `data` have a score of at least [`crate::ranked::HIGH`]; 0 in a plain feed.
    pub(crate) high_match: usize,
    pub(crate) page: u32,
    /// Whether the next page has anybody.
    pub(crate) has_more: bool,
}

impl Answer {
    /// A page whose members were not scored.
    pub(crate) fn plain(data: Vec<Document>, page: Page, total_available: u64, has_more: bool) -> Self {
        let recommendations = Recommendations {
            total_available,
            ml_processed: 0,
            returned: data.len(),
            high_match: 0,
            page: page.number,
            has_more,
        };
        Self { data, recommendations }
    }
}
