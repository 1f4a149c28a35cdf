//! The answer of `GET /feed`, the same for both kinds of feed.

use devconnect_sdk::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::page::Page;

/// Members, and what is to be said of them as a whole.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) data: Vec<Box<RawValue>>,
    pub(crate) recommendations: Recommendations,
}

/// What is to be said of a page. The ranges are those of counts; `page` is from 1.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recommendations {
    /// How many members there are that the caller might be shown: all but the caller and those with whom a request
    /// exists. The same for both kinds of feed; a ranked one may leave some of them out. Accounts that were brought in from
    /// elsewhere in the last minute may not be in it yet when there are more members than one answer looks at.
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
    pub(crate) fn plain(data: Vec<Box<RawValue>>, page: Page, total_available: u64, has_more: bool) -> Self {
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

/// A member as others see one, and behind that what else there is to say of the member; none for who is gone.
pub(crate) fn member(card: Vec<u8>, more: &Document) -> Result<Option<Box<RawValue>>, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::internal(format!("a card is no JSON: {error}"));
    let mut text = String::from_utf8(card).map_err(|error| broken(&error))?;
    if text.is_empty() {
        return Ok(None);
    }
    if !more.is_empty() {
        let more = serde_json::to_string(more).map_err(|error| broken(&error))?;
        // One object of both: the end of the first goes, and the beginning of the second is a comma. No card is empty.
        text.pop();
        text.push(',');
        text.extend(more.chars().skip(1));
    }
    RawValue::from_string(text).map(Some).map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_stands_behind_the_card() {
        let text = |card: &str, more: &Document| {
            member(card.as_bytes().to_vec(), more).unwrap().map(|value| value.get().to_owned())
        };
        let card = r#"{"_id":"1","about":"}{,"}"#;
        assert_eq!(text(card, &doc! {}).as_deref(), Some(card));
        let both = r#"{"_id":"1","about":"}{,","score":0.5,"why":["é"]}"#;
        assert_eq!(text(card, &doc! { "score": 0.5, "why": ["é"] }).as_deref(), Some(both));
        assert_eq!(text("", &doc! { "score": 1 }), None, "who is gone");
        assert!(member(b"{".to_vec(), &doc! {}).is_err());
    }
}
