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
use model::user;

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
    let caller = caller(id)?;
    let page = page.within(caller.get_str("membershipTier"));
    let available = Available::to(id)?;
    let answer: Answer =
        if is_ranked { ranked::answer(&caller, &available, page) } else { plain::answer(&available, page) }?;
    Ok(Response::json(&answer))
}

/// What the feed wants to know of who asks for it.
fn caller(id: ObjectId) -> Result<Document, Error> {
    let query = collection(user::COLLECTION).find(doc! { "_id": id });
    let found = query.project(doc! { "membershipTier": 1, "skills": 1, "age": 1 }).first::<Document>()?;
    found.map(user::cast).ok_or_else(|| Error::not_found("User not found"))
}
