//! A host with payments, its members, and a stand-in for the payment server, which signs as the real one does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{App, Bson, Document, ObjectId, Reply, Request, StandIn, Value, doc, json};

pub(crate) const BASE: &str = "https://pay.example/apis/pg";
pub(crate) const MERCHANT: &str = "M1";
pub(crate) const SALT_KEY: &str = "8f14e45f-ceea-467f-a1d1-6e0b2c3d9a57";
pub(crate) const PAGE: &str = "https://pay.example/page?token=abc";

/// What became of a payment, by the payment server's word.
pub(crate) const PAID: (&str, &str) = ("PAYMENT_SUCCESS", "COMPLETED");
pub(crate) const PENDING: (&str, &str) = ("PAYMENT_PENDING", "PENDING");
pub(crate) const FAILED: (&str, &str) = ("PAYMENT_ERROR", "FAILED");

/// A host on which payments are set up.
pub(crate) struct Shop(pub(crate) App);

/// A member with a session.
pub(crate) struct Member {
    pub(crate) id: ObjectId,
    pub(crate) token: String,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::with(&["membership"])
    }

    pub(crate) fn with(components: &[&str]) -> Self {
        let setup = App::setup(components).variable("PHONEPE_BASE_URL", BASE).variable("PHONEPE_MERCHANT_ID", MERCHANT);
        let app = setup.variable("PHONEPE_SALT_KEY", SALT_KEY).start();
        let url = format!("{BASE}/pg/v1/pay");
        let page = json!({ "redirectInfo": { "url": PAGE, "method": "GET" }, "type": "PAY_PAGE" });
        let opened = json!({ "success": true, "code": "PAYMENT_INITIATED", "data": { "instrumentResponse": page } });
        app.stand_in(StandIn::of("POST", &url).json(&opened));
        Self(app)
    }

    pub(crate) fn member(&self, name: &str, tier: &str) -> Member {
        member(&self.0, name, tier)
    }

    pub(crate) fn post(&self, what: &str, member: &Member, body: &Value) -> Request<'_> {
        self.0.post(&format!("/payments/phonepe/{what}")).token(&member.token).json(body)
    }

    /// A payment that a member begins; its id.
    pub(crate) fn begin(&self, member: &Member, tier: &str) -> String {
        let reply = self.post("create", member, &json!({ "membershipTier": tier })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["txnId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn confirm(&self, member: &Member, body: &Value) -> Reply {
        self.post("confirm", member, body).send()
    }

    /// From here on the payment server says this of a payment, when it is asked.
    pub(crate) fn says(&self, txn: &str, amount: i64, word: (&str, &str)) {
        let url = format!("{BASE}/pg/v1/status/{MERCHANT}/{txn}");
        self.0.stand_in(StandIn::of("GET", &url).json(&said(txn, amount, word)));
    }

    /// A call of the payment server's own.
    pub(crate) fn callback(&self, said: &Value) -> Request<'_> {
        let response = STANDARD.encode(said.to_string());
        self.signed(&response, &format!("{}###1", self.0.sign("phonepe", &response)))
    }

    /// A call that says to be the payment server's.
    pub(crate) fn signed(&self, response: &str, verify: &str) -> Request<'_> {
        let request = self.0.post("/payments/phonepe/callback").header("x-verify", verify);
        request.json(&json!({ "response": response }))
    }

    pub(crate) fn payment(&self, txn: &str) -> Document {
        self.0.find("payments", doc! { "_id": txn }).remove(0)
    }

    /// What of a member a membership changes.
    pub(crate) fn membership(&self, member: &Member) -> (String, bool, bool) {
        let user = self.0.find("users", doc! { "_id": member.id }).remove(0);
        let tier = user.get_str("membershipTier").unwrap().to_owned();
        (tier, user.get_bool("isPremium").unwrap(), user.contains_key("premiumActivatedAt"))
    }

    pub(crate) fn is_unchanged(&self, member: &Member) -> bool {
        self.membership(member) == ("free".to_owned(), false, false)
    }
}

pub(crate) fn member(app: &App, name: &str, tier: &str) -> Member {
    let id = ObjectId::new();
    let email = format!("{}@example.com", name.to_lowercase());
    app.insert(
        "users",
        doc! {
            "_id": id, "firstName": name, "lastName": "Test", "emailId": &email, "emailKey": &email,
            "password": "$argon2id$", "skills": [], "isPremium": tier != "free", "membershipTier": tier,
        },
    );
    Member { id, token: app.log_in(id) }
}

/// What the payment server says of a payment.
pub(crate) fn said(txn: &str, amount: i64, (code, state): (&str, &str)) -> Value {
    json!({
        "success": code == PAID.0 || code == PENDING.0,
        "code": code,
        "message": "as it went",
        "data": {
            "merchantId": MERCHANT, "merchantTransactionId": txn, "transactionId": "T2026", "amount": amount,
            "state": state, "responseCode": "SUCCESS", "paymentInstrument": { "type": "UPI" },
        },
    })
}

/// What a payment is of, in paise.
pub(crate) fn amount(payment: &Document) -> i64 {
    match payment.get("amount") {
        Some(Bson::Int32(amount)) => i64::from(*amount),
        Some(Bson::Int64(amount)) => *amount,
        other => panic!("no amount: {other:?}"),
    }
}

/// The JSON in a base64 text.
pub(crate) fn decoded(text: &str) -> Value {
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap().parse().unwrap()
}
