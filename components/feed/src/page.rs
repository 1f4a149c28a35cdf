//! Which part of the feed is asked for. A member's tier says how much one page may hold.

use devconnect_sdk::prelude::*;
use model::query::whole;

/// Members on a page when nothing is said about it.
const DEFAULT_LIMIT: u32 = 10;
/// The last page that can be asked for: with the largest limit the members before it are counted in 32 bits.
const LAST: u32 = 1_000_000;

/// A page: its number, from 1 to [`LAST`], and how many members it has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) number: u32,
    pub(crate) limit: u32,
}

impl Page {
    /// What the query asks for, before the limits of the tier apply. A value that is not a number is answered with 400.
    pub(crate) fn asked(request: &Request) -> Result<Self, Error> {
        let number = whole("page", request.query("page"))?.unwrap_or(1);
        if number > LAST {
            return Err(Error::bad_request(format!("page must be at most {LAST}")));
        }
        Ok(Self { number, limit: whole("limit", request.query("limit"))?.unwrap_or(DEFAULT_LIMIT) })
    }

    /// The same page, no larger than a member of this tier may have it. What is no tier is free.
    pub(crate) fn within(self, tier: Option<&str>) -> Self {
        let most = match tier {
            Some("gold") => 200,
            Some("silver") => 100,
            _ => 10,
        };
        Self { limit: self.limit.min(most), ..self }
    }

    /// How many members are on the pages before this one.
    pub(crate) fn offset(self) -> u32 {
        (self.number - 1).saturating_mul(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tier_bounds_the_limit() {
        let limit = |asked, tier| Page { number: 1, limit: asked }.within(tier).limit;
        assert_eq!([limit(500, None), limit(500, Some("silver")), limit(500, Some("gold"))], [10, 100, 200]);
        assert_eq!([limit(500, Some("Gold")), limit(3, Some("gold")), limit(11, Some("free"))], [10, 3, 10]);
    }

    #[test]
    fn the_offset_of_the_last_page_fits() {
        assert_eq!(Page { number: 3, limit: 7 }.offset(), 14);
        assert_eq!(Page { number: LAST, limit: 200 }.offset(), 199_999_800);
    }
}
