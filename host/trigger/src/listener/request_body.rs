//! The body of a request. What the handler leaves unread is read and dropped.
//!
//! A request may be answered before its body has come: when it is refused, or when its body is not needed. Many clients read the
//! answer only after they have sent the body, and get an error instead when the connection is closed before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, header};
use tokio::time::Instant;

/// How long after its request has come a body is read on, and how many bytes of it. After that the connection is closed.
const READ_ON: Duration = Duration::from_secs(15);
const READ_ON_BYTES: usize = 32 << 20;

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    /// None once it has ended.
    body: Option<Incoming>,
    /// When its request came.
    begun: Instant,
    /// The client sends nothing before it is asked to, which reading does.
    waits: bool,
}

impl RequestBody {
    /// Of a received request.
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        let waits = waits(request.headers());
        request.map(|body| Self { body: Some(body), begun: Instant::now(), waits })
    }
}

/// Whether the client waits for `100 Continue`.
fn waits(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !self.waits && !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (unread, tokio::runtime::Handle::try_current()) {
            // A body that was waited for until then is not waited for again.
            runtime.spawn(tokio::time::timeout_at(self.begun + READ_ON, read_on(body)));
        }
    }
}

/// Reads a body to its end or its bound.
async fn read_on(mut body: Incoming) {
    let mut left = READ_ON_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_waits_is_known() {
        let headers = |value: &'static str| HeaderMap::from_iter([(header::EXPECT, value.parse().unwrap())]);
        assert!(waits(&headers("100-continue")) && waits(&headers("100-Continue")));
        assert!(!waits(&headers("something")) && !waits(&HeaderMap::new()));
    }
}
