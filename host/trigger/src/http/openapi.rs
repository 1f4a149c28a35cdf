//! `GET /openapi.json`: the description of all public routes as OpenAPI 3.1. It is put together from what each component says
//! of its own and from what the host answers itself, once for a route table. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use engine::Loaded;
use manifest::openapi::{DescribedAnswer, DescribedRoute, Kind, Place, ValueSchema, parameters};
use manifest::{Application, BodyRule, Description, Method, SessionRule};
use registry::{Route, Routes};

/// The path of the document.
pub(super) const PATH: &str = "/openapi.json";
/// The name of the schema of errors.
const ERROR: &str = "Error";

/// The document of one route table.
pub(super) struct Published {
    /// The table; it is not kept alive by its description.
    of: Weak<Routes>,
    pub(super) body: Bytes,
    pub(super) etag: HeaderValue,
}

impl Published {
    /// The document of these routes.
    pub(super) fn new(routes: &Arc<Routes>, application: &Application) -> Self {
        let listed = routes.listed().filter(|(_, route)| !super::is_own(&route.path));
        let listed = listed.map(|(method, route)| Listed {
            method,
            route: Rules::of(route),
            component: Owner::of(&route.component),
        });
        let body = Bytes::from(document(listed, application).to_string());
        let digest = hex::encode(Sha256::digest(&body));
        let etag = format!("\"{}\"", digest.get(..32).unwrap_or_default());
        let etag = HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { of: Arc::downgrade(routes), body, etag }
    }

    /// Whether it is the document of this very table.
    pub(super) fn is_of(&self, routes: &Arc<Routes>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(routes))
    }
}

/// One route, and what is known of it.
struct Listed<'a> {
    method: Method,
    route: Rules<'a>,
    component: Owner<'a>,
}

/// What the manifest says of a route.
struct Rules<'a> {
    path: &'a str,
    session: SessionRule,
    body: BodyRule,
}

impl<'a> Rules<'a> {
    fn of(route: &'a Route) -> Self {
        Self { path: &route.path, session: route.session, body: route.body }
    }
}

/// The component that owns the route.
struct Owner<'a> {
    name: &'a str,
    description: &'a Description,
}

impl<'a> Owner<'a> {
    fn of(component: &'a Loaded) -> Self {
        Self { name: &component.manifest.component.name, description: &component.description }
    }
}

