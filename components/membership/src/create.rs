//! Beginning a payment: it is recorded, and the payment server opens a page for it.

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::rate::Rate;
use model::user;

use crate::not_set_up;
use crate::payment::Payment;
use crate::phonepe::PhonePe;
use crate::tier::Tier;

const PAYMENTS: Rate = Rate {
    name: "payments",
    setting: "limits.payments",
    most: 20,
    seconds: 3_600,
    refusal: "You have begun too many payments, please try again later",
};

pub(crate) fn create(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut body = Body::of(request)?;
    let tier = body.required("membershipTier", Tier::read);
    body.finish()?;
    // `finish` has refused a body without it.
    let Some(tier) = tier else { return Err(Error::bad_request("membershipTier is required")) };
    PAYMENTS.count(&me.to_hex())?;
    let Some(phonepe) = PhonePe::set_up()? else { return Ok(not_set_up()) };
    let query = collection(user::COLLECTION).find(doc! { "_id": me }).project(doc! { "membershipTier": 1 });
    let user: Document = query.first()?.ok_or_else(|| Error::not_found("User not found"))?;
    let has = user::cast(user).get_str("membershipTier").and_then(Tier::named);
    if has >= Some(tier) {
        return Err(Error::bad_request("You have this membership already"));
    }
    let payment = Payment::begin(me, tier)?;
    let url = match phonepe.page(&payment) {
        Ok(url) => url,
        Err(error) => {
            // Nobody has its page, so nobody is asked about it.
            payment.failed()?;
            return Err(error);
        }
    };
    Ok(Response::json(&doc! { "url": url, "txnId": payment.id }))
}
