//! A component that sends requests where it should not: to the machine itself, its network, the metadata of its cloud,
//! in every form in which such an address can be written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use e2e::{Server, ServerOptions, Value, json, seed, with_fixture};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

async fn host(data: &TempDir, components: &TempDir, options: ServerOptions) -> Server {
    let options = ServerOptions { components: Some(components.path().to_owned()), ..options };
    let folder = data.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || {
        seed::sow(&folder);
        Server::start_with(&folder, options)
    });
    starting.await.unwrap()
}

async fn fetch(server: &Server, what: &Value) -> Value {
    let url = format!("{}/fetching", server.url);
    let answer = reqwest::Client::new().post(url).header("content-type", "application/json").body(what.to_string());
    let text = answer.send().await.unwrap().text().await.unwrap();
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Attack (API7): a component whose URLs are the machine, its network or its cloud, as names, numbers, users, zones,
/// dots and ports. Outcome: what is not written as it is meant is no URL, what is not granted is refused, and what is
/// granted is judged by its address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_of_an_address_leads_inside() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("fetching"));
    let server = host(&data, &components, ServerOptions::default()).await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let admin = server.admin.clone();
    let rows: Vec<(String, &str)> = [
        // Granted, and not public.
        ("http://localhost/", "failed"),
        ("http://LOCALHOST/", "failed"),
        ("http://127.0.0.1/", "failed"),
        ("http://[::1]/", "failed"),
        ("http://169.254.169.254/latest/meta-data/", "failed"),
        ("http://10.0.0.1/", "failed"),
        ("http://[fd00::1]/", "failed"),
        ("http://0.0.0.0/", "failed"),
        // Not granted.
        ("http://127.0.0.2/", "denied"),
        ("https://127.0.0.1/", "denied"),
        ("http://api.example.com/", "denied"),
        ("https://api.example.com.evil.example/", "denied"),
        ("https://xn--mnchen-3ya.example.com/", "denied"),
        // Not written as they are meant.
        ("http://2130706433/", "invalid"),
        ("http://0x7f000001/", "invalid"),
        ("http://0177.0.0.1/", "invalid"),
        ("http://127.1/", "invalid"),
        ("http://127.0.0.1./", "invalid"),
        ("http://localhost./", "invalid"),
        ("http://[::ffff:127.0.0.1]/", "invalid"),
        ("http://[::1%25lo]/", "invalid"),
        ("http://user@localhost/", "invalid"),
        ("https://api.example.com@127.0.0.1/", "invalid"),
        ("https://api.example.com%40127.0.0.1/", "invalid"),
        ("https://api.example.com\\@127.0.0.1/", "invalid"),
        ("https://api.example.com#@127.0.0.1/", "invalid"),
        ("https://api.example.com./", "invalid"),
        ("https://api\u{3002}example\u{3002}com/", "invalid"),
        ("https://api.example.com:0443/", "invalid"),
        ("file:///etc/passwd", "invalid"),
        ("gopher://127.0.0.1/", "invalid"),
        ("", "invalid"),
    ]
    .map(|(url, error)| (url.to_owned(), error))
    .into_iter()
    .chain([(format!("http://127.0.0.1:{port}/"), "denied"), (format!("{admin}/metrics"), "denied")])
    .collect();
    for (url, error) in rows {
        let said = fetch(&server, &json!({ "url": url })).await;
        assert_eq!(said["error"], error, "{url}: {said}");
        if error == "failed" {
            assert!(said["why"].as_str().unwrap().contains("it is at a"), "{url}: {said}");
        }
    }
    for (name, value) in [("host", "a"), ("content-length", "9"), ("x", "a\r\nhost: b"), ("x y", "a")] {
        let what = json!({ "url": "https://api.example.com/", "headers": [[name, value]] });
        assert_eq!(fetch(&server, &what).await["error"], "invalid", "{name}: {value:?}");
    }
}

/// Attack (API7): a granted server that redirects inside, and one that says nothing. Outcome: the redirect is an
/// answer, and the time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_server_leads_nowhere_and_holds_nobody_up() {
    let (data, components) = (TempDir::new().unwrap(), with_fixture("fetching"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            // The first one is answered; whoever comes later waits.
            if held.is_empty() {
                let answer = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
            held.push(stream);
        }
    });
    let options = ServerOptions {
        environment: vec![("PHONEPE_BASE_URL", base.clone())],
        config: Some("[fetch]\nprivate = [\"127.0.0.1\"]\n"),
        ..ServerOptions::default()
    };
    let server = host(&data, &components, options).await;
    let said = fetch(&server, &json!({ "url": format!("{base}/") })).await;
    assert_eq!(said["status"], 302, "{said}");
    for millis in [Some(200), None] {
        let said = fetch(&server, &json!({ "url": format!("{base}/"), "millis": millis })).await;
        assert_eq!(said["error"], "failed", "{said}");
        assert!(
            said["why"].as_str().unwrap().contains("did not answer in"),
            "the call has not ended by its own limit: {said}"
        );
    }
    serving.abort();
}