/// The whole document.
fn document<'a>(routes: impl Iterator<Item = Listed<'a>>, application: &Application) -> Value {
    let (mut named, mut paths, mut tags) = (NamedSchemas::default(), Paths::default(), BTreeSet::new());
    let (mut hosts, mut ids) = (BTreeMap::new(), BTreeSet::new());
    for Listed { method, route, component } in routes {
        let described = component.description.route(method, route.path);
        let path = paths.path(route.path);
        let mut operation = described.map_or_else(
            || undescribed(&route),
            |described| operation(described, &route, component.name, &mut named, &mut hosts),
        );
        let names: Vec<(&str, String)> = parameters(route.path).zip(parameters(&path).map(str::to_owned)).collect();
        operation.insert("parameters".to_owned(), all_parameters(described, &names, component.name, &mut named));
        let mut id = operation_id(method, route.path);
        while !ids.insert(id.clone()) {
            id.push('_');
        }
        operation.insert("operationId".to_owned(), id.into());
        operation.insert("tags".to_owned(), json!([component.name]));
        operation.insert("security".to_owned(), security(route.session));
        tags.insert(component.name.to_owned());
        paths.insert(path, method.as_str(), operation);
    }
    for (path, operation) in own_operations() {
        paths.insert(path.to_owned(), "GET", operation);
    }
    hosts.insert(405, hosts_response(405));
    let responses: Map<String, Value> =
        hosts.into_iter().map(|(status, response)| (response_name(status), response)).collect();
    let mut schemas = named.schemas;
    schemas.insert(ERROR.to_owned(), error_schema());
    let tags: Vec<Value> = tags.into_iter().chain(["host".to_owned()]).map(|name| json!({ "name": name })).collect();
    let about = &application.application;
    json!({
        "openapi": "3.1.0",
        "info": { "title": about.name, "version": about.version, "description": about.description },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths.operations,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {
                "cookie": { "type": "apiKey", "in": "cookie", "name": application.session.cookie },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

/// Paths with their operations. Two that differ in the names of their parameters only are one path in OpenAPI.
#[derive(Default)]
struct Paths {
    operations: BTreeMap<String, Map<String, Value>>,
    /// Each path by its shape, which has no names in it.
    shapes: BTreeMap<String, String>,
}

impl Paths {
    /// How a path is written in the document.
    fn path(&mut self, path: &str) -> String {
        let shape: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
        self.shapes.entry(shape.join("/")).or_insert_with(|| path.replace("{*", "{")).clone()
    }

    fn insert(&mut self, path: String, method: &str, operation: Map<String, Value>) {
        self.operations.entry(path).or_default().insert(method.to_ascii_lowercase(), operation.into());
    }
}

/// The schemas with a name. Two components may have different ones of one name: the second gets its component's in front.
#[derive(Default)]
struct NamedSchemas<'a> {
    schemas: Map<String, Value>,
    /// By their own name, each with the name in the document.
    known: BTreeMap<&'a str, Vec<(&'a ValueSchema, String)>>,
}

impl<'a> NamedSchemas<'a> {
    /// A schema, in which those with a name are references.
    fn schema(&mut self, schema: &'a ValueSchema, component: &str) -> Value {
        let Some(title) = schema.title.as_deref() else { return self.plain(schema, component) };
        let others = self.known.entry(title).or_default();
        let name = match others.iter().find(|(other, _)| *other == schema) {
            Some((_, name)) => name.clone(),
            None => {
                let is_free = others.is_empty() && title != ERROR;
                let name = if is_free { title.to_owned() } else { format!("{component}.{title}") };
                others.push((schema, name.clone()));
                let value = self.plain(schema, component);
                self.schemas.insert(name.clone(), value);
                name
            }
        };
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The schema itself.
    fn plain(&mut self, schema: &'a ValueSchema, component: &str) -> Value {
        // What is inside is replaced below.
        let outside = ValueSchema {
            title: None,
            items: None,
            properties: BTreeMap::new(),
            any_of: Vec::new(),
            all_of: Vec::new(),
            description: schema.description.clone(),
            kind: schema.kind,
            format: schema.format.clone(),
            pattern: schema.pattern.clone(),
            texts: schema.texts.clone(),
            required: schema.required.clone(),
            ..*schema
        };
        let mut fields = match serde_json::to_value(outside) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        if let Some(items) = &schema.items {
            fields.insert("items".to_owned(), self.schema(items, component));
        }
        if schema.kind == Some(Kind::Object) {
            let properties: Map<String, Value> =
                schema.properties.iter().map(|(name, inner)| (name.clone(), self.schema(inner, component))).collect();
            fields.insert("properties".to_owned(), properties.into());
        }
        for (name, inside) in [("anyOf", &schema.any_of), ("allOf", &schema.all_of)] {
            if !inside.is_empty() {
                let inside: Vec<Value> = inside.iter().map(|inner| self.schema(inner, component)).collect();
                fields.insert(name.to_owned(), inside.into());
            }
        }
        fields.into()
    }
}

/// What is known of a route that its component says nothing of.
fn undescribed(route: &Rules<'_>) -> Map<String, Value> {
    let mut operation = Map::new();
    operation.insert("responses".to_owned(), json!({ "default": { "description": "What the component answers" } }));
    if route.body == BodyRule::Json {
        operation.insert("description".to_owned(), "A body, where it takes one, is JSON.".into());
    }
    operation
}

/// A route as its component describes it, with the answers of the host.
fn operation<'a>(
    described: &'a DescribedRoute,
    route: &Rules<'_>,
    component: &str,
    named: &mut NamedSchemas<'a>,
    hosts: &mut BTreeMap<u16, Value>,
) -> Map<String, Value> {
    let mut operation = Map::new();
    for (name, text) in [("summary", &described.summary), ("description", &described.description)] {
        if !text.is_empty() {
            operation.insert(name.to_owned(), text.as_str().into());
        }
    }
    if let Some(body) = &described.body {
        let schema = named.schema(body, component);
        // No body counts as an empty object.
        let is_required = !body.takes_an_empty_object();
        let content = json!({ "application/json": { "schema": schema } });
        operation.insert("requestBody".to_owned(), json!({ "required": is_required, "content": content }));
    }
    let mut answers: BTreeMap<u16, Response> = BTreeMap::new();
    for answer in &described.answers {
        answers.entry(answer.status).or_default().add(answer, component, named);
    }
    let hosts_own = hosts_statuses(described.method, route);
    let mut responses = Map::new();
    for status in &hosts_own {
        hosts.entry(*status).or_insert_with(|| hosts_response(*status));
        match answers.get_mut(status) {
            Some(answer) => answer.add_hosts(*status),
            None => {
                let reference = format!("#/components/responses/{}", response_name(*status));
                responses.insert(status.to_string(), json!({ "$ref": reference }));
            }
        }
    }
    responses.extend(answers.into_iter().map(|(status, answer)| (status.to_string(), answer.value(status))));
    operation.insert("responses".to_owned(), responses.into());
    operation
}

/// The answers of one status.
#[derive(Default)]
struct Response {
    /// When it is given.
    reasons: Vec<String>,
    /// The schemas of each media type.
    content: BTreeMap<String, Vec<Value>>,
}

impl Response {
    fn add<'a>(&mut self, answer: &'a DescribedAnswer, component: &str, named: &mut NamedSchemas<'a>) {
        let schema = answer.schema.as_ref().map(|schema| named.schema(schema, component));
        match &answer.kind {
            None => self.with(&answer.description, "application/json", schema.unwrap_or_else(error)),
            Some(kind) => {
                let text = json!({ "type": "string" });
                let is_text = kind.starts_with("text/");
                let otherwise = if is_text { text } else { json!({}) };
                self.with(&answer.description, kind, schema.unwrap_or(otherwise));
            }
        }
    }

    /// The host answers this status, too.
    fn add_hosts(&mut self, status: u16) {
        let (reason, kind) = hosts_answer(status);
        match kind {
            Some("application/json") => self.with(reason, "application/json", error()),
            Some(kind) => self.with(reason, kind, json!({ "type": "string" })),
            None => self.reasons.push(reason.to_owned()),
        }
    }

    fn with(&mut self, reason: &str, kind: &str, schema: Value) {
        if !reason.is_empty() && !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(reason.to_owned());
        }
        let schemas = self.content.entry(kind.to_owned()).or_default();
        if !schemas.contains(&schema) {
            schemas.push(schema);
        }
    }

    fn value(self, status: u16) -> Value {
        let mut reasons = self.reasons.join("; ");
        if reasons.is_empty() {
            reasons = StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("An answer")
                .to_owned();
        }
        let one_of = |mut schemas: Vec<Value>| match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "anyOf": schemas }),
        };
        let content: Map<String, Value> =
            self.content.into_iter().map(|(kind, schemas)| (kind, json!({ "schema": one_of(schemas) }))).collect();
        let mut value = Map::new();
        value.insert("description".to_owned(), reasons.into());
        if !content.is_empty() {
            value.insert("content".to_owned(), content.into());
        }
        if let Some(headers) = headers(status) {
            value.insert("headers".to_owned(), headers);
        }
        value.into()
    }
}

