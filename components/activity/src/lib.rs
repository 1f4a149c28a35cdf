//! When a member was last seen, and last logged in: kept for a day, in the cache alone, by what user-events tell.
//! The times are the events' own. An older event that comes again sets nothing back.

use devconnect_sdk::cache;
use devconnect_sdk::event::{Event, Failure};

devconnect_sdk::event_component! {
    "USER_SIGNUP" => logged_in,
    "USER_LOGIN" => logged_in,
    "USER_LOGOUT" => seen,
    "USER_ONLINE" => seen,
    "USER_OFFLINE" => seen,
}

/// How long both are kept, in seconds.
const AGE: u32 = 86_400;

fn seen(event: &Event) -> Result<(), Failure> {
    keep(event, "last_seen")
}

/// A sign-up logs in, too.
fn logged_in(event: &Event) -> Result<(), Failure> {
    keep(event, "last_login")?;
    seen(event)
}

fn keep(event: &Event, what: &str) -> Result<(), Failure> {
    let key = format!("user:{}:{what}", event.user_id()?.to_hex());
    let at = event.timestamp()?.to_string();
    // As text, ISO dates of one length are in the order of time.
    let newer = cache::get(&key)?.is_some_and(|kept| kept.as_slice() >= at.as_bytes());
    if !newer {
        cache::set(&key, at.as_bytes(), AGE)?;
    }
    Ok(())
}
