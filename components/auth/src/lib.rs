//! Signing up, logging in and logging out. The host makes and ends sessions with the commits of this component;
//! no token and no cookie is ever seen here.

mod described;
mod login;
mod signup;

use devconnect_sdk::prelude::*;
use model::events::{Logout, USER_EVENTS};

devconnect_sdk::http_component! {
    POST "/signup" as described::SIGN_UP => signup::sign_up,
    POST "/login" as described::LOG_IN => login::log_in,
    POST "/logout" as described::LOG_OUT => log_out,
}

fn log_out(request: &Request) -> Result<Response, Error> {
    let caller = request.identity()?;
    Commit::new()
        .end_session(&caller.subject, &caller.session)
        .envelope(USER_EVENTS, &caller.subject, &Logout {}.event(&caller.subject))
        .run()?;
    // The spelling is part of the contract.
    Ok(Response::text("Logout successfull"))
}
