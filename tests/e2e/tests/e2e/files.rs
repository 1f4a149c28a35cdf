//! Files of components, over HTTP: forms, tags, ranges and fallbacks, and what pages of a version find when others come.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::{Server, Site, Stack, Value, on_both_stacks, root, until};
use manifest::Manifest;
use reqwest::{Method, RequestBuilder, Response};

on_both_stacks!(a_page_finds_the_scripts_of_its_own_version, a_canary_and_its_pages_go_together);

/// The script of the first build, that of the second, and the style of both.
const FIRST: &str = "/pages/assets/index-Ab12Cd34.js";
const SECOND: &str = "/pages/assets/index-Ef56Gh78.js";
const STYLE: &str = "/pages/assets/shared-Zz98Yy76.css";
/// What another host or a loader in the background does takes at most so long.
const SOON: Duration = Duration::from_secs(20);

/// An empty component: it has files and nothing else.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// The manifest of the second build, with more lines.
fn manifest(name: &str, lines: &str) -> String {
    format!("[component]\nname = \"{name}\"\nversion = \"2.0.0\"\n[assets]\ndir = \"next\"\n{lines}\n")
}

/// A component with the files of the second build.
fn second(name: &str, lines: &str) -> Vec<u8> {
    let files = assets::read_folder(&root().join("tests/fixtures/pages/next")).unwrap();
    Manifest::bundle_with_assets(EMPTY.to_vec(), &manifest(name, lines), &assets::pack(files, None).unwrap()).unwrap()
}

/// The second build of the fixture.
fn second_build() -> Vec<u8> {
    second(
        "pages",
        "prefix = \"/pages\"\nfallback = { \"/pages/app\" = \"app.html\" }\nheaders = { x-robots-tag = \"none\" }",
    )
}

