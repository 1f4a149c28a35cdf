//! The feed: other members to look at. Plain, it is everybody in the order in which they joined; with `ml=true` it is
//! those who fit the caller best, with a score and its reasons. Nobody is shown with whom a request exists in either
//! direction, whatever became of it, nor the caller.
//!
//! What recommends is built from events and, where the log does not go back, from the documents: an index from skills to members,
//! and a model of which skills go together.

mod answer;
mod available;
mod building;
mod described;
mod headcount;
mod index;
mod indexing;
mod judge;
mod learning;
mod learnt;
mod page;
mod plain;
mod pool;
mod ranked;
mod ranking;
mod reasons;
mod state;

use devconnect_sdk::prelude::*;
use model::cached;
use serde::Deserialize;

use crate::answer::Answer;
use crate::available::Available;
use crate::page::Page;

devconnect_sdk::http_component! {
    GET "/feed" as described::FEED => feed,
}

devconnect_sdk::event_component! {
    "USER_SKILLS" => indexing::changed,
    "USER_DELETED" => indexing::changed,
    "CONNECTION_REQUEST" => learning::told,
    "CONNECTION_ACCEPTED" => learning::told,
    "CONNECTION_REJECTED" => learning::told,
}

devconnect_sdk::schedule_component! {
    "* * * * *" => building::build,
}

fn feed(request: &Request) -> Result<Response, Error> {
    let id = request.user_id()?;
    let page = Page::asked(request)?;
    let is_ranked = request.query("ml").as_deref() == Some("true");
    let tier = caller(id)?.membership_tier;
    let page = page.within(Some(&tier));
    let available = Available::to(id)?;
    let answer: Answer =
        if is_ranked { ranked::answer(id, &tier, &available, page) } else { plain::answer(&available, page) }?;
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
