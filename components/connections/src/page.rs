//! Which part of a list is asked for: `page` and `limit`, as in the feed.

use devconnect_sdk::prelude::*;
use model::query::whole;

/// Rows of a page when nothing is said about it.
const USUAL: u32 = 50;
/// The most rows of a page.
const MOST: u32 = 200;
/// The last page that can be asked for.
const LAST: u32 = 1_000;

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1 on.
    pub(crate) number: u32,
    pub(crate) limit: u32,
}

impl Page {
    /// What the query asks for; none when it says nothing about pages. A value that is not a number from 1 is a 400.
    pub(crate) fn asked(request: &Request) -> Result<Option<Self>, Error> {
        let whole = |name: &str| whole(name, request.query(name));
        let (number, limit) = (whole("page")?, whole("limit")?);
        if number.is_none() && limit.is_none() {
            return Ok(None);
        }
        let number = number.unwrap_or(1);
        if number > LAST {
            return Err(Error::bad_request(format!("page must be at most {LAST}")));
        }
        Ok(Some(Self { number, limit: limit.unwrap_or(USUAL).min(MOST) }))
    }

    /// How many rows are on the pages before this one.
    pub(crate) fn offset(self) -> u32 {
        (self.number - 1) * self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_the_last_page_fits() {
        assert_eq!(Page { number: 1, limit: 7 }.offset(), 0);
        assert_eq!(Page { number: LAST, limit: MOST }.offset(), 199_800);
    }
}