/// The built fixture, which is the first build.
fn first_build() -> PathBuf {
    root().join("target/fixtures/pages.wasm")
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

fn ask(server: &Server, method: Method, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, format!("{}{path}", server.url))
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = ask(server, Method::GET, path).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// A host with the first build deployed.
async fn with_first_build(site: &Site) -> Server {
    let server = site.start("host").await;
    // Its files are everywhere that the others' are not.
    site.well(&server, &["remove", "web"]);
    let said = site.well(&server, &["deploy", path(&first_build()), "--accept-grants"]);
    for line in [
        "+ serve files under /pages, pages with scripts too",
        "+ answer what is nothing under /pages/app, with the file app.html",
        "+ send the header x-robots-tag with its files, none",
    ] {
        assert!(said.contains(line), "{said}");
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_answered_by_the_host() {
    let site = Site::new(Stack::embedded());
    let server = with_first_build(&site).await;
    for (path, kind, cache) in [
        ("/pages", "text/html; charset=utf-8", "no-cache"),
        ("/pages/", "text/html; charset=utf-8", "no-cache"),
        ("/pages/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/pages/docs/", "text/html; charset=utf-8", "no-cache"),
        ("/pages/%64ocs", "text/html; charset=utf-8", "no-cache"),
        ("/pages/app/any/page", "text/html; charset=utf-8", "no-cache"),
        (FIRST, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        (STYLE, "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/pages/icon-192.png", "image/png", "no-cache"),
    ] {
        let answer = ask(&server, Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        for (name, value) in [
            ("content-type", kind),
            ("cache-control", cache),
            ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-robots-tag", "none"),
        ] {
            assert_eq!(header(&answer, name), Some(value), "{path}");
        }
        let policy = header(&answer, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        let vary: Vec<&str> = answer.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.contains(&"accept-encoding"), "{path}: {vary:?}");
        assert_eq!(header(&answer, "set-cookie"), None, "{path}");
    }
    // A route is a route, and what is neither is refused as everywhere.
    assert_eq!(get(&server, "/pages/answer").await, (200, "of the component".to_owned()));
    for path in ["/pages/nothing", "/pages/app/nothing.js", "/pages/.hidden", "/index.html", "/pages/icon-192.png/"] {
        let (status, body) = get(&server, path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["message"].is_string()), (404, true), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = ask(&server, method.clone(), STYLE).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
        assert_eq!(ask(&server, method, "/pages/app/any").send().await.unwrap().status(), 404);
    }
    // Pages of other origins that may call get them too, and say so before.
    let origin = "http://localhost:5173";
    let answer = ask(&server, Method::GET, FIRST).header("origin", origin).send().await.unwrap();
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
    let preflight = ask(&server, Method::OPTIONS, FIRST).header("origin", origin).send().await.unwrap();
    assert_eq!((preflight.status().as_u16(), header(&preflight, "allow")), (204, Some("GET, HEAD, OPTIONS")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_form_that_it_asks_for_and_no_byte_that_it_has() {
    let site = Site::new(Stack::embedded());
    let server = with_first_build(&site).await;
    let whole = std::fs::read(root().join("tests/fixtures/pages/dist/assets/index-Ab12Cd34.js")).unwrap();
    let mut tags = Vec::new();
    for (accept, encoding) in [("gzip, deflate, br", Some("br")), ("gzip", Some("gzip")), ("br;q=0", None)] {
        let asked = |method: Method| ask(&server, method, FIRST).header("accept-encoding", accept);
        let answer = asked(Method::GET).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "content-encoding")), (200, encoding), "{accept}");
        let etag = header(&answer, "etag").unwrap().to_owned();
        let headers = answer.headers().clone();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes.len() < whole.len() / 2, encoding.is_some(), "{accept}: {} bytes", bytes.len());
        if encoding.is_none() {
            assert_eq!(bytes, whole);
        }
        // HEAD has the same headers and no body.
        let head = asked(Method::HEAD).send().await.unwrap();
        for name in ["etag", "content-type", "content-encoding", "content-length", "cache-control", "accept-ranges"] {
            assert_eq!(head.headers().get(name), headers.get(name), "{accept}: {name}");
        }
        assert_eq!(header(&head, "content-length"), Some(bytes.len().to_string().as_str()));
        assert!(head.bytes().await.unwrap().is_empty());
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let answer =
                asked(Method::GET).header("if-none-match", &known).header("range", "bytes=0-1").send().await.unwrap();
            assert_eq!((answer.status().as_u16(), header(&answer, "etag")), (304, Some(etag.as_str())), "{known}");
            assert!(header(&answer, "content-security-policy").is_some() && header(&answer, "content-type").is_none());
            assert!(answer.bytes().await.unwrap().is_empty());
        }
        // A part is one of the form that was chosen.
        let part = asked(Method::GET).header("range", "bytes=10-19").header("if-range", &etag).send().await.unwrap();
        let of = format!("bytes 10-19/{}", bytes.len());
        assert_eq!((part.status().as_u16(), header(&part, "content-range")), (206, Some(of.as_str())));
        assert_eq!((header(&part, "content-encoding"), header(&part, "content-length")), (encoding, Some("10")));
        assert_eq!(part.bytes().await.unwrap(), &bytes[10..20]);
        for (range, condition, status) in [
            ("bytes=-5", None, 206),
            ("bytes=0-", None, 206),
            ("bytes=0-1,4-5", None, 200),
            ("bytes=5-1", None, 200),
            ("bytes=0-1", Some("\"other\""), 200),
            ("bytes=999999-", None, 416),
        ] {
            let mut request = asked(Method::GET).header("range", range);
            if let Some(condition) = condition {
                request = request.header("if-range", condition);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{range}");
            let unsatisfied = format!("bytes */{}", bytes.len());
            assert_eq!(header(&answer, "content-range") == Some(unsatisfied.as_str()), status == 416, "{range}");
            if status == 200 {
                assert_eq!(answer.bytes().await.unwrap(), bytes, "{range}");
            }
        }
        tags.push(etag);
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has its own tag");
    let refused = ask(&server, Method::GET, "/pages/icon-192.png").header("accept-encoding", "identity;q=0");
    assert_eq!(refused.send().await.unwrap().status(), 406);
}

/// The files that a host finds: the two scripts, and the title of the page.
async fn found(server: &Server) -> (u16, u16, String) {
    let title =
        get(server, "/pages").await.1.split("<title>").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    (get(server, FIRST).await.0, get(server, SECOND).await.0, title.unwrap_or_default())
}

fn these(first: u16, second: u16, title: &str) -> (u16, u16, String) {
    (first, second, title.to_owned())
}

async fn a_page_finds_the_scripts_of_its_own_version(stack: Stack) {
    let shared = stack.has("MONGODB_URI");
    let site = Site::new(stack);
    let server = with_first_build(&site).await;
    assert_eq!(found(&server).await, these(200, 404, "First build"));
    // Somebody asks for the page's script all the time while the versions change.
    let (url, client) = (format!("{}{FIRST}", server.url), reqwest::Client::new());
    let reader = tokio::spawn(async move {
        for _ in 0..200 {
            assert_eq!(client.get(&url).send().await.unwrap().status(), 200, "an open page loses its script");
        }
    });
    let file = site.file("second.wasm", &second_build());
    site.well(&server, &["deploy", path(&file)]);
    reader.await.unwrap();
    assert_eq!(found(&server).await, these(200, 200, "Second build"));
    assert_eq!(get(&server, "/pages/docs/").await.0, 404, "what has no hash is of the current version alone");
    assert_eq!(get(&server, "/pages/app/x").await.1.matches("Second application").count(), 1);

    site.well(&server, &["rollback", "pages"]);
    assert_eq!(found(&server).await, these(200, 200, "First build"));
    site.well(&server, &["deploy", path(&file)]);
    if shared {
        // A host that starts later has them from the documents.
        let other = site.start("other").await;
        until("another host has them", SOON, async || found(&other).await == these(200, 200, "Second build")).await;
    }
    assert!(tokio::task::block_in_place(|| server.interrupt()));
    let server = site.start("host").await;
    until("a host that starts again has them", SOON, async || found(&server).await == these(200, 200, "Second build"))
        .await;
    assert!(site.well(&server, &["remove", "pages"]).contains("is removed"));
    assert_eq!(found(&server).await, these(404, 404, ""), "nothing stays of what is removed");
    assert_eq!(get(&server, STYLE).await.0, 404);
    drop(server);
    let server = site.start("host").await;
    assert_eq!(found(&server).await, these(404, 404, ""));
}

async fn a_canary_and_its_pages_go_together(stack: Stack) {
    let site = Site::new(stack);
    let server = with_first_build(&site).await;
    let file = site.file("second.wasm", &second_build());
    for weight in ["1", "100"] {
        site.well(&server, &["deploy", path(&file), "--weight", weight]);
        let (first, second, title) = found(&server).await;
        assert_eq!((first, second), (200, 200), "at {weight} % the scripts of both are there");
        let application = get(&server, "/pages/app/x").await.1;
        assert_eq!(application.contains("Second"), title.contains("Second"), "an address has one version: {title}");
        assert!(weight != "100" || title == "Second build", "{title}");
    }
    site.well(&server, &["rollback", "pages"]);
    assert_eq!(found(&server).await, these(200, 200, "First build"), "who met the canary has its page open");
    site.well(&server, &["deploy", path(&file), "--weight", "100"]);
    site.well(&server, &["promote", "pages"]);
    assert_eq!(found(&server).await, these(200, 200, "Second build"));
}

/// Two components with one path are refused, as two with one route are, and so are files that are not what they say.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    let site = Site::new(Stack::embedded());
    let server = with_first_build(&site).await;
    let route = |path: &str| format!("[[http]]\nmethod = \"GET\"\npath = \"{path}\"\n");
    let stamped = |text: &str| crate::deploy::with_manifest(text).unwrap();
    let head = "[component]\nname = \"other\"\nversion = \"1.0.0\"\n";
    let packed = assets::pack(vec![assets::File { path: "a.txt".into(), bytes: b"text".to_vec() }], None).unwrap();
    let with = |section: &[u8]| Manifest::bundle_with_assets(EMPTY.to_vec(), &manifest("other", ""), section).unwrap();
    let mut damaged = packed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (what, wasm, why) in [
        ("files", second("other", "prefix = \"/pages\""), "pages has it already"),
        ("fallback", second("other", "fallback = { \"/pages/app\" = \"app.html\" }"), "the fallback of /pages/app"),
        ("route", second("other", "prefix = \"/pages/answer\""), "pages has GET /pages/answer already"),
        ("static", stamped(&format!("{head}{}", route("/pages/icon-192.png"))), "the file /pages/icon-192.png already"),
        ("wild", stamped(&format!("{head}{}", route("/pages/{*rest}"))), "already"),
        ("damaged", with(&damaged), "its hash is another one"),
        ("cut", with(&packed[..packed.len() - 1]), "its index tells of"),
        ("text", with(b"text"), "does not begin as one"),
        ("missing", Manifest::bundle(EMPTY.to_vec(), &manifest("other", "")).unwrap(), "they are not in it"),
    ] {
        let file = site.file(&format!("{what}.wasm"), &wasm);
        let (said, well) = site.operate(&server, &["deploy", path(&file), "--accept-grants"]);
        assert!(!well && said.contains(why), "{what}: {said}");
        assert_eq!(found(&server).await, these(200, 404, "First build"), "{what}");
    }
    // More headers, or a larger place, are more than was accepted.
    let wider = second("pages", "prefix = \"/pages\"\nheaders = { content-security-policy = \"default-src *\" }");
    let file = site.file("wider.wasm", &wider);
    let (said, well) = site.operate(&server, &["deploy", path(&file)]);
    assert!(
        !well && said.contains("+ send the header content-security-policy with its files, default-src *"),
        "{said}"
    );
    let checked = tokio::task::block_in_place(|| e2e::command(&["check", path(&first_build())]));
    assert!(checked.1 && checked.0.contains("  serve files under /pages, pages with scripts too\n"), "{}", checked.0);
    assert!(checked.0.contains("(6 files, "), "{}", checked.0);
}

/// `devconnect bundle` puts the files of a folder in, for components that `cargo xtask` does not build.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_the_files_of_its_manifest() {
    let folder = tempfile::TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir(place("next")).unwrap();
    std::fs::write(place("next/a.txt"), "text").unwrap();
    std::fs::write(place("component.toml"), manifest("bundled", "")).unwrap();
    std::fs::write(place("bare.wasm"), EMPTY).unwrap();
    let bundle = || tokio::task::block_in_place(|| e2e::command(&["bundle", path(&place("bare.wasm"))]));
    let (said, well) = bundle();
    assert!(well, "{said}");
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    site.well(&server, &["deploy", path(&place("bundled.wasm")), "--accept-grants"]);
    assert_eq!(get(&server, "/a.txt").await, (200, "text".to_owned()));
    std::fs::remove_file(place("bundled.wasm")).unwrap();
    std::fs::remove_file(place("next/a.txt")).unwrap();
    let (said, well) = bundle();
    assert!(!well && said.contains("there is no file in"), "{said}");
}
