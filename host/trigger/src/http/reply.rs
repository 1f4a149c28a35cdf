//! Replies: the responses of components and of the host, with the headers that all of them have.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};

use crate::http::Body;
use crate::http::cookies::{CookieRules, may_set, set_cookie};
use crate::http::origin::Verdict;
use crate::http::pages::{SANDBOX, is_active};
use capability::refusals::Refusal;
use capability::text;
use engine::Answer;

/// The most headers of a response. The engine allows fewer; a map of them panics when it is full.
const MAX_HEADERS: usize = 1_000;
/// The headers that the host adds to a response, about.
const COMMON_HEADERS: usize = 8;
/// The most cookies that one response of a component sets, and the most bytes of them: a browser sends them with each request.
const MAX_COOKIES: usize = 8;
const MAX_COOKIE_BYTES: usize = 4 << 10;
/// The most bytes of header names that a preflight allows.
const MAX_ASKED: usize = 1 << 10;

/// A response before it is sent.
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// An error response that the host gives instead of a component.
#[derive(Debug)]
pub(super) struct ErrorReply {
    pub(super) status: StatusCode,
    pub(super) message: String,
    plain: bool,
    incident: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ErrorReply {
    /// As JSON `{"message": …}`.
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        Self { status, message: message.to_owned(), plain: false, incident: None, headers: Vec::new() }
    }

    /// As plain text.
    pub(super) fn text(status: StatusCode, message: &str) -> Self {
        Self { plain: true, ..Self::new(status, message) }
    }

    /// 503 with `Retry-After`.
    pub(super) fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).with(header::RETRY_AFTER, "1")
    }

    /// A limit is reached: 429 where it is the caller's own, else 503. `RateLimit` as in
    /// draft-ietf-httpapi-ratelimit-headers-10.
    pub(super) fn refused(refusal: Refusal) -> Self {
        let own = |message: &str, policy: &str| {
            Self::new(StatusCode::TOO_MANY_REQUESTS, message)
                .with(header::RETRY_AFTER, "1")
                .with(HeaderName::from_static("ratelimit"), &format!("\"{policy}\";r=0;t=1"))
        };
        match refusal {
            Refusal::BodyCaller => own("You are sending too much at once; try again in a moment", "bytes"),
            Refusal::CallCaller => own("You have too many requests under way; try again in a moment", "requests"),
            _ => Self::busy("The host is busy; try again in a moment"),
        }
    }

    /// With the id of the log line that has the reason.
    pub(super) fn incident(mut self, id: &str) -> Self {
        self.incident = Some(id.to_owned());
        self
    }

    /// With a header.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn into_reply(self) -> Reply {
        let mut reply = match (self.plain, self.incident) {
            (true, _) => Reply::text(self.status, &self.message),
            (false, None) => Reply::json(self.status, &serde_json::json!({ "message": self.message })),
            (false, Some(id)) => {
                Reply::json(self.status, &serde_json::json!({ "message": self.message, "incident": id }))
            }
        };
        reply.headers.extend(self.headers);
        reply
    }
}

