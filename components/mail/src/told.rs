//! What is told when it happens: that a new member is welcome, and that somebody wants to connect.

use devconnect_sdk::event::{Event, Failure};
use model::events::ConnectionTold;

use crate::letter::Letter;
use crate::member::Member;

pub(crate) fn signed_up(event: &Event) -> Result<(), Failure> {
    let Some(member) = Member::wanting("welcomeEmail", event.user_id()?)? else { return Ok(()) };
    Letter::new("Welcome to DevConnect")
        .paragraph("Welcome to DevConnect, where developers find each other.")
        .paragraph("Put what you know into your profile: others find you by your skills, and your feed follows them.")
        .send(&member)?;
    Ok(())
}

pub(crate) fn requested(event: &Event) -> Result<(), Failure> {
    let request: ConnectionTold = event.data()?;
    // To be ignored is nobody's business.
    if request.status != "interested" {
        return Ok(());
    }
    let Some(member) = Member::wanting("connectionRequests", request.to_user_id)? else { return Ok(()) };
    // Who is gone can't be answered.
    let Some(from) = Member::find(request.from_user_id)? else { return Ok(()) };
    let says = format!("{} wants to connect with you", from.full_name());
    Letter::new(&says)
        .paragraph(&format!("{says} on DevConnect."))
        .paragraph("Log in to see the profile and to accept or decline.")
        .send(&member)?;
    Ok(())
}
