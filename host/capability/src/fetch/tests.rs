use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::*;
use crate::signing::Key;

/// Answers when it is told to, and keeps what went out.
#[derive(Default)]
struct StandIn {
    sent: Mutex<Vec<Outgoing>>,
    under_way: AtomicUsize,
    waits: bool,
    go: Notify,
}

#[async_trait]
impl Transport for StandIn {
    async fn send(&self, outgoing: Outgoing) -> Result<Response, String> {
        self.sent.lock().unwrap().push(outgoing);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        if self.waits {
            self.go.notified().await;
        }
        Ok(Response { status: 302, headers: Vec::new(), body: Vec::new() })
    }
}

fn grant(toml: &str) -> Grant {
    toml::from_str(toml).unwrap()
}

fn get(url: &str) -> Request {
    Request { method: "GET".to_owned(), url: url.to_owned(), ..Request::default() }
}

fn options() -> Options {
    Options { per_component: 2, in_flight: 3, ..Options::default() }
}

async fn send(fetch: &Fetch, grant: &Grant, request: Request) -> Result<Response, Error> {
    let fetcher = Fetcher { component: "shop", grant, end: None };
    let settings = BTreeMap::from([("shop.url".to_owned(), "https://shop.example/base".to_owned())]);
    let settings = Settings::new(&settings, &BTreeMap::new());
    let keys = [("key", "s3cr3t"), ("odd", "two\nlines")];
    let keys = keys.map(|(name, value)| (name.to_owned(), Key::from(Zeroizing::new(value.as_bytes().to_vec()))));
    fetch.send(fetcher, &settings, &Signing::new(keys.into()), request).await
}

#[tokio::test]
async fn what_is_granted_is_sent_and_nothing_else() {
    let stand_in = Arc::new(StandIn::default());
    let fetch = Fetch::new(stand_in.clone(), options());
    let granted = grant("hosts = ['api.example.com']\nsettings = ['shop.url', 'shop.other']\nprivate = ['10.0.0.7']");
    let answer = send(&fetch, &granted, get("https://api.example.com/a?b")).await.unwrap();
    assert_eq!(answer.status, 302, "a redirect is an answer");
    assert!(send(&fetch, &granted, get("https://shop.example/elsewhere")).await.is_ok());
    for (url, line) in [
        ("https://other.example/", "hosts = [\"other.example\"]"),
        ("http://api.example.com/", "hosts = [\"http://api.example.com\"]"),
        ("https://api.example.com:8443/", "hosts = [\"api.example.com:8443\"]"),
        ("http://169.254.169.254/latest/meta-data", "hosts = [\"http://169.254.169.254\"]"),
    ] {
        let Err(Error::Denied(why)) = send(&fetch, &granted, get(url)).await else { panic!("{url} was sent") };
        assert!(why.ends_with(line), "{why}");
    }
    {
        let sent = stand_in.sent.lock().unwrap();
        assert_eq!(sent.len(), 2);
        assert_eq!((sent[0].request.uri().to_string().as_str(), sent[0].response), ("/a?b", 1 << 20));
        assert_eq!(sent[0].private, granted.private.iter().copied().collect::<Vec<_>>());
        assert_eq!(sent[0].request.headers()["user-agent"], "devconnect");
    }
    let counts = fetch.counts();
    let [(component, counts)] = &counts[..] else { panic!() };
    assert_eq!((component.as_str(), counts.of(Outcome::Answered), counts.of(Outcome::Denied)), ("shop", 2, 4));
}

#[tokio::test]
async fn a_request_has_its_bounds() {
    let stand_in = Arc::new(StandIn::default());
    let fetch = Fetch::new(stand_in.clone(), options());
    let granted = grant("hosts = ['a.example']");
    let with = |name: &str, value: &str| Request {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..get("https://a.example/")
    };
    let many = Request { headers: vec![("x".to_owned(), "y".to_owned()); 65], ..get("https://a.example/") };
    let large = Request { body: vec![0; MAX_BODY + 1], ..get("https://a.example/") };
    let method = |method: &str| Request { method: method.to_owned(), ..get("https://a.example/") };
    let at_once = Request { time: Some(Duration::ZERO), ..get("https://a.example/") };
    let own = [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "proxy-authorization",
        "proxy-connection",
    ];
    let mut wrong: Vec<Request> = own.iter().map(|name| with(name, "a")).collect();
    wrong.extend(["a\r\nhost: b", "a\nb", "a\0", "caf\u{e9}", "\u{7f}"].map(|value| with("x", value)));
    wrong.extend(["", "a b", "a:b", "a\r\nb", "\u{e9}"].map(|name| with(name, "a")));
    wrong.extend([many, large, at_once, with("x", &"y".repeat(MAX_HEADER_BYTES))]);
    wrong.extend(["", "get", "TRACE", "CONNECT", "GET / HTTP/1.1\r\nx:"].map(method));
    wrong.extend(["", "a.example", "https://user@a.example/", "https://A.example./"].map(get));
    for request in wrong {
        let shown = format!("{} {} {:?}", request.method, request.url, request.headers.first());
        let answer = send(&fetch, &granted, request).await;
        assert!(matches!(&answer, Err(Error::Invalid(why)) if why.len() < 400), "{shown}: {answer:?}");
    }
    assert!(stand_in.sent.lock().unwrap().is_empty());
    let most = Request { body: vec![0; MAX_BODY], method: "POST".to_owned(), ..with("x", &"y".repeat(16_000)) };
    assert!(send(&fetch, &granted, most).await.is_ok());
}