/// The statuses that the host answers itself before, or in place of, the component.
fn hosts_statuses(method: Method, route: &Rules<'_>) -> Vec<u16> {
    let mut statuses = vec![400, 405, 408, 413, 414, 429, 431, 500, 503, 504];
    if route.session == SessionRule::Required {
        statuses.push(401);
    }
    if method.changes_state() {
        statuses.push(403);
    }
    if parameters(route.path).next().is_some() {
        // A parameter that is empty is another path.
        statuses.push(404);
    }
    if route.body == BodyRule::Json {
        statuses.push(415);
    }
    statuses
}

/// When the host answers a status, and the media type of it.
fn hosts_answer(status: u16) -> (&'static str, Option<&'static str>) {
    const JSON: Option<&str> = Some("application/json");
    match status {
        400 => ("The request is malformed: its path is not UTF-8, or its body broke off", JSON),
        401 => ("There is no session, or it has ended", Some("text/plain")),
        403 => ("The `Origin` is one that may not change anything here", JSON),
        404 => ("There is nothing at this path", JSON),
        405 => ("The path has other methods; `Allow` names them", JSON),
        408 => ("The body did not arrive in time", JSON),
        413 => ("The body is too large", JSON),
        415 => ("The body is not JSON", JSON),
        // The server of HTTP answers these two without a body.
        414 => ("The path and the query are too long", None),
        431 => ("The headers are too long", None),
        429 => ("Too much at once; `Retry-After` says when to come again", JSON),
        500 => ("The component failed", JSON),
        503 => ("The host is busy, or a store does not answer; `Retry-After` says when to come again", JSON),
        _ => ("It took too long", JSON),
    }
}

