//! What answers have to look like: as the host's own `GET /openapi.json` says. Every answer that a
//! [`Member`](crate::Member) gets is held against it, so that no test can be answered what nobody described.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::{Body, Client, Method, RequestBuilder, Response, ResponseBuilderExt as _, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// For so long the document is waited for. Who asks a host that does not answer has another matter than the document.
const PATIENCE: Duration = Duration::from_secs(2);

/// The documents of the hosts by their addresses, as they were first asked for.
static DOCUMENTS: Mutex<BTreeMap<String, Arc<Document>>> = Mutex::new(BTreeMap::new());

/// A request whose answer is checked: as reqwest's own, of which it has what tests use.
#[must_use]
pub struct Asked {
    request: RequestBuilder,
    url: String,
    path: String,
}

impl Asked {
    /// A request for `path` at the host with this address.
    pub(crate) fn new(client: &Client, method: Method, url: &str, path: &str) -> Self {
        Self { request: client.request(method, format!("{url}{path}")), url: url.to_owned(), path: path.to_owned() }
    }

    fn map(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), ..self }
    }

    /// With JSON.
    pub fn json<T: Serialize + ?Sized>(self, json: &T) -> Self {
        self.map(|request| request.json(json))
    }

    /// With a body.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// With one more header.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.map(|request| request.header(name, value))
    }

    /// With a token.
    pub fn bearer_auth(self, token: impl std::fmt::Display) -> Self {
        self.map(|request| request.bearer_auth(token))
    }

    /// With a bound on the time until the whole answer is there.
    pub fn timeout(self, time: Duration) -> Self {
        self.map(|request| request.timeout(time))
    }

    /// Sends it. Panics when the answer is not one that the host describes.
    ///
    /// # Errors
    /// Nobody answers, or half an answer comes.
    pub async fn send(self) -> reqwest::Result<Response> {
        let (client, request) = self.request.build_split();
        let request = request?;
        let method = request.method().clone();
        let response = client.execute(request).await?;
        let (status, url, headers) = (response.status(), response.url().clone(), response.headers().clone());
        let body = response.bytes().await?;
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
        let answer = Answer { status: status.as_u16(), kind, body: &body };
        let path = self.path.split('?').next().unwrap_or_default();
        // What Socket.IO answers is its own protocol, and a preflight is a browser's.
        if !path.starts_with("/socket.io/")
            && method != Method::OPTIONS
            && let Some(document) = document(&client, &self.url, &method, path).await
            && let Err(why) = document.check(method.as_str(), path, &answer)
        {
            panic!(
                "{method} {path} answered {status}, and that is not as /openapi.json has it: {why}\n{}",
                shown(&body)
            );
        }
        let mut builder = http::Response::builder().status(status).url(url);
        if let Some(all) = builder.headers_mut() {
            *all = headers;
        }
        Ok(builder.body(body).expect("the parts of an answer").into())
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(2_000).collect()
}

/// The document of a host; none while it does not give it. One that does not have the path is asked for anew: components
/// are deployed meanwhile.
async fn document(client: &Client, url: &str, method: &Method, path: &str) -> Option<Arc<Document>> {
    let known = DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
    if let Some(document) = known.filter(|document| document.has(method.as_str(), path)) {
        return Some(document);
    }
    let answer = client.get(format!("{url}/openapi.json")).timeout(PATIENCE).send().await.ok()?;
    let document = Arc::new(Document(answer.error_for_status().ok()?.json().await.ok()?));
    DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), document.clone());
    Some(document)
}

/// An answer as far as it is described.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its `content-type`.
    pub kind: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
}

/// An OpenAPI document.
#[derive(Debug, Clone)]
pub struct Document(pub Value);

impl Document {
    /// Whether it describes this method of this path.
    pub fn has(&self, method: &str, path: &str) -> bool {
        self.operation(method, path).is_some()
    }

