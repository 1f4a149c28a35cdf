//! Fetching: requests of components to servers of others.
//!
//! Here are the request's rules, the grant, which addresses are public, and how much may be under way; a [`Transport`]
//! sends. A server that does not answer is no store of the host that does not: its failures are values, and are counted
//! here.

mod address;
mod grant;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

pub use address::{Network, not_public};
pub use grant::Grant;
pub use server::{Host, MAX_URL, Scheme, Server, ServerPattern, Target};

use crate::settings::Settings;
use crate::signing::Signing;
use crate::text;

/// The largest body of a request, in bytes.
pub const MAX_BODY: usize = 256 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// The most bytes of its headers, names and values together.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// How long a request waits until others have ended.
const WAIT: Duration = Duration::from_secs(1);
/// What is left of a call's time when its request is given up, so that the component can say what became of it.
const LEFT: Duration = Duration::from_millis(250);
/// The headers that are the host's own: they say where a request goes and where it ends.
const OWN_HEADERS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

/// The limits of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For how long an answer is waited for, at most.
    pub time: Duration,
    /// The largest body of an answer, in bytes.
    pub response: usize,
    /// The most requests of one call.
    pub per_call: u32,
    /// The most requests of one component that are under way.
    pub per_component: usize,
    /// The most requests that are under way.
    pub in_flight: usize,
    /// Networks that are not public and may be connected to, where a component is granted their servers.
    pub private: Vec<Network>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            response: 1 << 20,
            per_call: 10,
            per_component: 50,
            in_flight: 200,
            private: Vec::new(),
        }
    }
}

/// A component's request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// Those with a secret in them.
    pub secret_headers: Vec<SecretHeader>,
    /// At most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
    /// For how long the answer is waited for; none, or more than the operator allows: as long as that.
    pub time: Option<Duration>,
}

/// A header with a secret in its value.
#[derive(Debug, Clone)]
pub struct SecretHeader {
    /// In any case.
    pub name: String,
    /// What stands before the secret.
    pub prefix: String,
    /// The secret's name.
    pub secret: String,
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status, of redirects too.
    pub status: u16,
    /// Names in lower case. Values that are no printable ASCII are left out.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not granted: the line of the manifest that would grant it.
    #[error("{0}")]
    Denied(String),
    /// Malformed, or outside a limit. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// Too many requests are under way. Nothing was sent.
    #[error("too many requests are under way")]
    Busy,
    /// No answer that can be used. What the server has done is not known.
    #[error("{0}")]
    Failed(String),
}

/// A request that was checked, on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it goes.
    pub server: Server,
    /// Its method, path and query, headers without those of the host, and body. Values of secrets are marked as
    /// sensitive.
    pub request: http::Request<Bytes>,
    /// The networks that are not public and may be connected to.
    pub private: Vec<Network>,
    /// The largest body of its answer, in bytes.
    pub response: usize,
}

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one and reads the answer. It follows no redirect, and connects to no address that is neither public nor in
    /// [`Outgoing::private`]. Whoever calls it drops it when the time is over.
    ///
    /// # Errors
    /// What went wrong, for people: nothing of the request but its server.
    async fn send(&self, outgoing: Outgoing) -> Result<Response, String>;
}

/// Who fetches.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// The component's name.
    pub component: &'a str,
    /// Its grant.
    pub grant: &'a Grant,
    /// When its call ends; none: nobody knows.
    pub end: Option<std::time::Instant>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, of whatever status.
    Answered,
    /// Not granted.
    Denied,
    /// Malformed, or outside a limit.
    Invalid,
    /// Too many were under way.
    Busy,
    /// Without an answer that can be used.
    Failed,
}

impl Outcome {
    /// All of them, in the order of [`Counts`].
    pub const ALL: [Outcome; 5] =
        [Outcome::Answered, Outcome::Denied, Outcome::Invalid, Outcome::Busy, Outcome::Failed];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Denied => "denied",
            Outcome::Invalid => "invalid",
            Outcome::Busy => "busy",
            Outcome::Failed => "failed",
        }
    }

    fn of(answer: &Result<Response, Error>) -> Self {
        match answer {
            Ok(_) => Outcome::Answered,
            Err(Error::Denied(_)) => Outcome::Denied,
            Err(Error::Invalid(_)) => Outcome::Invalid,
            Err(Error::Busy) => Outcome::Busy,
            Err(Error::Failed(_)) => Outcome::Failed,
        }
    }
}

/// What became of a component's requests since the host started.
#[derive(Debug, Default)]
pub struct Counts {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    micros: AtomicU64,
}