/// The host's answer of a status, as operations refer to it.
fn hosts_response(status: u16) -> Value {
    let mut response = Response::default();
    response.add_hosts(status);
    response.value(status)
}

/// What an answer of this status may have in its headers.
fn headers(status: u16) -> Option<Value> {
    let retry = || json!({ "description": "Seconds", "schema": { "type": "integer", "minimum": 0 } });
    match status {
        405 => {
            Some(json!({ "Allow": { "description": "The methods that the path has", "schema": { "type": "string" } } }))
        }
        429 => Some(json!({
            "Retry-After": retry(),
            "RateLimit": {
                "description": "draft-ietf-httpapi-ratelimit-headers-10, where the limit is the host's",
                "schema": { "type": "string" },
            },
        })),
        503 => Some(json!({ "Retry-After": retry() })),
        _ => None,
    }
}

/// The name of the host's answer of a status: `NotFound`.
fn response_name(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(
        || format!("Status{status}"),
        |reason| reason.chars().filter(char::is_ascii_alphanumeric).collect(),
    )
}

/// The schema of an error, by reference.
fn error() -> Value {
    json!({ "$ref": format!("#/components/schemas/{ERROR}") })
}

/// The one shape that errors have.
fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why it was not done",
        "properties": {
            "message": { "type": "string", "description": "For people" },
            "incident": { "type": "string", "description": "The id of the log's line with the reason" },
        },
        "required": ["message"],
    })
}

/// The parameters of an operation: all of its path, and what is described of its query. `names`: what those of the path are
/// called in the manifest, and in the document.
fn all_parameters<'a>(
    described: Option<&'a DescribedRoute>,
    names: &[(&str, String)],
    component: &str,
    named: &mut NamedSchemas<'a>,
) -> Value {
    let mut all = Vec::new();
    let known = || described.into_iter().flat_map(|described| &described.parameters);
    for (name, shown) in names {
        let known = known().find(|known| known.place == Place::Path && known.name == *name);
        let schema = match known {
            Some(known) => named.schema(&known.schema, component),
            None => json!({ "type": "string", "minLength": 1 }),
        };
        let mut parameter = json!({ "name": shown, "in": "path", "required": true, "schema": schema });
        describe(&mut parameter, known.map_or("", |known| known.description.as_str()));
        all.push(parameter);
    }
    for known in known().filter(|known| known.place == Place::Query) {
        let schema = named.schema(&known.schema, component);
        let mut parameter = json!({ "name": known.name, "in": "query", "required": known.required, "schema": schema });
        if let (Value::Object(fields), true) = (&mut parameter, known.empty) {
            fields.insert("allowEmptyValue".to_owned(), true.into());
        }
        describe(&mut parameter, &known.description);
        all.push(parameter);
    }
    all.into()
}

fn describe(parameter: &mut Value, description: &str) {
    if let (Value::Object(fields), false) = (parameter, description.is_empty()) {
        fields.insert("description".to_owned(), description.into());
    }
}

/// `postRequestSendByStatusByToUserId`.
fn operation_id(method: Method, path: &str) -> String {
    let mut id = method.as_str().to_ascii_lowercase();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_parameter = part.starts_with('{');
        if is_parameter {
            id.push_str("By");
        }
        for word in part.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            let (first, rest) = word.split_at(1);
            id.push_str(&first.to_ascii_uppercase());
            id.push_str(rest);
        }
    }
    id
}

/// What a session rule wants: one of these.
fn security(session: SessionRule) -> Value {
    match session {
        SessionRule::Required => json!([{ "cookie": [] }, { "bearer": [] }]),
        SessionRule::Optional => json!([{}, { "cookie": [] }, { "bearer": [] }]),
        SessionRule::None | SessionRule::Operator => json!([]),
    }
}

