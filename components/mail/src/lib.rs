//! Mails: a welcome and connection requests (`told`), whom one may want to know (`suggestions`), and once a week what
//! waits for a member (`digest`). Each is gathered with the event or the part of a tick that causes it, so that it goes
//! out once. Addresses, names and choices are read when the mail is written.

mod digest;
mod letter;
mod member;
mod plain;
mod suggestions;
mod told;
mod unsubscribe;

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;

devconnect_sdk::event_component! {
    "USER_SIGNUP" => |event| told_in_time(event, told::signed_up),
    "USER_LOGIN" => |event| told_in_time(event, suggestions::logged_in),
    "CONNECTION_REQUEST" => |event| told_in_time(event, told::requested),
}

devconnect_sdk::schedule_component! {
    "0 8 * * MON" => digest::weekly,
}

/// Milliseconds: what is older is no news. A topic has more than that when this component is new, or was away for long.
const NEWS: i64 = 3 * 86_400_000;

fn told_in_time(event: &Event, tell: fn(&Event) -> Result<(), Failure>) -> Result<(), Failure> {
    if event.timestamp()?.millis() < clock::now().millis() - NEWS {
        return Ok(());
    }
    tell(event)
}