impl Counts {
    /// How many ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How long all of them took together.
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    fn count(&self, outcome: Outcome, time: Duration) {
        if let Some(count) = self.outcomes.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// What one component has under way, and had.
struct Share {
    places: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// The capability: checks requests, lets so many of them through at a time, and counts what becomes of them.
pub struct Fetch {
    transport: Arc<dyn Transport>,
    options: Options,
    places: Arc<Semaphore>,
    /// By component: as many as were ever deployed.
    shares: Mutex<BTreeMap<String, Arc<Share>>>,
}

impl Fetch {
    /// Over a transport, under these limits.
    pub fn new(transport: Arc<dyn Transport>, options: Options) -> Self {
        let places = Arc::new(Semaphore::new(options.in_flight));
        Self { transport, options, places, shares: Mutex::default() }
    }

    /// The most requests of one call.
    pub fn per_call(&self) -> u32 {
        self.options.per_call
    }

    /// What became of each component's requests.
    pub fn counts(&self) -> Vec<(String, Arc<Counts>)> {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.iter().map(|(component, share)| (component.clone(), share.counts.clone())).collect()
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(
        &self,
        fetcher: Fetcher<'_>,
        settings: &Settings,
        signing: &Signing,
        request: Request,
    ) -> Result<Response, Error> {
        let (share, begun) = (self.share(fetcher.component), Instant::now());
        let answer = self.sent(fetcher, settings, signing, request, &share).await;
        share.counts.count(Outcome::of(&answer), begun.elapsed());
        answer
    }

    async fn sent(
        &self,
        fetcher: Fetcher<'_>,
        settings: &Settings,
        signing: &Signing,
        request: Request,
        share: &Share,
    ) -> Result<Response, Error> {
        let time = request.time.map_or(self.options.time, |time| time.min(self.options.time));
        let outgoing = self.checked(fetcher.grant, settings, signing, request)?;
        let server = outgoing.server.to_string();
        let now = Instant::now();
        let end = fetcher.end.and_then(|end| Instant::from_std(end).checked_sub(LEFT));
        let deadline = end.map_or(now + time, |end| end.min(now + time));
        let late = || {
            let waited = deadline.saturating_duration_since(now).as_millis();
            Error::Failed(format!("{server} did not answer in {waited} ms"))
        };
        if deadline <= now {
            return Err(Error::Failed(format!("no time is left in this call to ask {server} (limits.wall-ms)")));
        }
        let _places = self.enter(share, deadline.min(now + WAIT)).await.ok_or(Error::Busy)?;
        let answer = timeout_at(deadline, self.transport.send(outgoing)).await.map_err(|_| late())?;
        answer.map_err(|why| Error::Failed(text::cut(&format!("{server}: {why}"), text::MAX_REASON)))
    }

    /// Waits for a place of the component's own, and for one of the host's.
    async fn enter(&self, share: &Share, until: Instant) -> Option<[OwnedSemaphorePermit; 2]> {
        let entering = async {
            let own = share.places.clone().acquire_owned().await.ok()?;
            Some([own, self.places.clone().acquire_owned().await.ok()?])
        };
        timeout_at(until, entering).await.ok()?
    }

    fn share(&self, component: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(component) {
            return share.clone();
        }
        let places = Arc::new(Semaphore::new(self.options.per_component));
        let share = Arc::new(Share { places, counts: Arc::default() });
        shares.insert(component.to_owned(), share.clone());
        share
    }

    /// The request as it goes out.
    fn checked(
        &self,
        grant: &Grant,
        settings: &Settings,
        signing: &Signing,
        request: Request,
    ) -> Result<Outgoing, Error> {
        let Request { method, url, headers, secret_headers, body, time } = request;
        let Target { server, path } = url.parse::<Target>().map_err(Error::Invalid)?;
        grant.check_server(&server, settings).map_err(Error::Denied)?;
        let method = match method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            other => {
                let other = text::quoted(other);
                return Err(invalid(format_args!(
                    "the method {other}: there are GET, HEAD, POST, PUT, PATCH and DELETE"
                )));
            }
        };
        if time.is_some_and(|time| time.is_zero()) {
            return Err(invalid(format_args!("an answer is waited for from one millisecond on")));
        }
        if body.len() > MAX_BODY {
            return Err(invalid(format_args!("a body takes at most {MAX_BODY} bytes, not {}", body.len())));
        }
        let mut given = HeaderMap::new();
        for (name, value) in &headers {
            add(&mut given, name, value.as_bytes(), false)?;
        }
        for SecretHeader { name, prefix, secret } in &secret_headers {
            grant.check_secret(secret, &server).map_err(Error::Denied)?;
            let Some(value) = signing.value(secret) else {
                return Err(invalid(format_args!("no secret {} is set", text::quoted(secret))));
            };
            let value = zeroize::Zeroizing::new([prefix.as_bytes(), value].concat());
            add(&mut given, name, &value, true)?;
        }
        check_size(&given)?;
        given.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("devconnect"));
        // What comes is not decompressed.
        given.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        let mut request = http::Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() =
            path.parse::<http::Uri>().map_err(|_| invalid(format_args!("the URL's path is malformed")))?;
        *request.headers_mut() = given;
        let private = grant.private.iter().chain(&self.options.private).copied().collect();
        Ok(Outgoing { server, request, private, response: self.options.response })
    }
}

/// Adds a header. The error shows no value: it may be a secret.
fn add(headers: &mut HeaderMap, name: &str, value: &[u8], is_secret: bool) -> Result<(), Error> {
    let shown = text::quoted(name);
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(format_args!("{shown} is no header's name")))?;
    let of_connection = ["keep-alive", "proxy-connection"].contains(&name.as_str());
    if OWN_HEADERS.contains(&name) || of_connection {
        return Err(invalid(format_args!("the header {shown} is the host's own")));
    }
    let is_plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let value = HeaderValue::from_bytes(value).ok().filter(|_| is_plain);
    let mut value = value
        .ok_or_else(|| invalid(format_args!("the value of the header {shown} takes printable ASCII on one line")))?;
    value.set_sensitive(is_secret);
    if headers.len() >= MAX_HEADERS {
        return Err(invalid(format_args!("a request has at most {MAX_HEADERS} headers")));
    }
    headers.append(name, value);
    Ok(())
}

fn check_size(headers: &HeaderMap) -> Result<(), Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(invalid(format_args!("the headers take at most {MAX_HEADER_BYTES} bytes together, not {bytes}")));
    }
    Ok(())
}

fn invalid(why: fmt::Arguments<'_>) -> Error {
    Error::Invalid(why.to_string())
}