/// The paths that the host answers itself.
fn own_operations() -> Vec<(&'static str, Map<String, Value>)> {
    let operation = |summary: &str, responses: Value| {
        let mut responses = responses;
        if let Value::Object(all) = &mut responses {
            all.insert("405".to_owned(), json!({ "$ref": "#/components/responses/MethodNotAllowed" }));
        }
        let fields = [
            ("summary", Value::from(summary)),
            ("tags", json!(["host"])),
            ("security", json!([])),
            ("responses", responses),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let object = || json!({ "application/json": { "schema": { "type": "object" } } });
    let text = json!({ "text/plain": { "schema": { "type": "string" } } });
    vec![
        (
            "/healthz",
            operation("Whether the host is alive", json!({ "200": { "description": "It is", "content": text } })),
        ),
        (
            "/readyz",
            operation(
                "The state of the host and of each store",
                json!({
                    "200": { "description": "It serves", "content": object() },
                    "503": { "description": "A store that it needs is down", "content": object() },
                }),
            ),
        ),
        (
            PATH,
            operation(
                "This document",
                json!({
                    "200": { "description": "OpenAPI 3.1", "content": object() },
                    "304": { "description": "It is still the one of `If-None-Match`" },
                }),
            ),
        ),
    ]
}

/// Whether a header `If-None-Match` names this tag: a list of tags, or `*` (RFC 9110, section 13.1.2).
pub(super) fn is_known(asked: Option<&HeaderValue>, etag: &HeaderValue) -> bool {
    let (Some(asked), Ok(etag)) = (asked.and_then(|asked| asked.to_str().ok()), etag.to_str()) else { return false };
    asked.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use manifest::Manifest;

    use super::*;

    const APPLICATION: &str = "
[application]
name = 'Things'
version = '7.1'
[session]
cookie = 'sid'
cookie-age = 1
token-age = 1
subject-claim = 'sub'
secret = 'S'
refusal = 'no'
collection = 'logins'
cache-key = '{hash}'
cache-age = 1
[session.fields]
id = 'i'
subject = 's'
hash = 'h'
created = 'c'
expires = 'e'
revoked = 'r'
[collections.logins]
";

    struct Component {
        manifest: Manifest,
        description: Description,
    }

    /// A component with these routes (method, path, session), and these lines of its description.
    fn component(name: &str, routes: &[(&str, &str, &str)], lines: &[&str]) -> Component {
        let mut text = format!("[component]\nname = '{name}'\nversion = '1'\n");
        for (method, path, session) in routes {
            text.push_str(&format!("[[http]]\nmethod = '{method}'\npath = '{path}'\nsession = '{session}'\n"));
        }
        let manifest = Manifest::parse(&text).unwrap();
        let description = Description::parse(lines.join("\n").as_bytes(), &manifest.http).unwrap();
        Component { manifest, description }
    }

    fn made(components: &[Component]) -> Value {
        let listed = components.iter().flat_map(|component| {
            component.manifest.http.iter().map(|trigger| Listed {
                method: trigger.method,
                route: Rules { path: &trigger.path, session: trigger.session, body: trigger.body() },
                component: Owner { name: &component.manifest.component.name, description: &component.description },
            })
        });
        let document = document(listed, &Application::parse(APPLICATION).unwrap());
        each_reference(&document, &mut |reference| {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere in {document:#}");
        });
        document
    }

    fn each_reference(value: &Value, visit: &mut impl FnMut(&str)) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    visit(reference);
                }
                fields.values().for_each(|field| each_reference(field, visit));
            }
            Value::Array(items) => items.iter().for_each(|item| each_reference(item, visit)),
            _ => {}
        }
    }

    const SHOW: &str = r#"{"method":"GET","path":"/things/{id}","summary":"Show","parameters":[{"name":"id","in":"path","required":true,"description":"Which","schema":{"type":"string","pattern":"^x$"}},{"name":"q","in":"query","empty":true,"schema":{"type":"integer"}}],"answers":[{"status":200,"type":"application/json","schema":{"title":"Thing","type":"object","properties":{"of":{"title":"Inner","type":"null"}}}},{"status":404,"description":"No such thing"},{"status":403,"type":"text/html","description":"A page"},{"status":429,"type":"application/json","schema":{"type":"object","properties":{"used":{"type":"integer"}}}}]}"#;
    const OTHER: &str = r#"{"method":"POST","path":"/others","body":{"title":"Thing","type":"object","additionalProperties":false},"answers":[{"status":200,"type":"text/plain"},{"status":201,"type":"application/json","schema":{"title":"Inner","type":"null"}}]}"#;

    #[test]
    fn what_components_say_becomes_one_document() {
        let document = made(&[
            component("a", &[("GET", "/things/{id}", "required")], &[SHOW]),
            component("b", &[("POST", "/others", "none")], &[OTHER]),
        ]);
        assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!("7.1")));
        assert_eq!(document["components"]["securitySchemes"]["cookie"]["name"], "sid");
        let show = &document["paths"]["/things/{id}"]["get"];
        assert_eq!((&show["summary"], &show["operationId"]), (&json!("Show"), &json!("getThingsById")));
        assert_eq!(show["security"], json!([{ "cookie": [] }, { "bearer": [] }]));
        assert_eq!(show["parameters"][0]["schema"]["pattern"], "^x$");
        let schema = json!({ "type": "integer" });
        let query = json!({ "name": "q", "in": "query", "required": false, "allowEmptyValue": true, "schema": schema });
        assert_eq!(show["parameters"][1], query);
        let schema = |value: &Value| value["content"]["application/json"]["schema"].clone();
        assert_eq!(schema(&show["responses"]["200"]), json!({ "$ref": "#/components/schemas/Thing" }));
        // The component and the host both say 404, and with the same words in the same shape it is said once.
        assert_eq!(schema(&show["responses"]["404"]), error());
        assert_eq!(show["responses"]["404"]["description"], "No such thing; There is nothing at this path");
        // One that the component gives in a shape of its own may also come from the host.
        assert_eq!(schema(&show["responses"]["429"])["anyOf"][1], error());
        assert!(show["responses"]["429"]["headers"]["Retry-After"].is_object());
        assert_eq!(show["responses"]["403"]["content"], json!({ "text/html": { "schema": { "type": "string" } } }));
        assert_eq!(show["responses"]["401"], json!({ "$ref": "#/components/responses/Unauthorized" }));
        // Of two values with a name the second has its component's in front; the same value is one.
        let post = &document["paths"]["/others"]["post"];
        assert_eq!(schema(&post["requestBody"]), json!({ "$ref": "#/components/schemas/b.Thing" }));
        assert_eq!(schema(&post["responses"]["201"]), json!({ "$ref": "#/components/schemas/Inner" }));
        assert_eq!(post["responses"]["403"], json!({ "$ref": "#/components/responses/Forbidden" }));
        assert_eq!((&post["security"], post["responses"].get("401")), (&json!([]), None));
        assert_eq!(document["components"]["schemas"]["b.Thing"]["additionalProperties"], false);
        assert_eq!(
            document["components"]["schemas"]["Thing"]["properties"]["of"],
            json!({ "$ref": "#/components/schemas/Inner" })
        );
    }

    #[test]
    fn a_route_that_nobody_describes_is_there() {
        let routes = [("GET", "/a/{x}/{*rest}", "optional"), ("POST", "/a/{y}/{z}", "none"), ("GET", "/a/b", "none")];
        let document = made(&[component("a", &routes, &[])]);
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/a/b", "/a/{x}/{rest}", "/healthz", "/openapi.json", "/readyz"]);
        let (get, post) = (&document["paths"]["/a/{x}/{rest}"]["get"], &document["paths"]["/a/{x}/{rest}"]["post"]);
        assert_eq!(get["security"], json!([{}, { "cookie": [] }, { "bearer": [] }]));
        assert!(get["responses"]["default"].is_object());
        for operation in [get, post] {
            let names: Vec<&Value> =
                operation["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
            assert_eq!(names, ["x", "rest"]);
        }
    }

    #[test]
    fn no_two_operations_have_one_id() {
        let routes = [("GET", "/a/b", "none"), ("GET", "/a-b", "none"), ("GET", "/a_b", "none")];
        let document = made(&[component("a", &routes, &[])]);
        let ids: BTreeSet<&str> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|path| path["get"]["operationId"].as_str())
            .collect();
        assert_eq!(ids, BTreeSet::from(["getAB", "getAB_", "getAB__"]));
    }

    #[test]
    fn a_client_that_has_it_says_so() {
        let etag = HeaderValue::from_static("\"abc\"");
        let known = |asked: &'static str| is_known(Some(&HeaderValue::from_static(asked)), &etag);
        assert!(known("\"abc\"") && known("W/\"abc\"") && known("\"x\", \"abc\"") && known("*"));
        assert!(!known("abc") && !known("\"x\"") && !known("") && !is_known(None, &etag));
    }
}
