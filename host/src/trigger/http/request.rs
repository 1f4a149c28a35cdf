//! Reading a request: token, parameters, the headers a component asked for, and a body that stays in its bounds.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::reply::Refusal;
use crate::engine::{Call, HttpCall, Identity};
use crate::registry::{BodyRule, Route};

/// A body that takes longer than this to arrive is not waited for.
const BODY_TIME: Duration = Duration::from_secs(15);

/// The session's token: a bearer, or else the cookie.
pub(crate) fn token(headers: &HeaderMap, cookie: &str) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        && let Some((scheme, token)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(cookie::Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|found| found.name() == cookie)
        .map(|found| found.value().to_owned())
        .filter(|token| !token.is_empty())
}

/// The call that a request makes.
pub(super) async fn read<B>(
    route: &Route,
    params: Vec<(String, String)>,
    parts: Parts,
    body: B,
    id: &str,
    identity: Option<Identity>,
    client: IpAddr,
) -> Result<HttpCall, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let params =
        params.into_iter().map(|(name, value)| Ok((name, decoded(&value)?))).collect::<Result<_, Refusal>>()?;
    let most = route.component.manifest.limits.body_kib as usize * 1024;
    let body = read_body(&parts.headers, body, most).await?;
    if route.body == BodyRule::Json && !body.is_empty() && !is_json(&parts.headers) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send JSON: content-type: application/json"));
    }
    Ok(HttpCall {
        call: Call { id: id.to_owned(), identity, socket: None },
        headers: asked_for(route, &parts.headers),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        route: route.path.clone(),
        params,
        body,
        client: client.to_string(),
    })
}

async fn read_body<B>(headers: &HeaderMap, body: B, most: usize) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let too_large = || {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {most} bytes"))
            // What follows on this connection would be the rest of a body nobody reads.
            .with(header::CONNECTION, "close")
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "The body broke off")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time")
            .with(header::CONNECTION, "close")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn asked_for(route: &Route, headers: &HeaderMap) -> Vec<(String, String)> {
    let values = route.headers.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    values.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

fn decoded(value: &str) -> Result<String, Refusal> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map(Into::into).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_comes_before_a_cookie() {
        let both = headers(&[(header::AUTHORIZATION, "bearer abc"), (header::COOKIE, "x=1; sid=def")]);
        assert_eq!(token(&both, "sid").as_deref(), Some("abc"));
        let cookie = headers(&[(header::AUTHORIZATION, "Basic abc"), (header::COOKIE, "x=1; sid=def")]);
        assert_eq!(token(&cookie, "sid").as_deref(), Some("def"));
        assert_eq!(token(&headers(&[(header::COOKIE, "sid=")]), "sid"), None);
    }

    #[test]
    fn json_is_json_with_a_charset_too() {
        assert!(is_json(&headers(&[(header::CONTENT_TYPE, "Application/JSON; charset=utf-8")])));
        assert!(!is_json(&headers(&[(header::CONTENT_TYPE, "text/plain")])));
        assert!(!is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_stays_in_its_bounds() {
        let body = |text: &'static str| http_body_util::Full::new(Bytes::from_static(text.as_bytes()));
        assert_eq!(read_body(&HeaderMap::new(), body("1234"), 4).await.unwrap(), "1234");
        let refused = read_body(&HeaderMap::new(), body("12345"), 4).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        let announced = headers(&[(header::CONTENT_LENGTH, "5")]);
        assert_eq!(read_body(&announced, body(""), 4).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
