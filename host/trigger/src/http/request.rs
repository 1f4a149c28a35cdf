//! Reading a request: its parameters, the headers that the route asks for, and a body within the limit.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::http::reply::ErrorReply;
use capability::sessions::Identity;
use engine::{Call, HttpCall};
use manifest::BodyRule;
use registry::Route;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);

/// Reads the call of a request.
pub(super) async fn read<B>(
    route: &Route,
    params: Vec<(String, String)>,
    parts: Parts,
    body: B,
    id: &str,
    identity: Option<Identity>,
    client: IpAddr,
) -> Result<HttpCall, ErrorReply>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let params =
        params.into_iter().map(|(name, value)| Ok((name, decoded(&value)?))).collect::<Result<_, ErrorReply>>()?;
    let most = route.component.manifest.limits.body_kib as usize * 1024;
    let body = read_body(&parts.headers, body, most).await?;
    if route.body == BodyRule::Json && !body.is_empty() && !is_json(&parts.headers) {
        return Err(ErrorReply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send JSON: content-type: application/json"));
    }
    Ok(HttpCall {
        call: Call { id: id.to_owned(), identity, socket: None },
        headers: selected_headers(route, &parts.headers),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        route: route.path.clone(),
        params,
        body,
        client: client.to_string(),
    })
}

async fn read_body<B>(headers: &HeaderMap, body: B, most: usize) -> Result<Bytes, ErrorReply>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let too_large = || {
        ErrorReply::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {most} bytes"))
            // The rest of the body would follow on this connection, unread.
            .with(header::CONNECTION, "close")
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ErrorReply::new(StatusCode::BAD_REQUEST, "The body broke off")),
        Err(_) => Err(ErrorReply::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time")
            .with(header::CONNECTION, "close")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn selected_headers(route: &Route, headers: &HeaderMap) -> Vec<(String, String)> {
    let values = route.headers.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    values.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

fn decoded(value: &str) -> Result<String, ErrorReply> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map(Into::into).map_err(|_| ErrorReply::new(StatusCode::BAD_REQUEST, "The path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
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
