//! The payment server's own call, when a payment is decided. Its signature says that it is the payment server; what it
//! says has to be about what is recorded.

use devconnect_sdk::prelude::*;

use crate::payment::{Payment, missing};
use crate::phonepe::{PhonePe, State};
use crate::{ACTIVATED, not_set_up};

pub(crate) fn called_back(request: &Request) -> Result<Response, Error> {
    let Some(phonepe) = PhonePe::set_up()? else { return Ok(not_set_up()) };
    // It may have other fields: only this one is signed.
    let body: serde_json::Map<String, serde_json::Value> = request.json()?;
    let response = body.get("response").and_then(serde_json::Value::as_str);
    let response = response.ok_or_else(|| Error::bad_request("response is required, and a text"))?;
    let report = phonepe.told(response, request.header("x-verify"))?;
    let Some(payment) = Payment::find(&report.payment)? else {
        log::warn(
            "the payment server's word is about a payment that nobody has recorded",
            &[("payment", &report.payment)],
        );
        return Err(missing());
    };
    let message = match report.state {
        State::Paid => {
            payment.paid(&report, &phonepe)?;
            ACTIVATED
        }
        State::Failed => {
            payment.failed()?;
            "The payment has failed"
        }
        State::Pending => "The payment is not completed yet",
    };
    Ok(Response::json(&doc! { "message": message }))
}
