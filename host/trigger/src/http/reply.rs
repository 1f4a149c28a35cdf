//! Replies: the responses of components and of the host, with the headers that all of them have.

use bytes::Bytes;
use cookie::{Cookie, SameSite};
use capability::refusals::Refusal;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};

use crate::http::Body;
use crate::http::origin::Verdict;
use engine::{Answer, CookieChange};

/// The attributes of the session cookie.
pub(super) struct CookieRules<'a> {
    pub(super) name: &'a str,
    /// In seconds.
    pub(super) age: u64,
    pub(super) https: bool,
}

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

    /// The response to `OPTIONS`.
    pub(super) fn preflight(methods: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(methods) = HeaderValue::from_str(methods) {
            headers.insert(header::ALLOW, methods.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let allowed = HeaderValue::from_static("content-type, authorization");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Self { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }
    }

    /// A component's response; the error says what is wrong with it.
    pub(super) fn of_component(answer: Answer, cookie: &CookieRules<'_>) -> Result<Self, String> {
        let response = answer.response;
        let status = StatusCode::from_u16(response.status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| format!("the component answered with the status {}", response.status))?;
        let mut headers = HeaderMap::with_capacity(response.headers.len() + 6);
        for (name, value) in &response.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("{name:?} is no header name"))?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| format!("{name} has no header's value"))?;
            if !is_the_hosts_own(&name, &value, cookie.name) {
                headers.append(name, value);
            }
        }
        if let Some(change) = set_cookie(&answer.cookie, cookie) {
            headers.append(header::SET_COOKIE, change);
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

/// Whether a component can't set this header: those of the connection, of CORS, and the session cookie.
fn is_the_hosts_own(name: &HeaderName, value: &HeaderValue, cookie: &str) -> bool {
    const OWN: [HeaderName; 7] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::DATE,
    ];
    if OWN.contains(name) || name.as_str().starts_with("access-control-") {
        return true;
    }
    name == header::SET_COOKIE
        && value
            .to_str()
            .map_or(true, |text| text.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(cookie)))
}

fn set_cookie(change: &CookieChange, rules: &CookieRules<'_>) -> Option<HeaderValue> {
    let (value, age) = match change {
        CookieChange::Keep => return None,
        CookieChange::Set(token) => (token.reveal(), rules.age),
        CookieChange::Clear => ("", 0),
    };
    let mut cookie = Cookie::build((rules.name, value)).path("/").http_only(true);
    cookie = cookie.max_age(cookie::time::Duration::seconds(i64::try_from(age).unwrap_or(i64::MAX)));
    cookie = if rules.https { cookie.secure(true).same_site(SameSite::None) } else { cookie.same_site(SameSite::Lax) };
    HeaderValue::try_from(cookie.build().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let reply = Reply::of_component(answer, &rules()).unwrap();
        let cookies: Vec<_> = reply.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(cookies, ["theme=dark", "sid=; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=0"]);
        assert!(!reply.headers.contains_key(header::CONNECTION));
    }

    #[test]
    fn a_senseless_answer_is_a_failure_of_the_component() {
        assert!(Reply::of_component(answer(99, &[]), &rules()).is_err());
        assert!(Reply::of_component(answer(101, &[]), &rules()).is_err());
        assert!(Reply::of_component(answer(200, &[("a b", "c")]), &rules()).is_err());
        assert!(Reply::of_component(answer(200, &[("a", "c\r\nd: e")]), &rules()).is_err());
    }
}
