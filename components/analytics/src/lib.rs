//! Analytics: what happened, counted where it belongs by its own time (`rollup`, `skills`), what a member did (`summary`), and
//! what the whole network did, for operators (`network`). Who deletes the account is forgotten here by the event that tells of it,
//! also when all is built anew; what is summed over members stays.
//!
//! All counts of a delivery go up in one commit with the marks of its events, so that whatever comes again or late is counted once and
//! in its own window.

mod described;
mod network;
mod rollup;
mod skills;
mod summary;
mod window;

use devconnect_sdk::event::{Event, Failure};
use serde::Deserialize;

use rollup::{Counted, count};

devconnect_sdk::http_component! {
    GET "/analytics/summary" as described::SUMMARY => summary::summary,
    GET "/analytics/network" => network::network,
}

devconnect_sdk::event_component! {
    "USER_SIGNUP" => |event| count(event, event.user_id()?, Counted::SIGNUP),
    "USER_LOGIN" => |event| count(event, event.user_id()?, Counted::LOGIN),
    "USER_ONLINE" => |event| count(event, event.user_id()?, Counted::VISIT),
    "USER_SKILLS" => skills::listed,
    "USER_DELETED" => rollup::forget,
    "USER_ERASED" => rollup::forget,
    "MESSAGE_SENT" => |event| count(event, event.user_id()?, Counted::MESSAGE),
    "CONNECTION_REQUEST" => requested,
    "CONNECTION_ACCEPTED" => |event| count(event, event.user_id()?, Counted::ACCEPTED),
    "CONNECTION_REJECTED" => |event| count(event, event.user_id()?, Counted::REJECTED);
    finally => rollup::write
}

#[derive(Deserialize)]
struct Request {
    status: String,
}

/// What is ignored is no request.
fn requested(event: &Event) -> Result<(), Failure> {
    let Request { status } = event.data()?;
    if status != "interested" {
        return Ok(());
    }
    count(event, event.user_id()?, Counted::REQUEST)
}
