//! A stand-in for the payment server, on loopback. It checks the signature of all that it is asked, and signs what it
//! says itself, with its own code: nothing here is the host's.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::left::locked;
use crate::{Expected, ServerOptions};

/// The merchant that it knows.
const MERCHANT: &str = "PGTESTMERCHANT";
/// The key that both sides sign with.
const SALT_KEY: &str = "3b6e1d0f-9c84-4f7a-b2d5-71e0a8c4f962";
const SALT_INDEX: &str = "2";
/// What is before its paths, and in no signature.
const PREFIX: &str = "/apis/pg-sandbox";

/// The stand-in, until it is dropped.
pub struct PaymentServer {
    url: String,
    orders: Arc<Mutex<Orders>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Orders {
    /// By transaction.
    orders: BTreeMap<String, Order>,
    /// How often it was asked something.
    asked: u64,
    /// How often with a wrong signature.
    refused: u64,
}

#[derive(Clone)]
struct Order {
    amount: i64,
    user: String,
    is_paid: bool,
}

impl PaymentServer {
    /// Listens.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}{PREFIX}", listener.local_addr().expect("its address"));
        let orders = Arc::<Mutex<Orders>>::default();
        let kept = orders.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let orders = kept.clone();
                let service = service_fn(move |request| answer(request, orders.clone()));
                tokio::spawn(
                    async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await },
                );
            }
        });
        Self { url, orders, task }
    }

    /// For a host that pays there. It is on loopback, which has to be named.
    pub fn options(&self) -> ServerOptions {
        let environment = [
            ("PHONEPE_BASE_URL", self.url.as_str()),
            ("PHONEPE_MERCHANT_ID", MERCHANT),
            ("PHONEPE_SALT_KEY", SALT_KEY),
            ("PHONEPE_SALT_INDEX", SALT_INDEX),
        ];
        ServerOptions {
            environment: environment.map(|(name, value)| (name, value.to_owned())).into(),
            config: Some("[fetch]\nprivate = [\"127.0.0.1\"]\n"),
            ..ServerOptions::default()
        }
    }

    /// For a host that does not reach it: 503s are expected.
    pub fn out_of_reach(&self) -> ServerOptions {
        let expects = vec![Expected::Outcome("membership", "unable"), Expected::Warning("fetch: ")];
        ServerOptions { config: None, expects, ..self.options() }
    }

    /// The member pays.
    pub fn pay(&self, txn: &str) {
        locked(&self.orders).orders.get_mut(txn).expect("an order of this transaction").is_paid = true;
    }

    /// The amount and the user of an order.
    pub fn order(&self, txn: &str) -> (i64, String) {
        let order = locked(&self.orders).orders.get(txn).cloned().expect("an order of this transaction");
        (order.amount, order.user)
    }

    /// How often it was asked something, and how often with a wrong signature.
    pub fn asked(&self) -> (u64, u64) {
        let orders = locked(&self.orders);
        (orders.asked, orders.refused)
    }

    /// The body and the `X-VERIFY` of its own call that says that so much was paid.
    pub fn callback(&self, txn: &str, amount: i64) -> (Value, String) {
        let response = STANDARD.encode(report(txn, amount, true).to_string());
        let verify = signature(&response);
        (json!({ "response": response }), verify)
    }
}

impl Drop for PaymentServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>, orders: Arc<Mutex<Orders>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let order = body.get("request").and_then(Value::as_str).unwrap_or_default();
    let verify = head.headers.get("x-verify").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut orders = locked(&orders);
    orders.asked += 1;
    if verify != signature(&format!("{order}{path}")) {
        orders.refused += 1;
        return Ok(said(StatusCode::UNAUTHORIZED, &json!({ "success": false, "code": "AUTHORIZATION_FAILED" })));
    }
    let status = format!("/pg/v1/status/{MERCHANT}/");
    Ok(match (head.method.as_str(), path.as_str()) {
        ("POST", "/pg/v1/pay") => opened(order, &mut orders),
        ("GET", path) if path.starts_with(&status) => {
            let txn = &path[status.len()..];
            match orders.orders.get(txn) {
                Some(order) => said(StatusCode::OK, &report(txn, order.amount, order.is_paid)),
                None => said(StatusCode::NOT_FOUND, &json!({ "success": false, "code": "TRANSACTION_NOT_FOUND" })),
            }
        }
        _ => said(StatusCode::NOT_FOUND, &json!({ "success": false, "code": "NOT_FOUND" })),
    })
}

fn opened(order: &str, orders: &mut Orders) -> Response<Full<Bytes>> {
    let order: Value =
        STANDARD.decode(order).ok().and_then(|order| serde_json::from_slice(&order).ok()).unwrap_or_default();
    let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (txn, amount) =
        (text("merchantTransactionId"), order.get("amount").and_then(Value::as_i64).unwrap_or_default());
    let callback = text("callbackUrl").ends_with("/payments/phonepe/callback");
    if text("merchantId") != MERCHANT || txn.is_empty() || txn.len() > 35 || amount < 100 || !callback {
        return said(StatusCode::BAD_REQUEST, &json!({ "success": false, "code": "BAD_REQUEST" }));
    }
    let url = format!("https://pay.example/page/{txn}");
    orders.orders.insert(txn, Order { amount, user: text("merchantUserId"), is_paid: false });
    let page = json!({ "type": "PAY_PAGE", "redirectInfo": { "url": url, "method": "GET" } });
    said(
        StatusCode::OK,
        &json!({ "success": true, "code": "PAYMENT_INITIATED", "data": { "instrumentResponse": page } }),
    )
}

/// What it says of a transaction.
fn report(txn: &str, amount: i64, is_paid: bool) -> Value {
    let (code, state) = if is_paid { ("PAYMENT_SUCCESS", "COMPLETED") } else { ("PAYMENT_PENDING", "PENDING") };
    let data = json!({
        "merchantId": MERCHANT, "merchantTransactionId": txn, "transactionId": format!("T{txn}"), "amount": amount,
        "state": state,
    });
    json!({ "success": true, "code": code, "data": data })
}

fn said(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
}

fn signature(signed: &str) -> String {
    let hash = Sha256::digest(format!("{signed}{SALT_KEY}"));
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}###{SALT_INDEX}")
}
