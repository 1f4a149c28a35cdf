//! Calls a component for an HTTP request: through `devconnect:platform/http-handler`, or `wasi:http`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::BodyExt;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use crate::bindings::{IdentityRef, RequestRef, Response};
use crate::invoke::Invocation;
use crate::meter::MemoryUse;
use crate::{Call, CookieChange, Exports, HttpExport, Said, State};
use capability::text;
use native::export::Export;

/// `http-handler.handle` of a component.
pub(crate) type PlatformExport = Export<State, (RequestRef<'static>,), (Response,)>;

/// The most headers of a response.
const MAX_HEADERS: usize = 256;
/// The most bytes of a response's headers, names and values together. Proxies accept fewer.
const MAX_HEADER_BYTES: usize = 32 << 10;
/// The most bytes of a response's body. A body is whole in memory, and a host answers hundreds at a time.
const MAX_BODY: usize = 16 << 20;

/// A request for a component.
#[derive(Debug, Clone)]
pub struct HttpCall {
    /// The call.
    pub call: Call,
    /// The method as received.
    pub method: http::Method,
    /// The path as received.
    pub path: String,
    /// The query string, without `?`.
    pub query: String,
    /// The matched route, as the manifest writes it.
    pub route: Arc<str>,
    /// The route's parameters, decoded.
    pub params: Vec<(String, String)>,
    /// The headers that the route asks for.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// The client's address, from its connection or a trusted proxy.
    pub client: Arc<str>,
}

/// A component's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its response.
    pub response: Response,
    /// The change of the caller's cookie.
    pub cookie: CookieChange,
}

impl Invocation for HttpCall {
    type Answer = Answer;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.route
    }

    fn client(&self) -> Option<&Arc<str>> {
        Some(&self.client)
    }

    fn said(&self, answer: &Answer) -> Said {
        match answer.response.status {
            500.. => Said::Failed,
            400.. => Said::Refused,
            _ => Said::Done,
        }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Answer> {
        let response = match &exports.http {
            None => return Err(wasmtime::Error::msg("it has no HTTP handler")),
            Some(HttpExport::Platform(handle)) => platform(store, handle, self).await?,
            // Apart: every call's future would be as large as this one.
            Some(HttpExport::Wasi(instance)) => Box::pin(wasi(store, instance, self)).await?,
        };
        check(&response)?;
        Ok(Answer { response, cookie: std::mem::take(&mut store.data_mut().cookie) })
    }
}

/// Refuses a response that is too large.
fn check(response: &Response) -> wasmtime::Result<()> {
    let names = response.headers.iter().map(|(name, value)| name.len() + value.len());
    let (count, names, body) = (response.headers.len(), names.sum::<usize>(), response.body.len());
    let refused = |what: String| Err(wasmtime::Error::msg(format!("its response is not sent: it has {what}")));
    if count > MAX_HEADERS {
        return refused(format!("{count} headers; at most {MAX_HEADERS} are allowed"));
    }
    if names > MAX_HEADER_BYTES {
        return refused(format!("headers of {names} bytes; at most {MAX_HEADER_BYTES} are allowed"));
    }
    if body > MAX_BODY {
        return refused(format!("a body of {body} bytes; at most {MAX_BODY} are allowed"));
    }
    Ok(())
}

async fn platform(store: &mut Store<State>, handle: &PlatformExport, call: &HttpCall) -> wasmtime::Result<Response> {
    let request = RequestRef {
        id: &call.call.id,
        method: call.method.as_str(),
        route: &call.route,
        path: &call.path,
        params: &call.params,
        query: &call.query,
        headers: &call.headers,
        body: &call.body,
        identity: call.call.identity.as_ref().map(IdentityRef::of),
        client: &call.client,
    };
    let handle = handle.instantiate(store).await?;
    let (response,) = handle.call_async(&mut *store, (request,)).await?;
    Ok(response)
}

/// Calls `wasi:http`: with resources for the request and for the response.
async fn wasi(store: &mut Store<State>, instance: &ProxyPre<State>, call: &HttpCall) -> wasmtime::Result<Response> {
    let separator = if call.query.is_empty() { "" } else { "?" };
    // WASI requires an authority; the component does not learn the host's.
    let uri = format!("http://localhost{}{separator}{}", call.path, call.query);
    let mut request = http::Request::builder().method(call.method.clone()).uri(uri);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let body =
        http_body_util::Full::new(call.body.clone()).map_err(|never| -> wasmtime_wasi_http::Error { match never {} });
    let request = request.body(body).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    let request = store.data_mut().wasi_http().new_incoming_request(Scheme::Http, request)?;
    let outparam = store.data_mut().wasi_http().new_response_outparam(sender)?;
    let memory = store.data().meter.memory();
    let proxy = instance.instantiate_async(&mut *store).await?;
    let handle = proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, outparam);
    tokio::pin!(handle);
    // A component may write the body after it has set the response, so both are polled together.
    let (returned, response) = tokio::select! {
        called = &mut handle => {
            called?;
            (true, receiver.try_recv().map_err(|_| wasmtime::Error::msg("it returned without setting a response"))?)
        }
        response = &mut receiver => {
            (false, response.map_err(|_| wasmtime::Error::msg("it dropped its way to answer"))?)
        }
    };
    let response = response.map_err(|code| failed(format_args!("it answered with the error {code:?}")))?;
    let (parts, body) = response.into_parts();
    // What a body has is read at one poll: a spent budget of the task would make it look unfinished.
    let body = tokio::task::unconstrained(whole(body, memory));
    tokio::pin!(body);
    let ended = if returned {
        None
    } else {
        tokio::select! {
            biased;
            whole = &mut body => Some(whole?),
            called = &mut handle => {
                called?;
                None
            }
        }
    };
    let body = match ended {
        Some(whole) => {
            handle.await?;
            whole
        }
        // Nobody is left to write the rest of an unfinished body.
        None => match body.now_or_never() {
            Some(whole) => whole?,
            None => return Err(wasmtime::Error::msg("it returned without finishing its body (outgoing-body.finish)")),
        },
    };
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Ok(Response { status: parts.status.as_u16(), headers: headers.collect(), body })
}

/// A whole body of at most [`MAX_BODY`] bytes, which are memory of its component.
async fn whole<B>(mut body: B, memory: MemoryUse) -> wasmtime::Result<Bytes>
where
    B: BodyExt<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|code| failed(format_args!("its body broke off: {code:?}")))?;
        // Trailers are not sent.
        let Ok(data) = frame.into_data() else { continue };
        memory.grow(data.len()).map_err(wasmtime::Error::new)?;
        whole.extend_from_slice(&data);
        if whole.len() > MAX_BODY {
            // At once: the component could write on until its time is over.
            return Err(failed(format_args!("its response is not sent: its body has over {MAX_BODY} bytes")));
        }
    }
    Ok(whole.into())
}

/// An error with a text that may be the component's.
fn failed(arguments: std::fmt::Arguments<'_>) -> wasmtime::Error {
    wasmtime::Error::msg(text::cut_format(arguments, text::MAX_REASON))
}
