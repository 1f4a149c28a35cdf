//! Exchange: one request and its answer on a connection, each of a bounded size. It touches that connection.

use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use capability::fetch::Response;
use http::header::{CONNECTION, HOST, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The most bytes of an answer's header.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// Sends the request and reads the whole answer, with a body of at most `most` bytes.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    authority: &str,
    mut request: http::Request<Bytes>,
    most: usize,
) -> Result<Response, String> {
    let host = HeaderValue::from_str(authority).map_err(|_| "the host is malformed")?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    let (mut sender, connection) = http.handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async move {
        let response = sender.send_request(request.map(Full::new)).await.map_err(broken)?;
        read(response, most).await
    };
    beside(answer, connection).await
}

/// Polls the connection until the answer is there. It has no task of its own: who drops this closes the connection.
async fn beside<T>(answer: impl Future<Output = T>, connection: impl Future) -> T {
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        // What it has read is still to be taken.
        _ = &mut connection => answer.await,
    }
}

async fn read(response: http::Response<Incoming>, most: usize) -> Result<Response, String> {
    let too_large = || format!("its answer has more than {most} bytes");
    let (parts, mut body) = response.into_parts();
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers are not read.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if whole.len() + data.len() > most {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Ok(Response { status: parts.status.as_u16(), headers: headers.collect(), body: whole })
}

/// What hyper says, with the cause that it does not show.
fn broken(error: hyper::Error) -> String {
    match std::error::Error::source(&error) {
        Some(cause) => format!("no answer: {error}: {cause}"),
        None => format!("no answer: {error}"),
    }
}
