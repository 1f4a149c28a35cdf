//! Reading a request: its parameters, the headers that the route asks for, and a body within the limit.
//!
//! What it does not read of a body is dropped, and then read on by the listener, so that the client can read the answer.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;

use crate::http::json_body::{self, is_json, too_large};
use crate::http::reply::ErrorReply;
use capability::refusals::Refusal;
use capability::sessions::Identity;
use engine::{Call, Entered, HttpCall};
use manifest::BodyRule;
use registry::Route;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);

/// Where a request comes from.
pub(super) struct Origin<'a> {
    /// The call's id.
    pub(super) id: &'a Arc<str>,
    /// The caller's session.
    pub(super) identity: Option<Identity>,
    /// The client's address.
    pub(super) client: IpAddr,
}

/// Reads the call of a request that was taken in.
pub(super) async fn read<B>(
    route: &Route,
    params: Vec<(String, String)>,
    parts: Parts,
    body: B,
    origin: Origin<'_>,
    entered: &Entered,
) -> Result<HttpCall, ErrorReply>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let params =
        params.into_iter().map(|(name, value)| Ok((name, decoded(value)?))).collect::<Result<_, ErrorReply>>()?;
    let most = route.component.manifest.limits.body_kib as usize * 1024;
    let body = match route.body {
        // Browsers' libraries send one with anything.
        BodyRule::None => Bytes::new(),
        rule => {
            let charge = |bytes| entered.charge(bytes);
            let body = read_body(&parts.headers, body, most, charge).await?;
            if rule == BodyRule::Json { json(&parts.headers, body, most, charge)? } else { body }
        }
    };
    let Origin { id, identity, client } = origin;
    Ok(HttpCall {
        call: Call { id: id.clone(), identity, socket: None },
        headers: selected_headers(route, &parts.headers),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        route: route.path.clone(),
        params,
        body,
        client: client.to_string().into(),
    })
}

/// A body that has to be JSON, decoded. What that adds to it is charged as well.
fn json(
    headers: &HeaderMap,
    body: Bytes,
    most: usize,
    charge: impl Fn(usize) -> Result<(), Refusal>,
) -> Result<Bytes, ErrorReply> {
    if !body.is_empty() && !is_json(headers) {
        return Err(ErrorReply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send JSON: content-type: application/json"));
    }
    let received = body.len();
    let decoded = json_body::decoded(headers, body, most)?;
    charge(decoded.len().saturating_sub(received)).map_err(ErrorReply::refused)?;
    Ok(decoded)
}

/// The whole body, of at most `most` bytes; `charge` counts each part, and refuses one over the limit of memory.
async fn read_body<B>(
    headers: &HeaderMap,
    body: B,
    most: usize,
    charge: impl Fn(usize) -> Result<(), Refusal>,
) -> Result<Bytes, ErrorReply>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    // Most requests have none, and wait for nothing.
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let reading = async {
        let mut body = pin!(body);
        let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ErrorReply::new(StatusCode::BAD_REQUEST, "The body broke off"))?;
            let Ok(part) = frame.into_data() else { continue };
            if whole.len().max(first.len()) + part.len() > most {
                return Err(too_large(most));
            }
            charge(part.len()).map_err(ErrorReply::refused)?;
            // Most bodies are in one part, and are not copied.
            if whole.is_empty() && first.is_empty() {
                first = part;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&part);
            }
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    };
    match tokio::time::timeout(BODY_TIME, reading).await {
        Ok(body) => body,
        Err(_) => {
            let late = ErrorReply::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time");
            // The rest of it would take as long.
            Err(late.with(header::CONNECTION, "close"))
        }
    }
}

fn selected_headers(route: &Route, headers: &HeaderMap) -> Vec<(String, String)> {
    let values = route.headers.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
    values.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

fn decoded(value: String) -> Result<String, ErrorReply> {
    // Most have nothing to decode, and stay what they are.
    if !value.contains('%') {
        return Ok(value);
    }
    let decoded = percent_encoding::percent_decode_str(&value).decode_utf8();
    decoded.map(Into::into).map_err(|_| ErrorReply::new(StatusCode::BAD_REQUEST, "The path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    /// A body that comes in parts.
    struct Parts<I>(I);

    impl<I: Iterator<Item = &'static str> + Unpin> http_body::Body for Parts<I> {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            let part = self.0.next().map(|part| Ok(http_body::Frame::data(Bytes::from_static(part.as_bytes()))));
            std::task::Poll::Ready(part)
        }
    }

    fn parts(parts: &[&'static str]) -> Parts<impl Iterator<Item = &'static str> + Unpin> {
        Parts(parts.iter().copied())
    }

    /// Attack (API4): bodies beyond the limit, announced or not, in one part or in many. Outcome: 413, and the rest is
    /// not read.
    #[tokio::test]
    async fn a_body_stays_in_its_bounds() {
        let none = HeaderMap::new();
        let read = async |headers: &HeaderMap, text: &[&'static str], most| {
            read_body(headers, parts(text), most, |_| Ok(())).await.map_err(|error| error.status)
        };
        assert_eq!(read(&none, &["1234"], 4).await.unwrap(), "1234");
        assert_eq!(read(&none, &["12", "", "34", "5"], 5).await.unwrap(), "12345");
        assert_eq!(read(&none, &["12345"], 4).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(read(&none, &["12", "34", "5"], 4).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let announced = headers(&[(header::CONTENT_LENGTH, "5")]);
        assert_eq!(read(&announced, &[], 4).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    /// A body that is known to be none, and is not to be read.
    struct Nothing;

    impl http_body::Body for Nothing {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            unreachable!("it has ended")
        }

        fn is_end_stream(&self) -> bool {
            true
        }
    }

    /// In no runtime: it has no timer.
    #[test]
    fn no_body_is_waited_for_where_there_is_none() {
        let headers = headers(&[(header::CONTENT_LENGTH, "0")]);
        let mut read = pin!(read_body(&headers, Nothing, 4, |_| Ok(())));
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(body) = read.as_mut().poll(context) else { panic!("it waits") };
        assert_eq!(body.unwrap(), "");
    }

    #[test]
    fn a_parameter_is_what_its_escapes_say() {
        for (value, text) in [("a", "a"), ("", ""), ("a%20b", "a b"), ("%C3%A9", "é"), ("é", "é"), ("100%", "100%")]
        {
            assert_eq!(decoded(value.to_owned()).unwrap(), text);
        }
        assert!(decoded("%ff".to_owned()).is_err());
    }

    #[tokio::test]
    async fn a_body_without_memory_is_not_read() {
        let charged = std::cell::Cell::new(0);
        let charge = |bytes| {
            charged.set(charged.get() + bytes);
            if charged.get() > 3 { Err(Refusal::BodyCaller) } else { Ok(()) }
        };
        let refused = read_body(&HeaderMap::new(), parts(&["12", "34", "56"]), 9, charge).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(charged.get(), 4, "the third part stays in the network");
    }
}