    /// Checks an answer to a request for a path without its query: its status, its media type and its JSON.
    ///
    /// # Errors
    /// It is not described; the text says where it differs.
    pub fn check(&self, method: &str, path: &str, answer: &Answer<'_>) -> Result<(), String> {
        let Some(operation) = self.operation(method, path) else {
            let refused = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].map(|status| status.as_u16());
            // A foreign origin is refused before anybody looks for a route.
            let is_refused = refused.contains(&answer.status) || answer.status == 403;
            return if is_refused { Ok(()) } else { Err("this path does not have this method".to_owned()) };
        };
        let responses = &operation["responses"];
        let response = responses.get(answer.status.to_string()).or_else(|| responses.get("default"));
        let response = self.resolved(response.ok_or("this status is not there")?);
        let Some(content) = response.get("content").and_then(Value::as_object) else { return Ok(()) };
        let kind = answer.kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let media = content.get(kind).ok_or_else(|| format!("the type {kind:?} is not there"))?;
        if kind != "application/json" || method == "HEAD" {
            return Ok(());
        }
        let value = serde_json::from_slice(answer.body).map_err(|error| format!("it is not JSON: {error}"))?;
        self.conforms(&media["schema"], &value, "$")
    }

    /// Checks a value against a schema; `at` is its place in the whole.
    ///
    /// # Errors
    /// It is another value; the text says where it differs.
    pub fn conforms(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolved(schema);
        let list = |name: &str| schema.get(name).and_then(Value::as_array).map(Vec::as_slice);
        if let Some(all) = list("allOf") {
            all.iter().try_for_each(|one| self.conforms(one, value, at))?;
        }
        if let Some(any) = list("anyOf") {
            let wrong: Vec<String> = any.iter().filter_map(|one| self.conforms(one, value, at).err()).collect();
            if wrong.len() == any.len() {
                return Err(format!("none of these is right: {}", wrong.join("; ")));
            }
        }
        let is_kind = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            Some("number") => value.is_number(),
            Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Some(other) => return Err(format!("{at}: there is no type {other:?}")),
            None => true,
        };
        if !is_kind {
            return Err(format!("{at} is no {}: {value}", schema["type"]));
        }
        match value {
            Value::String(text) => conforming_text(schema, text, at),
            Value::Number(number) => {
                let (number, bound) = (number.as_f64().unwrap_or(f64::NAN), |name: &str| schema[name].as_f64());
                let low = bound("minimum").is_some_and(|least| number < least);
                let high = bound("maximum").is_some_and(|most| number > most);
                if low || high { Err(format!("{at} is out of its bounds: {number}")) } else { Ok(()) }
            }
            Value::Array(items) => {
                if schema["maxItems"].as_u64().is_some_and(|most| items.len() as u64 > most) {
                    return Err(format!("{at} has {} values", items.len()));
                }
                let each = schema.get("items").unwrap_or(&Value::Bool(true)).clone();
                let mut items = items.iter().enumerate();
                items.try_for_each(|(number, item)| self.conforms(&each, item, &format!("{at}[{number}]")))
            }
            Value::Object(fields) => {
                let missing = list("required").unwrap_or_default().iter().filter_map(Value::as_str);
                if let Some(missing) = missing.into_iter().find(|name| !fields.contains_key(*name)) {
                    return Err(format!("{at} has no {missing:?}"));
                }
                fields.iter().try_for_each(|(name, field)| match schema["properties"].get(name) {
                    Some(schema) => self.conforms(schema, field, &format!("{at}.{name}")),
                    None if schema["additionalProperties"] == false => Err(format!("{at} has {name:?}, too")),
                    None => Ok(()),
                })
            }
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    /// The operation of a path as it is asked for: words before parameters.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
        let parts: Vec<&str> = path.split('/').collect();
        let paths = self.0["paths"].as_object()?.iter().filter(|(_, operations)| operations.get(&method).is_some());
        let fits = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            let fits = |(part, given): (&&str, &&str)| part == given || (part.starts_with('{') && !given.is_empty());
            template.len() == parts.len() && template.iter().zip(&parts).all(fits)
        };
        let found = paths.filter(|(template, _)| fits(template));
        let (_, operations) = found.min_by_key(|(template, _)| template.matches('{').count())?;
        operations.get(&method)
    }

    /// What a reference leads to; anything else is itself.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
        let pointer = reference.strip_prefix('#').unwrap_or(reference);
        self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }
}

fn conforming_text(schema: &Value, text: &str, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at} is {what}: {text:?}"));
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| length < least)
        || schema["maxLength"].as_u64().is_some_and(|most| length > most)
    {
        return wrong("too short or too long");
    }
    if schema["enum"].as_array().is_some_and(|texts| !texts.iter().any(|known| known == text)) {
        return wrong("none of the texts that it may be");
    }
    let is_pattern = match schema["pattern"].as_str() {
        None => true,
        // Of the patterns that the SDK makes, these are those of answers.
        Some("^[0-9a-fA-F]{24}$") => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Some("^[0-9a-f]{32}$") => {
            text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }
        Some(other) => return Err(format!("{at}: nobody can check the pattern {other:?}")),
    };
    let shape = match schema["format"].as_str() {
        Some("date-time") => "0000-00-00T00:00:00.000Z",
        Some("date") => "0000-00-00",
        _ => "",
    };
    if !is_pattern || !(shape.is_empty() || has_shape(text, shape)) {
        return wrong("not of its form");
    }
    Ok(())
}

/// Whether a text is like this one, with any digits where it has 0.
fn has_shape(text: &str, shape: &str) -> bool {
    let like = |(given, wanted): (u8, u8)| if wanted == b'0' { given.is_ascii_digit() } else { given == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(like)
}
