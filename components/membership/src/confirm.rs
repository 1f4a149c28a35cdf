//! Confirming a payment: its member asks, and the payment server is asked. What counts is what it says, and what is
//! recorded.

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::rate::Rate;
use model::user;
use serde_json::Value;

use crate::payment::{Payment, missing};
use crate::phonepe::{PhonePe, State};
use crate::tier::Tier;
use crate::{ACTIVATED, not_set_up};

const CONFIRMATIONS: Rate = Rate {
    name: "confirmations",
    setting: "limits.confirmations",
    most: 30,
    seconds: 60,
    refusal: "You are confirming payments too fast, please slow down",
};

pub(crate) fn confirm(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut body = Body::of(request)?;
    let tier = body.optional("membershipTier", Tier::read);
    let id = body.optional("txnId", id_of);
    body.finish()?;
    CONFIRMATIONS.count(&me.to_hex())?;
    let Some(phonepe) = PhonePe::set_up()? else { return Ok(not_set_up()) };
    let payments = match (id, tier) {
        (Some(id), tier) => vec![own(&id, me, tier)?],
        (None, Some(tier)) => Payment::newest(me, tier)?,
        (None, None) => return Err(Error::bad_request("membershipTier or txnId is required")),
    };
    if payments.is_empty() {
        return Err(missing());
    }
    let mut all_failed = true;
    for payment in &payments {
        match state_of(payment, &phonepe)? {
            State::Paid => return activated(me),
            State::Failed => {}
            State::Pending => all_failed = false,
        }
    }
    let why = if all_failed { "The payment has failed" } else { "The payment is not completed yet" };
    Err(Error::bad_request(why))
}

/// A payment of this member, and of this tier where one is said.
fn own(id: &str, me: ObjectId, tier: Option<Tier>) -> Result<Payment, Error> {
    let payment = Payment::find(id)?.ok_or_else(missing)?;
    let warn = |why: &str| log::warn(why, &[("payment", id), ("member", &me.to_hex())]);
    if payment.user != me {
        warn("a member confirms the payment of another one");
        return Err(Error::forbidden("This is not your payment"));
    }
    if tier.is_some_and(|tier| tier != payment.tier) {
        warn("a member confirms a payment for another tier than it is recorded for");
        return Err(Error::bad_request("This payment is for another membership"));
    }
    Ok(payment)
}

/// What has become of a payment. One that is paid is done after this.
fn state_of(payment: &Payment, phonepe: &PhonePe) -> Result<State, Error> {
    if payment.is_done {
        return Ok(State::Paid);
    }
    let report = phonepe.ask(payment)?;
    match report.state {
        State::Paid => payment.paid(&report, phonepe)?,
        State::Failed => payment.failed()?,
        State::Pending => {}
    }
    Ok(report.state)
}

fn activated(me: ObjectId) -> Result<Response, Error> {
    let user: Option<Document> = collection(user::COLLECTION).by_id(me)?;
    let user = user.map(user::own).ok_or_else(|| Error::not_found("User not found"))?;
    Ok(Response::json(&doc! { "message": ACTIVATED, "user": user }))
}

/// What may be the id of a payment.
fn id_of(value: &Value) -> Result<String, String> {
    let is_id = |text: &&str| text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    value.as_str().filter(is_id).map(str::to_owned).ok_or_else(|| "must be the txnId of a payment".to_owned())
}
