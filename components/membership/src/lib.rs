//! The membership that a member buys, paid through PhonePe. The price is ours, and a payment is recorded before its
//! page is opened. Its tier comes to count once the payment server has said that this payment, with its member, tier
//! and amount, is paid: in its callback, or when it is asked. Whichever comes first upgrades, in one commit, and
//! everything after it finds the payment done.

mod callback;
mod confirm;
mod create;
mod described;
mod payment;
mod phonepe;
mod tier;

use devconnect_sdk::prelude::*;

devconnect_sdk::http_component! {
    POST "/payments/phonepe/create" as described::CREATE => create::create,
    POST "/payments/phonepe/confirm" as described::CONFIRM => confirm::confirm,
    POST "/payments/phonepe/callback" as described::CALLBACK => callback::called_back,
}

/// What is said once a tier counts.
const ACTIVATED: &str = "Premium activated";

/// 503: the operator has set up no payments. Nobody's failure, so nothing is logged.
fn not_set_up() -> Response {
    Response::json(&doc! { "message": "Payments are not set up on this server" }).status(503)
}
