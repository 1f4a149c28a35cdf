//! What comes back, or does not, from servers that are slow, endless, elsewhere or not who they say they are.

mod servers;
mod tls;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use capability::fetch::{
    Error, Fetch, Fetcher, Grant, Host, Network, Options, Request, Response, ServerPattern, Target,
};
use capability::settings::Settings;
use capability::signing::Signing;
use tokio_rustls::rustls::RootCertStore;

use super::*;
use servers::{Served, server};

const LOOPBACK: &str = "127.0.0.1";

/// What is asked of a server: one that is granted, with these networks named.
async fn ask(transport: HttpTransport, options: Options, url: &str, private: &[&str]) -> Result<Response, Error> {
    let target: Target = url.parse().unwrap();
    let grant = Grant {
        hosts: [target.server.to_string().parse::<ServerPattern>().unwrap()].into(),
        private: private.iter().map(|network| network.parse::<Network>().unwrap()).collect(),
        ..Grant::default()
    };
    let fetch = Fetch::new(Arc::new(transport), options);
    let fetcher = Fetcher { component: "shop", grant: &grant, end: None };
    let request =
        Request { method: "POST".to_owned(), url: url.to_owned(), body: b"hello".to_vec(), ..Request::default() };
    let settings = Settings::new(&BTreeMap::new(), &BTreeMap::new());
    fetch.send(fetcher, &settings, &Signing::default(), request).await
}

fn transport() -> HttpTransport {
    HttpTransport::build(Lookups::of_system(), RootCertStore::empty()).unwrap()
}

/// Where names are looked up so.
fn finding(addresses: &[&str]) -> HttpTransport {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    HttpTransport::build(Lookups::by(move |_| Ok(addresses.clone())), RootCertStore::empty()).unwrap()
}

fn quick() -> Options {
    Options { time: Duration::from_millis(500), response: 10_000, ..Options::default() }
}

fn failure(answer: Result<Response, Error>) -> String {
    match answer {
        Err(Error::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_comes_as_it_is() {
    let served =
        server(b"HTTP/1.1 418 Odd\r\nX-One: 1\r\nx-one: 2\r\nx-odd: \xff\r\ncontent-length: 3\r\n\r\nabc").await;
    let answer = ask(transport(), quick(), &served.url("/a?b=c"), &[LOOPBACK]).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (418, b"abc".as_slice()));
    let named = |name: &str| answer.headers.iter().filter(|(known, _)| known == name).count();
    assert_eq!((named("x-one"), named("x-odd")), (2, 0));
    let sent = served.heard();
    assert!(sent.starts_with("POST /a?b=c HTTP/1.1\r\n") && sent.ends_with("\r\n\r\nhello"), "{sent}");
    let host = format!("host: {}\r\n", served.authority());
    for line in [host.as_str(), "content-length: 5\r\n", "connection: close\r\n", "user-agent: devconnect\r\n"] {
        assert_eq!(sent.matches(line).count(), 1, "{line}: {sent}");
    }
}

/// Attack (SSRF): a redirect from a granted server to one of the machine itself. Outcome: it is an answer like any
/// other, and nobody follows it.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let text = format!("HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inside.url("/"));
        let served = server(text.as_bytes()).await;
        let answer = ask(transport(), quick(), &served.url("/"), &[LOOPBACK]).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.headers.contains(&("location".to_owned(), inside.url("/"))));
    }
    assert_eq!(inside.connections(), 0);
}

/// Attack (SSRF): names that lead to the machine, its network or the metadata of its cloud, alone or beside a public
/// address. Outcome: refused before anything is sent, unless the address is named.
#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let served = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://inside.example:{}/", served.port());
    for (addresses, private) in [
        (&["127.0.0.1"][..], &[][..]),
        (&["127.0.0.1"], &["127.0.0.2", "10.0.0.0/8"]),
        (&["::ffff:127.0.0.1"], &[]),
        (&["::1"], &[LOOPBACK]),
        (&["0.0.0.0"], &[LOOPBACK]),
        (&["169.254.169.254"], &[]),
        (&["10.0.0.1"], &[]),
        (&["100.64.0.1"], &[]),
        (&["64:ff9b::7f00:1"], &[]),
        (&["fd00::1"], &[]),
        (&["1.1.1.1", "127.0.0.1"], &[]),
        (&["127.0.0.1", "10.0.0.1"], &[LOOPBACK]),
    ] {
        let why = failure(ask(finding(addresses), quick(), &url, private).await);
        assert!(why.contains("it is at a") && why.contains("`private`"), "{addresses:?}: {why}");
        assert!(!addresses.iter().any(|address| why.contains(address)), "{why}");
    }
    assert_eq!(served.connections(), 0);
    for addresses in [&["127.0.0.1"][..], &["::ffff:127.0.0.1"]] {
        assert_eq!(ask(finding(addresses), quick(), &url, &["127.0.0.0/8"]).await.unwrap().status, 200);
    }
    assert!(served.heard().contains("host: inside.example:"));
}

