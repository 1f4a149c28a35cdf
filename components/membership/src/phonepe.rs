//! The payment server: what it is asked, what it says, and the signatures of both. `X-VERIFY` is the SHA-256 of what is
//! signed with the salt key behind it, in hex, then `###` and the salt's index. The key stays in the host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use devconnect_sdk::fetch::Request;
use devconnect_sdk::prelude::*;
use devconnect_sdk::{config, signing};
use serde_json::{Value, json};

use crate::payment::Payment;

/// The name of the salt key.
const SECRET: &str = "phonepe";
/// What stands between a signature and the salt's index.
const INDEX: &str = "###";
/// How long a request may take, in milliseconds. A confirmation sends three, and has 20 s.
const TIME: u32 = 5_000;
/// The longest URL of a payment's page.
const MAX_URL: usize = 2_048;
/// The longest reference of the payment server's own.
const MAX_REFERENCE: usize = 100;

/// The payment server, as the operator has set it up.
pub(crate) struct PhonePe {
    base_url: String,
    merchant: String,
    salt_index: String,
}

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Paid,
    Failed,
    /// Neither yet, or nobody knows.
    Pending,
}

/// What the payment server says of a payment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: State,
    merchant: String,
    pub(crate) payment: String,
    /// None: no whole number.
    amount: Option<i64>,
    /// Its own name for it.
    pub(crate) reference: Option<String>,
}