#[tokio::test]
async fn a_secret_goes_where_it_is_granted_and_is_not_seen() {
    let stand_in = Arc::new(StandIn::default());
    let fetch = Fetch::new(stand_in.clone(), options());
    let granted = grant("hosts = ['*.example.com']\nsecrets = { key = 'api.example.com', odd = 'api.example.com' }");
    let with = |host: &str, secret: &str| Request {
        secret_headers: vec![SecretHeader {
            name: "Authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            secret: secret.to_owned(),
        }],
        ..get(&format!("https://{host}/"))
    };
    assert!(send(&fetch, &granted, with("api.example.com", "key")).await.is_ok());
    {
        let sent = stand_in.sent.lock().unwrap();
        let value = &sent[0].request.headers()["authorization"];
        assert_eq!(value, "Bearer s3cr3t");
        assert!(value.is_sensitive() && !format!("{:?}", sent[0]).contains("s3cr3t"));
    }
    let other = send(&fetch, &granted, with("other.example.com", "key")).await;
    let line = "[grants.fetch] secrets = { \"key\" = \"other.example.com\" }";
    assert!(matches!(&other, Err(Error::Denied(why)) if why.ends_with(line)), "{other:?}");
    assert!(matches!(send(&fetch, &granted, with("api.example.com", "none")).await, Err(Error::Denied(_))));
    let odd = send(&fetch, &granted, with("api.example.com", "odd")).await;
    assert!(matches!(&odd, Err(Error::Invalid(why)) if !why.contains("lines\n") && !why.contains("two")), "{odd:?}");
    assert_eq!(stand_in.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn so_many_are_under_way_and_more_wait_for_a_second() {
    let stand_in = Arc::new(StandIn { waits: true, ..StandIn::default() });
    let fetch = Arc::new(Fetch::new(stand_in.clone(), options()));
    let begin = |component: &'static str| {
        let fetch = fetch.clone();
        tokio::spawn(async move {
            let granted = grant("hosts = ['a.example']");
            let fetcher = Fetcher { component, grant: &granted, end: None };
            fetch.send(fetcher, &Settings::default(), &Signing::default(), get("https://a.example/")).await
        })
    };
    let until_under_way = async |count: usize| {
        while stand_in.under_way.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    let running = [begin("one"), begin("one")];
    until_under_way(2).await;
    let over = begin("one").await.unwrap();
    assert_eq!(over, Err(Error::Busy), "of one component");
    let other = begin("other");
    until_under_way(3).await;
    assert_eq!(begin("other").await.unwrap(), Err(Error::Busy), "of the host");
    assert_eq!(stand_in.under_way.load(Ordering::SeqCst), 3);
    // One that ends makes room within the second.
    let waiting = begin("one");
    stand_in.go.notify_one();
    until_under_way(4).await;
    (0..3).for_each(|_| stand_in.go.notify_waiters());
    for ended in running.into_iter().chain([other, waiting]) {
        assert!(ended.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn an_answer_is_waited_for_so_long_and_not_beyond_the_call() {
    let millis = Duration::from_millis;
    let stand_in = StandIn { waits: true, ..StandIn::default() };
    let fetch = Fetch::new(Arc::new(stand_in), Options { time: millis(800), ..options() });
    let granted = grant("hosts = ['a.example']");
    for (time, end, waits) in [
        (None, None, Some(800)),
        (Some(millis(200)), None, Some(200)),
        (Some(millis(60_000)), None, Some(800)),
        (None, Some(millis(650)), Some(400)),
        (None, Some(millis(200)), None),
    ] {
        let begun = std::time::Instant::now();
        let fetcher = Fetcher { component: "shop", grant: &granted, end: end.map(|left| begun + left) };
        let request = Request { time, ..get("https://a.example/") };
        let answer = fetch.send(fetcher, &Settings::default(), &Signing::default(), request).await;
        let Err(Error::Failed(why)) = answer else { panic!("{answer:?}") };
        let Some(waits) = waits else {
            assert!(why.starts_with("no time is left in this call"), "{why}");
            continue;
        };
        assert!(why.starts_with("a.example did not answer in "), "{why}");
        let waited = begun.elapsed();
        assert!(waited >= millis(waits - 10) && waited < millis(waits + 5_000), "{waited:?}, not {waits} ms");
    }
}

#[test]
fn a_grant_names_servers_and_what_goes_to_them() {
    let wrong = |toml: &str| toml::from_str::<Grant>(toml).unwrap_err().to_string();
    assert!(wrong("hosts = ['*']").contains("\"*\" names no server"), "{}", wrong("hosts = ['*']"));
    assert!(wrong("private = ['0.0.0.0/0']").contains("is too wide"));
    assert!(wrong("secrets = { a = 'b/c' }").contains("names no server"));
    assert!(wrong("host = []").contains("unknown field `host`"));
    assert_eq!(grant("private = ['10.0.0.1']").check().unwrap_err().0, "private");
    assert_eq!(grant("secrets = { a = 'b.example' }").check().unwrap_err().0, "secrets");
    assert!(grant("").check().is_ok() && grant("hosts = ['a.example']\nprivate = ['10.0.0.1']").check().is_ok());
}

#[test]
fn a_setting_that_is_a_server_is_a_url() {
    let granted = grant("settings = ['shop.url']");
    let check = |value: &str| {
        let settings = BTreeMap::from([("shop.url".to_owned(), value.to_owned())]);
        granted.check_settings(&Settings::new(&settings, &BTreeMap::new()))
    };
    for good in ["", "https://shop.example", "https://shop.example/apis/pg", "http://127.0.0.1:9"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for wrong in
        ["shop.example", "https://u:p@shop.example", "https://shop.example?a", "https://0x7f.1/", "ftp://a.example"]
    {
        let why = check(wrong).unwrap_err();
        assert!(why.starts_with("the setting shop.url is \""), "{why}");
    }
    assert!(granted.check_settings(&Settings::default()).is_ok());
}
