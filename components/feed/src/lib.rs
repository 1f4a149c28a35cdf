//! The feed: other members to look at. Plain, it is everybody in the order in which they joined; with `ml=true` it is
//! those who fit the caller best, with a score and its reasons. Nobody is shown with whom a request exists in either
//! direction, whatever became of it, nor the caller.

mod answer;
mod available;
mod catalogue;
mod described;
mod headcount;
mod page;
mod plain;
mod profile;
mod ranked;
mod reasons;
mod scores;

use devconnect_sdk::prelude::*;
use model::cached;
use serde::Deserialize;

use crate::answer::Answer;
use crate::available::Available;
use crate::page::Page;

devconnect_sdk::http_component! {
    GET "/feed" as described::FEED => feed,
}

fn feed(request: &Request) -> Result<Response, Error> {
    let id = request.user_id()?;
    let page = Page::asked(request)?;
    let is_ranked = request.query("ml").as_deref() == Some("true");
    let page = page.within(Some(&caller(id)?.membership_tier));
    let available = Available::to(id)?;
    let answer: Answer =
        if is_ranked { ranked::answer(id, &available, page) } else { plain::answer(&available, page) }?;
    Ok(Response::json(&answer))
}

/// What the feed wants to know of who asks for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Caller {
    #[serde(default)]
    membership_tier: String,
}

fn caller(id: ObjectId) -> Result<Caller, Error> {
    let card = cached::user(id, &cached::CARD)?;
    if card.is_empty() {
        return Err(Error::not_found("User not found"));
    }
    serde_json::from_slice(&card).map_err(|error| Error::internal(format!("a card is no JSON: {error}")))
}
