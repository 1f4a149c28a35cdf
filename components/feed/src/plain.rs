//! The plain feed: whom one may be shown, in the order in which they joined. A page costs what it and the pages before
//! it hold, never the whole collection.

use devconnect_sdk::prelude::*;
use model::cached;

use crate::answer::{Answer, member};
use crate::available::{Available, Order};
use crate::page::Page;

pub(crate) fn answer(available: &Available, page: Page) -> Result<Answer, Error> {
    // One more than the page holds tells whether there is a next one.
    let found = available.ids(Order::OldestFirst, page.offset(), page.limit + 1)?;
    let limit = page.limit as usize;
    let has_more = found.len() > limit;
    // Whoever was seen is there, however old a count may be. Behind the last of them nobody needs to be counted.
    let seen = if found.is_empty() { 0 } else { u64::from(page.offset()) + found.len() as u64 };
    let is_last = !has_more && (!found.is_empty() || page.number == 1);
    let total = if is_last { seen } else { available.count()?.max(seen) };
    let mut data = Vec::with_capacity(limit.min(found.len()));
    for card in cached::users(found.get(..limit).unwrap_or(&found), &cached::CARD)? {
        data.extend(member(card, &Document::new())?);
    }
    Ok(Answer::plain(data, page, total, has_more))
}