#[tokio::test]
async fn what_the_system_finds_is_judged_too() {
    let served = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for url in [format!("http://localhost:{}/", served.port()), served.url("/")] {
        let why = failure(ask(transport(), quick(), &url, &[]).await);
        assert!(why.contains("it is at a loopback address"), "{why}");
    }
    assert_eq!(served.connections(), 0);
    let why = failure(ask(transport(), quick(), "http://no-such-name.invalid/", &[]).await);
    assert!(why.starts_with("http://no-such-name.invalid: "), "{why}");
}

/// Attack (SSRF): a name that leads elsewhere each time it is looked up. Outcome: it is looked up once, and what is
/// judged is what is connected to.
#[tokio::test]
async fn a_name_is_looked_up_once() {
    let served = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let times = Arc::new(AtomicUsize::new(0));
    let counted = times.clone();
    let lookups = Lookups::by(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![if first { "127.0.0.1" } else { "127.0.0.2" }.parse().unwrap()])
    });
    let transport = HttpTransport::build(lookups, RootCertStore::empty()).unwrap();
    let url = format!("http://rebinding.example:{}/", served.port());
    assert!(ask(transport, quick(), &url, &[LOOPBACK]).await.is_ok());
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_accept() {
    let served = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://two.example:{}/", served.port());
    assert!(ask(finding(&["127.0.0.9", "127.0.0.1"]), quick(), &url, &["127.0.0.0/8"]).await.is_ok());
    let nobody = servers::nobody().await;
    let why = failure(ask(transport(), quick(), &format!("http://127.0.0.1:{nobody}/"), &[LOOPBACK]).await);
    assert!(why.contains("no connection: "), "{why}");
}

/// Attack (API4): servers that say nothing, or a byte at a time, without end. Outcome: the time is over for all of it
/// together.
#[tokio::test]
async fn a_slow_server_is_not_waited_for() {
    for head in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let served = Served::dripping(head, b"a").await;
        let begun = Instant::now();
        let why = failure(ask(transport(), quick(), &served.url("/"), &[LOOPBACK]).await);
        let shown = String::from_utf8_lossy(head);
        assert!(why.contains("did not answer in") || why.contains("no answer: "), "{shown}: {why}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{shown}");
    }
}

/// Attack (API4): bodies and headers without end, or larger than they say. Outcome: not one byte more is read than
/// allowed.
#[tokio::test]
async fn what_is_too_large_is_no_answer() {
    let exactly = [&b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n"[..], &[b'x'; 10_000]].concat();
    let served = server(&exactly).await;
    assert_eq!(ask(transport(), quick(), &served.url("/"), &[LOOPBACK]).await.unwrap().body.len(), 10_000);
    let patient = || Options { time: Duration::from_secs(20), ..quick() };
    for (head, again, part) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n"[..], &b"x"[..], "more than 10000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 1_000], "more than 10000 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nxxxx\r\n", "more than 10000 bytes"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", "no answer: "),
        (b"HTTP/1.1 200 OK\r\nx: ", &[b'x'; 1_000], "no answer: "),
        (b"", &[b'x'; 1_000], "no answer: "),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", b"x", "no answer: "),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"x", "no answer: "),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n", "no answer: "),
        (b"SSH-2.0-OpenSSH_9.6\r\n", b"\0", "no answer: "),
    ] {
        let served = Served::flooding(head, again).await;
        let why = failure(ask(transport(), patient(), &served.url("/"), &[LOOPBACK]).await);
        assert!(why.contains(part), "{}: {why}", String::from_utf8_lossy(head));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    for text in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab",
    ] {
        let served = server(text).await;
        let why = failure(ask(transport(), quick(), &served.url("/"), &[LOOPBACK]).await);
        assert!(why.contains("no answer: "), "{}: {why}", String::from_utf8_lossy(text));
    }
}

/// Attack (API4): names that are looked up for minutes. Outcome: so many threads look names up and no more, also when
/// nobody waits for them any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_names_are_looked_up_at_a_time() {
    let (running, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new((Mutex::new(false), Condvar::new())));
    let (counted, opened) = (running.clone(), gate.clone());
    let lookups = Lookups::by(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (open, changed) = &*opened;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Ok(Vec::new())
    });
    let build = || HttpTransport::build(lookups.clone(), RootCertStore::empty()).unwrap();
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let transport = build();
            tokio::spawn(async move { ask(transport, quick(), "https://slow.example/", &[]).await })
        })
        .collect();
    for asked in asks {
        let why = failure(asked.await.unwrap());
        assert!(why.contains("did not answer in"), "{why}");
    }
    assert_eq!(running.load(Ordering::SeqCst), 32, "those whose time is over keep their places");
    let (open, changed) = &*gate;
    *open.lock().unwrap() = true;
    changed.notify_all();
    let why = failure(ask(build(), quick(), "https://slow.example/", &[]).await);
    assert!(why.contains("its name has no address"), "{why}");
}

#[test]
fn the_roots_are_there() {
    assert!(HttpTransport::new().is_ok());
    assert!(matches!("https://[::1]/".parse::<Target>().unwrap().server.host, Host::Address(_)));
}