impl Reply {
    fn new(status: StatusCode, kind: &'static str, body: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { status, headers, body }
    }

    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.to_owned().into())
    }

    pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string().into())
    }

    /// JSON that a client may keep; it asks each time whether that is still the one with this tag. `is_known`: it has it.
    pub(super) fn tagged(body: Bytes, etag: HeaderValue, is_known: bool) -> Self {
        let mut reply = if is_known {
            Self { status: StatusCode::NOT_MODIFIED, headers: HeaderMap::new(), body: Bytes::new() }
        } else {
            Self::new(StatusCode::OK, "application/json", body)
        };
        reply.headers.insert(header::ETAG, etag);
        reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        reply
    }

    /// A file of a component, or a part of it.
    pub(super) fn of_file(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, body }
    }

    /// The response to `OPTIONS`. The headers that a page asks for are allowed: a component gets only those of its manifest.
    pub(super) fn preflight(methods: &str, asked: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(methods) = HeaderValue::from_str(methods) {
            headers.insert(header::ALLOW, methods.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let asked = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| are_names(names));
        let usual = HeaderValue::from_static("content-type, authorization, x-requested-with");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.cloned().unwrap_or(usual));
        headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Self { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }
    }

    /// A component's response, whose pages may run scripts when `pages` is true. The error says what is wrong with it.
    pub(super) fn of_component(answer: Answer, cookie: &CookieRules<'_>, pages: bool) -> Result<Self, String> {
        let response = answer.response;
        let status = StatusCode::from_u16(response.status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| format!("the component answered with the status {}", response.status))?;
        // With room for those that all responses have.
        let mut headers = HeaderMap::with_capacity(response.headers.len().min(MAX_HEADERS) + COMMON_HEADERS);
        let (mut cookies, mut cookie_bytes) = (0, 0);
        for (name, value) in &response.headers {
            let quoted = || text::quoted(name);
            let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("{} is no header name", quoted()))?;
            let value = HeaderValue::try_from(value.as_str());
            let value = value.map_err(|_| format!("the header {} has a value that is none", quoted()))?;
            if name == header::SET_COOKIE {
                if !may_set(&value, cookie.name) {
                    continue;
                }
                (cookies, cookie_bytes) = (cookies + 1, cookie_bytes + value.len());
            }
            if !is_the_hosts_own(&name) {
                append(&mut headers, name, value)?;
            }
        }
        if cookies > MAX_COOKIES || cookie_bytes > MAX_COOKIE_BYTES {
            return Err(format!(
                "the response sets more than {MAX_COOKIES} cookies, or {MAX_COOKIE_BYTES} bytes of them"
            ));
        }
        if let Some(change) = set_cookie(&answer.cookie, cookie) {
            append(&mut headers, header::SET_COOKIE, change)?;
        }
        if !pages && is_active(status, &headers, &response.body) {
            append(&mut headers, header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX))?;
        }
        Ok(Self { status, headers, body: response.body })
    }

    /// The response, with the common headers.
    pub(super) fn finish(mut self, id: &str, verdict: &Verdict) -> Response<Body> {
        add_common_headers(&mut self.headers, id, verdict);
        let mut response = Response::new(Either::Left(Full::new(self.body)));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Whether a value is a list of header names, and of a length that headers have.
fn are_names(list: &HeaderValue) -> bool {
    let is_name = |name: &str| HeaderName::from_bytes(name.trim_matches([' ', '\t']).as_bytes()).is_ok();
    list.len() <= MAX_ASKED && list.to_str().is_ok_and(|list| list.split(',').all(is_name))
}

/// Adds the request's id, the headers against content sniffing and caching, and the CORS headers.
pub(super) fn add_common_headers(headers: &mut HeaderMap, id: &str, verdict: &Verdict) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Verdict::Allowed(origin) = verdict {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Adds a header, unless there are too many.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), String> {
    let added = if headers.len() < MAX_HEADERS { headers.try_append(name, value).is_ok() } else { false };
    if added { Ok(()) } else { Err(format!("the response has more than {MAX_HEADERS} headers")) }
}

/// Headers that a component can't set: those of the connection, those that hold for the whole origin or for other hosts, and
/// those by which a proxy before the host would answer something else.
const OWN: [&str; 27] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // Of the origin.
    "alt-svc",
    "clear-site-data",
    "expect-ct",
    "nel",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie2",
    "set-login",
    "strict-transport-security",
    // Of proxies.
    "surrogate-control",
    "x-lighttpd-send-file",
    "x-lighttpd-send-tempfile",
    "x-reproxy-url",
    "x-sendfile",
];
/// The beginnings of more of them: CORS is the host's, and nginx's are for it.
const OWN_KINDS: [&str; 2] = ["access-control-", "x-accel-"];

