//! `GET /openapi.json`: it has every route of every component, and is made of what serves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::BTreeSet;

use e2e::described::{Answer, Document};
use e2e::{Server, Site, Stack, Value, json, root};
use manifest::{Bundle, SessionRule};
use reqwest::{Client, StatusCode};

use crate::deploy::with_manifest;

async fn document(server: &Server) -> Value {
    let answer = reqwest::get(format!("{}/openapi.json", server.url)).await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["content-type"].to_str().unwrap()),
        (StatusCode::OK, "application/json")
    );
    answer.json().await.unwrap()
}

/// Every reference in a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_every_component_is_described() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let document = document(&server).await;
    let (mut routes, mut ids) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(root().join("target/components")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let manifest = Bundle::read_file(&file).unwrap().manifest;
        for route in manifest.http.iter().filter(|route| route.session != SessionRule::Operator) {
            let (method, path) = (route.method.as_str().to_ascii_lowercase(), route.path.as_str());
            let operation = &document["paths"][path][method.as_str()];
            assert_eq!(operation["tags"], json!([manifest.component.name]), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("200") && !responses.contains_key("default"), "{method} {path}");
            let wants_session = route.session == SessionRule::Required;
            assert_eq!(responses.contains_key("401"), wants_session, "{method} {path}");
            assert_eq!(operation["security"] != json!([]), wants_session, "{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            routes += 1;
        }
    }
    assert!(routes >= 17, "{routes} routes");
    let operations = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
    assert_eq!(operations.count(), routes + 3, "the components' and the host's own, and no others");

    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > routes, "{found:?}");
    for reference in found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    assert_eq!((&document["openapi"], &document["info"]["title"]), (&json!("3.1.0"), &json!("DevConnect")));
    assert!(!document.to_string().contains("/analytics/network"), "operators have a side of their own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_document_is_not_sent_it_again() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let (client, url) = (Client::new(), format!("{}/openapi.json", server.url));
    let whole = client.get(&url).send().await.unwrap();
    let etag = whole.headers()["etag"].clone();
    let whole = whole.bytes().await.unwrap();
    let known = client.get(&url).header("if-none-match", etag.clone()).send().await.unwrap();
    assert_eq!((known.status(), &known.headers()["etag"]), (StatusCode::NOT_MODIFIED, &etag));
    assert!(known.bytes().await.unwrap().is_empty());
    let other = client.get(&url).header("if-none-match", "\"other\"").send().await.unwrap();
    assert_eq!((other.status(), other.bytes().await.unwrap()), (StatusCode::OK, whole));
    let head = client.head(&url).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["etag"]), (StatusCode::OK, &etag));
    assert!(head.bytes().await.unwrap().is_empty());
    for path in ["/openapi.json", "/healthz", "/readyz"] {
        let refused = client.post(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(refused.headers()["allow"], "GET, HEAD, OPTIONS", "{path}");
    }
}

/// The route table decides: what is deployed is there at once, and what only some callers get is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_that_of_what_serves() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let before = document(&server).await;
    // Nobody describes it, so it is there with what the manifest says.
    let published = &before["paths"]["/stamp/events/{number}"]["post"];
    assert!(published["responses"]["default"].is_object(), "{published}");
    assert_eq!(published["parameters"][0]["name"], "number");
    let manifest = "[component]\nname = \"stamped\"\nversion = \"2.0.0\"\n\
                    [[http]]\nmethod = \"GET\"\npath = \"/stamp\"\nsession = \"none\"\n\
                    [[http]]\nmethod = \"GET\"\npath = \"/stamp/new\"\nsession = \"none\"\n";
    let file = site.file("new.wasm", &with_manifest(manifest).unwrap());
    site.well(&server, &["deploy", file.to_str().unwrap(), "--weight", "50", "--accept-grants"]);
    assert_eq!(document(&server).await, before);
    site.well(&server, &["promote", "stamped"]);
    let after = document(&server).await;
    assert!(after["paths"]["/stamp/new"]["get"].is_object(), "{after:#}");
    assert!(after["paths"].get("/stamp/events/{number}").is_none());
}

/// A document with a path that has each kind of answer.
fn example() -> Document {
    let value = json!({
        "allOf": [{ "$ref": "#/components/schemas/Base" }],
        "type": "object",
        "properties": {
            "_id": {},
            "at": { "type": "string", "format": "date-time" },
            "n": { "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "null" }] },
            "tags": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] }, "maxItems": 2 },
        },
        "additionalProperties": false,
    });
    let id = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{24}$" });
    Document(json!({
        "paths": {
            "/a/{id}": { "get": { "responses": {
                "200": { "content": { "application/json": { "schema": value } } },
                "401": { "content": { "text/plain": { "schema": { "type": "string" } } } },
                "431": { "description": "nothing in it" },
            } } },
            "/a/b": { "post": { "responses": { "default": {} } } },
        },
        "components": { "schemas": {
            "Base": { "type": "object", "required": ["_id"], "properties": { "_id": id } },
        } },
    }))
}

/// What checks all answers of members finds what is wrong with one.
#[test]
fn an_answer_that_nobody_described_is_found() {
    let document = example();
    let check = |method: &str, path: &str, status: u16, kind: Option<&str>, body: &str| {
        document.check(method, path, &Answer { status, kind, body: body.as_bytes() })
    };
    let json = Some("application/json; charset=utf-8");
    let got = |body: &str| check("GET", "/a/b", 200, json, body);
    let id = "0123456789abcdefABCDEF01";
    assert_eq!(got(&format!(r#"{{"_id":"{id}","at":"2026-01-31T23:59:59.000Z","n":null,"tags":["a","b"]}}"#)), Ok(()));
    assert_eq!(check("HEAD", "/a/b", 200, json, ""), Ok(()));
    assert_eq!(check("GET", "/a/b", 401, Some("text/plain"), "Please login"), Ok(()));
    assert_eq!(check("GET", "/a/b", 431, None, ""), Ok(()));
    assert_eq!(check("POST", "/a/b", 299, None, ""), Ok(()));
    assert_eq!(check("PUT", "/a/b", 405, json, "{}"), Ok(()));
    for (body, why) in [
        ("{}".to_owned(), "$ has no \"_id\""),
        ("[]".to_owned(), "$ is no \"object\""),
        ("{".to_owned(), "it is not JSON"),
        (r#"{"_id":"x"}"#.to_owned(), "$._id is not of its form"),
        (format!(r#"{{"_id":"{id}","password":1}}"#), "$ has \"password\", too"),
        (format!(r#"{{"_id":"{id}","at":"2026-01-31"}}"#), "$.at is not of its form"),
        (format!(r#"{{"_id":"{id}","n":0}}"#), "$.n is out of its bounds"),
        (format!(r#"{{"_id":"{id}","n":1.5}}"#), "$.n is no \"integer\""),
        (format!(r#"{{"_id":"{id}","tags":["c"]}}"#), "$.tags[0] is none of the texts"),
        (format!(r#"{{"_id":"{id}","tags":["a","a","a"]}}"#), "$.tags has 3 values"),
    ] {
        let wrong = got(&body).unwrap_err();
        assert!(wrong.contains(why), "{body}: {wrong}");
    }
    assert!(check("GET", "/a/b", 500, json, "{}").unwrap_err().contains("this status is not there"));
    assert!(check("GET", "/a/b", 200, Some("text/html"), "{}").unwrap_err().contains("the type \"text/html\""));
    assert!(check("PUT", "/a/b", 200, json, "{}").unwrap_err().contains("does not have this method"));
}