impl PhonePe {
    /// None: it is not set up.
    pub(crate) fn set_up() -> Result<Option<Self>, Error> {
        let get = |name: &str| Ok::<_, Error>(config::get(name)?.unwrap_or_default().trim().to_owned());
        let (base_url, merchant) = (get("phonepe.base-url")?, get("phonepe.merchant-id")?);
        if base_url.is_empty() || merchant.is_empty() {
            return Ok(None);
        }
        match signing::sign(SECRET, b"") {
            Ok(_) => {}
            Err(signing::Error::Unknown(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if !merchant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(Error::internal("the setting phonepe.merchant-id takes letters, digits, `-` and `_`"));
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Some(Self { base_url, merchant, salt_index: get("phonepe.salt-index")? }))
    }

    /// The page where a payment is paid.
    pub(crate) fn page(&self, payment: &Payment) -> Result<String, Error> {
        const PATH: &str = "/pg/v1/pay";
        let get = |name: &str| Ok::<_, Error>(config::get(name)?.unwrap_or_default());
        let public_url = get("public-url")?;
        let redirect_url = Some(get("phonepe.redirect-url")?).filter(|url| !url.is_empty());
        let order = json!({
            "merchantId": self.merchant,
            "merchantTransactionId": payment.id,
            "merchantUserId": payment.user.to_hex(),
            "amount": payment.amount,
            "redirectUrl": redirect_url.as_ref().unwrap_or(&public_url),
            "redirectMode": "REDIRECT",
            "callbackUrl": format!("{}/payments/phonepe/callback", public_url.trim_end_matches('/')),
            "paymentInstrument": { "type": "PAY_PAGE" },
        });
        let order = STANDARD.encode(order.to_string());
        let signed = self.signature(&format!("{order}{PATH}"))?;
        let request = Request::post(format!("{}{PATH}", self.base_url)).json(&json!({ "request": order }));
        let answer = request.header("accept", "application/json").header("x-verify", signed).timeout_ms(TIME).send()?;
        let said: Value = answer.json().unwrap_or_default();
        let url = said.pointer("/data/instrumentResponse/redirectInfo/url").and_then(Value::as_str).unwrap_or_default();
        let is_page = url.len() <= MAX_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
        if is_success(&said) && is_page && (url.starts_with("https://") || url.starts_with("http://")) {
            return Ok(url.to_owned());
        }
        Err(Error::Unavailable(format!("the payment server opens no page: {}, {}", answer.status(), code(&said))))
    }

    /// What has become of a payment.
    pub(crate) fn ask(&self, payment: &Payment) -> Result<Report, Error> {
        let path = format!("/pg/v1/status/{}/{}", self.merchant, payment.id);
        let signed = self.signature(&path)?;
        let request = Request::get(format!("{}{path}", self.base_url)).header("accept", "application/json");
        let request = request.header("x-verify", signed).header("x-merchant-id", self.merchant.as_str());
        let answer = request.timeout_ms(TIME).send()?;
        let said = answer.json::<Value>().filter(|said| answer.status() < 500 && said.is_object());
        said.map(|said| Report::of(&said)).ok_or_else(|| {
            Error::Unavailable(format!("the payment server does not say what became of a payment: {}", answer.status()))
        })
    }

    /// What it says in a call of its own, where the signature is its own: 403 otherwise.
    pub(crate) fn told(&self, response: &str, verify: Option<&str>) -> Result<Report, Error> {
        let (signature, index) = verify.and_then(|verify| verify.split_once(INDEX)).unwrap_or_default();
        let signature = from_hex(signature).filter(|_| index == self.salt_index);
        let is_own = match signature {
            Some(signature) => signing::verify(SECRET, response.as_bytes(), &signature)?,
            None => false,
        };
        if !is_own {
            return Err(Error::forbidden("This is not signed by the payment server"));
        }
        let said = STANDARD.decode(response).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let said = said.filter(Value::is_object);
        said.map(|said| Report::of(&said)).ok_or_else(|| Error::bad_request("response is no JSON in base64"))
    }

    /// `X-VERIFY` of what is sent.
    fn signature(&self, signed: &str) -> Result<String, Error> {
        let signature = signing::sign(SECRET, signed.as_bytes())?;
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{signature}{INDEX}{}", self.salt_index))
    }
}

impl Report {
    /// Of an answer, or of what a callback says.
    fn of(said: &Value) -> Self {
        let field = |name: &str| said.get("data").and_then(|data| data.get(name));
        let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = match (is_success(said), code(said), text("state").as_str()) {
            (true, "PAYMENT_SUCCESS", "COMPLETED") => State::Paid,
            (false, "PAYMENT_ERROR" | "PAYMENT_DECLINED" | "PAYMENT_CANCELLED" | "TIMED_OUT", _) => State::Failed,
            _ => State::Pending,
        };
        let reference = Some(text("transactionId")).filter(|text| (1..=MAX_REFERENCE).contains(&text.len()));
        let (merchant, payment) = (text("merchantId"), text("merchantTransactionId"));
        Self { state, merchant, payment, amount: field("amount").and_then(Value::as_i64), reference }
    }

    /// What of the recorded payment it is not about; none: it is about this payment.
    pub(crate) fn differs(&self, payment: &Payment, phonepe: &PhonePe) -> Option<&'static str> {
        if self.merchant != phonepe.merchant {
            return Some("merchant");
        }
        if self.payment != payment.id {
            return Some("transaction");
        }
        (self.amount != Some(payment.amount)).then_some("amount")
    }
}

/// The payment server's word for how it went.
fn code(said: &Value) -> &str {
    said.get("code").and_then(Value::as_str).unwrap_or_default()
}

fn is_success(said: &Value) -> bool {
    said.get("success").and_then(Value::as_bool) == Some(true)
}

/// A SHA-256 of 64 hex digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, state: &str, success: bool) -> State {
        Report::of(&json!({ "success": success, "code": code, "data": { "state": state } })).state
    }

    #[test]
    fn only_one_word_is_that_it_is_paid() {
        assert_eq!(said("PAYMENT_SUCCESS", "COMPLETED", true), State::Paid);
        for (code, state, success) in [
            ("PAYMENT_SUCCESS", "COMPLETED", false),
            ("PAYMENT_SUCCESS", "PENDING", true),
            ("PAYMENT_SUCCESS", "", true),
            ("payment_success", "COMPLETED", true),
            ("SUCCESS", "COMPLETED", true),
            ("", "COMPLETED", true),
            ("PAYMENT_PENDING", "PENDING", true),
            ("TRANSACTION_NOT_FOUND", "", false),
            ("INTERNAL_SERVER_ERROR", "", false),
        ] {
            assert_eq!(said(code, state, success), State::Pending, "{code} {state} {success}");
        }
        for code in ["PAYMENT_ERROR", "PAYMENT_DECLINED", "TIMED_OUT"] {
            assert_eq!(said(code, "FAILED", false), State::Failed, "{code}");
        }
        for odd in [json!({}), json!({ "data": 1 }), json!({ "success": "true", "code": 1, "data": [] })] {
            assert_eq!(Report::of(&odd).state, State::Pending, "{odd}");
        }
    }

    #[test]
    fn a_word_is_about_one_payment_and_one_amount() {
        let phonepe = PhonePe { base_url: String::new(), merchant: "M1".into(), salt_index: "1".into() };
        let (id, user) = ("ab".repeat(16), ObjectId::from_bytes([1; 12]));
        let payment = Payment { id: id.clone(), user, tier: crate::tier::Tier::Silver, amount: 9_900, is_done: false };
        let differs = |merchant: &str, payment_id: &str, amount: Value| {
            let data = json!({ "merchantId": merchant, "merchantTransactionId": payment_id, "amount": amount });
            Report::of(&json!({ "data": data })).differs(&payment, &phonepe)
        };
        assert_eq!(differs("M1", &id, json!(9_900)), None);
        assert_eq!(differs("M2", &id, json!(9_900)), Some("merchant"));
        assert_eq!(differs("M1", "other", json!(9_900)), Some("transaction"));
        for amount in [json!(1), json!(19_900), json!(9_900.5), json!("9900"), json!(-9_900), Value::Null, json!(1e300)]
        {
            assert_eq!(differs("M1", &id, amount.clone()), Some("amount"), "{amount}");
        }
    }
}