/// Whether a component can't set this header.
fn is_the_hosts_own(name: &HeaderName) -> bool {
    OWN.contains(&name.as_str()) || OWN_KINDS.iter().any(|kind| name.as_str().starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::CookieChange;
    use engine::bindings::Response as ComponentResponse;

    fn rules() -> CookieRules<'static> {
        CookieRules { name: "sid", age: 60, https: true }
    }

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { response: ComponentResponse { status, headers, body: Bytes::new() }, cookie: CookieChange::Clear }
    }

    #[test]
    fn the_host_alone_sets_the_cookie() {
        let answer =
            answer(200, &[("Set-Cookie", "sid=stolen"), ("set-cookie", "theme=dark"), ("Connection", "close")]);
        let reply = Reply::of_component(answer, &rules(), false).unwrap();
        let cookies: Vec<_> = reply.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(cookies, ["theme=dark", "sid=; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=0"]);
        assert!(!reply.headers.contains_key(header::CONNECTION));
    }

    #[test]
    fn what_holds_for_the_origin_is_the_hosts() {
        let own = [
            "Clear-Site-Data",
            "alt-svc",
            "Strict-Transport-Security",
            "X-Accel-Redirect",
            "Access-Control-Allow-Origin",
        ];
        let set: Vec<(&str, &str)> = own.iter().map(|name| (*name, "x")).chain([("x-of-its-own", "x")]).collect();
        let reply = Reply::of_component(answer(200, &set), &rules(), true).unwrap();
        assert!(own.iter().all(|name| !reply.headers.contains_key(*name)));
        assert!(reply.headers.contains_key("x-of-its-own"));
    }

    /// Attack (59): a page of a component that runs script on the API's origin. Outcome: `Content-Security-Policy: sandbox`,
    /// unless it is granted.
    #[test]
    fn a_page_is_sandboxed_unless_it_is_granted() {
        let policies = |headers: &[(&str, &str)], pages: bool| {
            let mut answer = answer(200, headers);
            answer.response.body = Bytes::from_static(b"<script>alert(1)</script>");
            let reply = Reply::of_component(answer, &rules(), pages).unwrap();
            let policies = reply.headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
            policies.map(|policy| policy.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(policies(&[("content-type", "text/html")], false), ["sandbox"]);
        assert_eq!(policies(&[], false), ["sandbox"]);
        let own = [("content-type", "text/html"), ("Content-Security-Policy", "sandbox allow-scripts")];
        assert_eq!(policies(&own, false), ["sandbox allow-scripts", "sandbox"]);
        assert_eq!(policies(&own, true), ["sandbox allow-scripts"]);
        assert_eq!(policies(&[("content-type", "application/json")], false), Vec::<String>::new());
    }

    #[test]
    fn a_preflight_allows_the_headers_that_are_asked_for() {
        let allowed = |asked: &str| {
            let asked = HeaderMap::from_iter([(header::ACCESS_CONTROL_REQUEST_HEADERS, asked.parse().unwrap())]);
            let reply = Reply::preflight("GET", &asked);
            let allowed = reply.headers.get(header::ACCESS_CONTROL_ALLOW_HEADERS).unwrap();
            allowed.to_str().unwrap().to_owned()
        };
        for asked in ["x-requested-with", "content-type, X-Requested-With,baggage", "sentry-trace"] {
            assert_eq!(allowed(asked), asked);
        }
        let usual = "content-type, authorization, x-requested-with";
        for odd in ["", ",", "a b", "a, ,b", "a;b", &"a".repeat(2_000)] {
            assert_eq!(allowed(odd), usual, "{odd}");
        }
    }

    #[test]
    fn cookies_are_few_and_small() {
        let many: Vec<String> = (0..9).map(|number| format!("c{number}=1")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|cookie| ("set-cookie", cookie.as_str())).collect();
        assert!(Reply::of_component(answer(200, &many[..8]), &rules(), false).is_ok());
        assert!(Reply::of_component(answer(200, &many), &rules(), false).is_err());
        let large = format!("c={}", "x".repeat(5_000));
        assert!(Reply::of_component(answer(200, &[("set-cookie", &large)]), &rules(), false).is_err());
    }

    #[test]
    fn an_error_repeats_a_part_of_a_name() {
        let long = "\n".repeat(3 << 20);
        for headers in [[(long.as_str(), "x")], [("x", long.as_str())]] {
            let error = Reply::of_component(answer(200, &headers), &rules(), false).err().unwrap();
            assert!(error.len() < 400 && !error.contains('\n'), "{} bytes", error.len());
        }
    }

    /// Attack (58): tens of thousands of response headers. Outcome: an error, no panic.
    #[test]
    fn too_many_headers_are_an_error() {
        let names: Vec<String> = (0..40_000).map(|number| format!("x-{number}")).collect();
        for names in [names, vec!["x-same".to_owned(); 40_000]] {
            let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
            let reply = Reply::of_component(answer(200, &headers), &rules(), false);
            assert!(reply.err().is_some_and(|error| error.contains("headers")));
        }
    }

    #[test]
    fn a_senseless_answer_is_a_failure_of_the_component() {
        assert!(Reply::of_component(answer(99, &[]), &rules(), false).is_err());
        assert!(Reply::of_component(answer(101, &[]), &rules(), false).is_err());
        assert!(Reply::of_component(answer(200, &[("a b", "c")]), &rules(), false).is_err());
        assert!(Reply::of_component(answer(200, &[("a", "c\r\nd: e")]), &rules(), false).is_err());
    }
}
