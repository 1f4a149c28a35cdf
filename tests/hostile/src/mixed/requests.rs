//! Requests of HTTP/1: malformed, smuggled, half, and whole ones with what nobody should send.

use super::Came::{Closed, Left, Status};
use super::aim::Aim;
use super::{Came, Kind, Shot, Way, member, stranger};

const BAD: &[Came] = &[Status(400)];
/// A head that ends before it is one, or whose connection does.
const BROKEN: &[Came] = &[Status(400), Closed];
const NO_SESSION: &[Came] = &[Status(401)];

pub(super) const KINDS: &[Kind] = &[
    stranger("request lines that are none", 20, request_lines, BROKEN),
    stranger("other protocols", 15, protocols, BROKEN),
    stranger("header lines that are none", 20, bad_headers, BAD),
    stranger("header lines that are odd", 15, odd_headers, &[Status(200), Status(400)]),
    stranger("headers that are too large", 6, large_headers, &[Status(431)]),
    stranger("headers that are too many", 8, many_headers, &[Status(431)]),
    stranger("long paths", 10, long_paths, &[Status(404), Status(414), Status(431)]),
    stranger(
        "odd paths",
        20,
        odd_paths,
        &[Status(200), Status(400), Status(401), Status(403), Status(404), Status(405)],
    ),
    stranger("odd methods", 20, odd_methods, &[Status(400), Status(401), Status(404), Status(405)]),
    stranger("smuggling", 25, smuggling, &[Status(400), Status(431)]),
    stranger("pipelines", 10, pipelines, &[Status(200)]),
    stranger("chunks that are none", 15, chunks, &[Status(400), Status(413), Closed]),
    stranger("half bodies", 15, half_bodies, &[Status(400), Status(413), Closed]),
    stranger("left in the middle", 15, left, &[Left]),
    member("left in the middle, with a session", 10, left_by_a_member, &[Left]),
    stranger("heads that never end", 1, slow_heads, &[Closed]),
    stranger("bodies that never end", 1, slow_bodies, &[Status(408), Closed]),
    stranger("deep JSON", 20, deep_json, BAD),
    stranger("large JSON", 10, large_json, &[Status(413)]),
    stranger("odd JSON", 40, odd_json, BAD),
    stranger("operators where values belong", 30, operators, BAD),
    stranger("guessed passwords", 1, guesses, &[Status(400), Status(429)]),
    stranger("sign-ups with garbage", 30, sign_ups, BAD),
    stranger("huge queries", 15, queries, &[Status(401), Status(403)]),
    stranger("cookies of every form", 40, cookies, NO_SESSION),
    stranger("forged tokens", 40, tokens, NO_SESSION),
    stranger("headers that claim to be somebody", 20, claims, &[Status(400), Status(401)]),
    stranger("foreign origins", 30, origins, &[Status(401), Status(403)]),
    member("foreign origins, with a session", 15, origins_of_a_member, &[Status(403)]),
    stranger("wrong content types", 20, content_types, &[Status(400), Status(415)]),
    stranger("encoded bodies", 15, encodings, &[Status(400), Status(413), Status(415)]),
    stranger("expectations", 10, expectations, &[Status(400), Status(417)]),
    stranger("upgrades with bad keys", 12, upgrades, &[Status(101), Status(400), Status(426), Status(503)]),
    stranger("upgrades that are none", 6, no_upgrades, &[Status(400), Status(426), Status(503)]),
    stranger("ids of no socket", 20, socket_ids, &[Status(400), Status(503)]),
    member("ranges and conditions", 15, ranges, &[Status(200)]),
    member("odd pages", 40, pages, &[Status(200), Status(400), Status(404)]),
    member("bodies that nobody expects", 10, unexpected_bodies, &[Status(200), Status(413), Status(415)]),
    member("edits with garbage", 25, edits, &[Status(400), Status(413), Status(429)]),
    member("preferences with garbage", 10, preferences, &[Status(400), Status(429)]),
    member("requests to nobody", 15, requests, &[Status(400), Status(404), Status(429)]),
    member(
        "what is others'",
        25,
        others,
        &[Status(200), Status(400), Status(403), Status(404), Status(405), Status(429)],
    ),
];

fn shot(way: Way, bytes: impl Into<Vec<u8>>) -> Shot {
    Shot { way, bytes: bytes.into() }
}

fn request_lines(aim: &mut Aim<'_>) -> Shot {
    if aim.once_in(3) {
        let mut bytes = aim.bytes(300);
        bytes.extend(b"\r\n\r\n");
        return shot(Way::Ended, bytes);
    }
    let line = aim.one_of(&[
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/2.0\r\n\r\n",
        "GET /healthz HTP/1.1\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\n\r\n",
        " GET /healthz HTTP/1.1\r\n\r\n",
        "G\0T /healthz HTTP/1.1\r\n\r\n",
        "GET /heal\0thz HTTP/1.1\r\n\r\n",
        "/healthz GET HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1 again\r\n\r\n",
        "GET\t/healthz\tHTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "\u{feff}GET /healthz HTTP/1.1\r\n\r\n",
    ]);
    shot(Way::Ended, line)
}

fn protocols(aim: &mut Aim<'_>) -> Shot {
    let hello: &[u8] = aim.one_of(&[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"EHLO there\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\n\r\n",
        b"DESCRIBE rtsp://a/b RTSP/1.0\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /healthz HTTP/1.1\r\n\r\n",
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\x00\x00\x00\x2b\xffSMBr\x00\x00\x00\x00",
    ]);
    shot(Way::Ended, hello)
}

fn bad_headers(aim: &mut Aim<'_>) -> Shot {
    let line = aim.one_of(&[
        "no colon",
        "a b: c",
        ": nameless",
        "x\0: y",
        "x: \0",
        "x: \u{1}",
        "x: a\rb: c",
        "x : y",
        " folded: a",
        "x: \u{7f}",
        "(x): y",
        "x\u{e9}: y",
    ]);
    shot(Way::Once, aim.request("GET", "/healthz", &format!("{line}\r\n"), &[]))
}

fn odd_headers(aim: &mut Aim<'_>) -> Shot {
    let lines = match aim.between(0, 8) {
        0 => "X: é, 李, \u{1f980}\r\n".to_owned(),
        1 => "X:\r\nY:   \r\n".to_owned(),
        2 => "Host: other.example\r\nHost:\r\n".to_owned(),
        3 => "X: same\r\n".repeat(50),
        4 => format!("X: {}\r\n", "v".repeat(8_000)),
        5 => format!("{}: y\r\n", aim.word(200)),
        6 => "Connection: keep-alive, Connection, X\r\nKeep-Alive: timeout=999999999, max=-1\r\n".to_owned(),
        _ => "Range: bytes=99-1\r\nIf-Match: *\r\nTE: trailers\r\nMax-Forwards: -1\r\nPragma: \u{e9}\r\n".to_owned(),
    };
    shot(Way::Kept, aim.request("GET", "/healthz", &lines, &[]))
}

fn large_headers(aim: &mut Aim<'_>) -> Shot {
    let value = "v".repeat(aim.between(70_000, 200_000));
    let name = aim.one_of(&["X", "Cookie", "Authorization", "Accept"]);
    shot(Way::Once, aim.request("GET", "/healthz", &format!("{name}: {value}\r\n"), &[]))
}

fn many_headers(aim: &mut Aim<'_>) -> Shot {
    let lines = "X-Many: 1\r\n".repeat(aim.between(120, 4_000));
    shot(Way::Once, aim.request("GET", "/healthz", &lines, &[]))
}

fn long_paths(aim: &mut Aim<'_>) -> Shot {
    let part = aim.one_of(&["x", "/", "%41", "/..", "a/"]);
    let path = format!("/none{}", part.repeat(aim.between(3_000, 30_000)));
    shot(Way::Once, aim.request("GET", &path, "", &[]))
}

fn odd_paths(aim: &mut Aim<'_>) -> Shot {
    let path = aim.one_of(&[
        "*",
        "//",
        "/..",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/profile/view/../../healthz",
        "/profile//view",
        "/%00",
        "/%",
        "/%zz",
        "/%ff%fe",
        "/feed%2f",
        "/FEED",
        "/feed;jsessionid=1",
        "/feed/.json",
        "/unsubscribe/%ff",
        "/unsubscribe/..%2f..%2fadmin",
        "/chat/%ff/history",
        "/v1/openapi.json",
        "/metrics",
        "/.git/config",
        "/wp-login.php",
        "/healthz?",
        "/healthz?%00=%ff",
        "http://evil.example/healthz",
        "http://evil.example",
        "https://user:password@evil.example/feed",
        "/\\evil.example",
        "/{userId}",
        "/{*rest}",
        "/\u{e9}",
    ]);
    shot(Way::Once, aim.request("GET", path, "", &[]))
}

fn odd_methods(aim: &mut Aim<'_>) -> Shot {
    let method =
        aim.one_of(&["TRACE", "PROPFIND", "get", "GE", "M-SEARCH", "PURGE", "DELETE", "PUT", "PATCH", "X!#$%"]);
    let path = aim.one_of(&["/healthz", "/feed", "/login", "/profile/view", "/nothing", "/request/send/x/y"]);
    if aim.once_in(10) {
        return shot(Way::Once, aim.request("CONNECT", "evil.example:443", "", &[]));
    }
    shot(Way::Kept, aim.request(method, path, "", &[]))
}

fn smuggling(aim: &mut Aim<'_>) -> Shot {
    const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let none = format!("0\r\n\r\n{HIDDEN}");
    let (lines, body) = aim.one_of(&[
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", none.as_str()),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked.as_str()),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", HIDDEN),
        ("Content-Length: 0\r\nContent-Length: 40\r\n", HIDDEN),
        ("Transfer-Encoding: xchunked\r\n", none.as_str()),
        ("Transfer-Encoding: chunked, identity\r\n", none.as_str()),
        ("Transfer-Encoding: identity\r\n", HIDDEN),
        ("Transfer-Encoding : chunked\r\n", none.as_str()),
        ("Transfer-Encoding:\tchunked\r\n", none.as_str()),
        ("Transfer-Encoding: \u{b}chunked\r\n", none.as_str()),
        (" Transfer-Encoding: chunked\r\n", none.as_str()),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", none.as_str()),
        ("Transfer-Encoding: \"chunked\"\r\n", none.as_str()),
        ("X: y\nTransfer-Encoding: chunked\r\n", none.as_str()),
        ("Content-Length: +5\r\n", HIDDEN),
        ("Content-Length: -1\r\n", HIDDEN),
        ("Content-Length: 0x5\r\n", HIDDEN),
        ("Content-Length: 5 5\r\n", HIDDEN),
        ("Content-Length: 5, 5\r\n", HIDDEN),
        ("Content-Length: 99999999999999999999\r\n", HIDDEN),
        ("Content-Length: 18446744073709551615\r\n", HIDDEN),
        ("Content-Length:\r\n", HIDDEN),
    ]);
    let mut bytes = aim.json("POST", "/login", lines, &[]);
    bytes.extend(body.as_bytes());
    shot(Way::Once, bytes)
}

fn pipelines(aim: &mut Aim<'_>) -> Shot {
    let mut bytes = aim.request("GET", "/healthz", "", &[]).repeat(aim.between(2, 60));
    bytes.extend(aim.bytes(100));
    shot(Way::Once, bytes)
}

fn chunks(aim: &mut Aim<'_>) -> Shot {
    let body = match aim.between(0, 12) {
        0 => "zz\r\n".to_owned(),
        1 => "ffffffffffffffffffffff\r\nx".to_owned(),
        2 => "7fffffffffffffff\r\nx".to_owned(),
        3 => "5\r\nhel".to_owned(),
        4 => "5\r\nhelloXX".to_owned(),
        5 => "-1\r\n".to_owned(),
        6 => format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(aim.between(1, 30_000))),
        7 => format!("0\r\n{}\r\n", "X: trailer\r\n".repeat(aim.between(1, 2_000))),
        8 => "5\nhello\n0\n\n".to_owned(),
        9 => "\r\n".to_owned(),
        10 => "1\r\n{\r\n".repeat(aim.between(1, 2_000)),
        _ => format!("{}5\r\nhello\r\n", "0".repeat(aim.between(1, 100))),
    };
    let mut bytes = aim.json("POST", "/login", "Transfer-Encoding: chunked\r\n", &[]);
    bytes.extend(body.into_bytes());
    shot(Way::Ended, bytes)
}

fn half_bodies(aim: &mut Aim<'_>) -> Shot {
    let path = aim.one_of(&["/login", "/signup"]);
    let length = aim.one_of(&[100, 1_000, 16_000, 200_000, 4_000_000_000_u64]);
    let mut bytes = aim.json("POST", path, &format!("Content-Length: {length}\r\n"), &[]);
    bytes.extend(aim.bytes(90));
    shot(Way::Ended, bytes)
}

/// A request that is cut somewhere.
fn cut(aim: &mut Aim<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(aim.between(1, bytes.len()));
    bytes
}

fn left(aim: &mut Aim<'_>) -> Shot {
    let whole = match aim.between(0, 4) {
        0 => aim.json("POST", "/login", "", br#"{"emailId":"a@example.com","password":7}"#),
        1 => aim.request("GET", "/socket.io/?EIO=4&transport=polling", "", &[]),
        2 => aim.json("POST", "/signup", "Transfer-Encoding: chunked\r\n", b"5\r\n{\"a\":\r\n"),
        _ => aim.request("GET", "/healthz", "", &[]).repeat(20),
    };
    shot(Way::Left, cut(aim, whole))
}

fn left_by_a_member(aim: &mut Aim<'_>) -> Shot {
    let cookie = aim.cookie();
    let whole = match aim.between(0, 3) {
        // It has come as a whole: the answer is what nobody waits for.
        0 => return shot(Way::Left, aim.request("GET", "/feed?ml=true", &cookie, &[])),
        1 => aim.json("PATCH", "/profile/edit", &cookie, br#"{"age":7,"unknown":"field"}"#),
        _ => aim.request("GET", "/user/connections", &cookie, &[]).repeat(5),
    };
    shot(Way::Left, cut(aim, whole))
}

fn slow_heads(aim: &mut Aim<'_>) -> Shot {
    let mut head = aim.request("GET", "/healthz", "X: y\r\n", &[]);
    head.truncate(aim.between(1, head.len() - 4));
    shot(Way::Slow, head)
}

fn slow_bodies(aim: &mut Aim<'_>) -> Shot {
    let mut bytes = aim.json("POST", "/login", "Content-Length: 1000\r\n", &[]);
    bytes.extend(aim.bytes(100));
    shot(Way::Slow, bytes)
}

/// A body for one of the routes that take one of a stranger.
fn body(aim: &mut Aim<'_>, body: &[u8]) -> Shot {
    let path = aim.one_of(&["/login", "/signup"]);
    shot(Way::Kept, aim.json("POST", path, "", body))
}

fn deep_json(aim: &mut Aim<'_>) -> Shot {
    let (open, close) = aim.one_of(&[("{\"a\":", "}"), ("[", "]"), ("{\"emailId\":[", "]}")]);
    let depth = aim.between(33, 900);
    let text = match aim.between(0, 3) {
        0 => open.repeat(depth),
        1 => format!("{{\"emailId\":{}1{}}}", open.repeat(depth), close.repeat(depth)),
        _ => format!("{}1{}", open.repeat(depth), close.repeat(depth)),
    };
    body(aim, text.as_bytes())
}

fn large_json(aim: &mut Aim<'_>) -> Shot {
    let filling = aim.one_of(&["x", " ", "\\u0000", "{}", "9"]).repeat(aim.between(17_000, 20_000));
    body(aim, format!("{{\"emailId\":\"{filling}\"}}").as_bytes())
}

fn odd_json(aim: &mut Aim<'_>) -> Shot {
    let text: &[u8] = aim.one_of(&[
        b"{\"emailId\":\"\\ud83d\"}".as_slice(),
        b"{\"emailId\":\"\\udc00\\ud83d@example.com\"}",
        b"{\"emailId\":\"a\\u0000b@example.com\"}",
        b"{\"emailId\":\"\xff\xfe\"}",
        b"{\"emailId\":\"\xed\xa0\x80\"}",
        b"{\"emailId\":\"\xc0\xaf\"}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\"emailId\":\"a@b.co\",\"emailId\":\"c@d.co\",\"emailId\":1}",
        b"{\"a\":1e999}",
        b"{\"a\":-0.0}",
        b"{\"a\":1E+}",
        b"{\"a\":00}",
        b"{a:1}",
        b"{'a':1}",
        b"{\"a\":NaN}",
        b"{\"a\":1,}",
        b"/**/{}",
        b"{}{}",
        b"{} x",
        b"[]",
        b"null",
        b"true",
        b"\"{}\"",
        b"123456789012345678901234567890",
        b" ",
        b"{",
        b"}",
        b"{\"",
        b"{\"a\":\"\\",
        b"{\"a\":\"\\x41\"}",
        b"{\"a\":\"\x01\"}",
        b"{\"__proto__\":{\"isPremium\":true}}",
        b"{\"constructor\":{\"prototype\":{\"admin\":1}}}",
        b"{\"\":\"\",\"\\u0000\":0,\"$where\":\"1\",\"a.b\":1}",
        b"{\"emailId\":123456789012345678901234567890}",
        b"{\"emailId\":{\"$oid\":\"000000000000000000000000\"}}",
        b"{\"emailId\":{\"$numberLong\":\"1\"}}",
    ]);
    body(aim, text)
}

fn operators(aim: &mut Aim<'_>) -> Shot {
    let name = aim
        .one_of(&["$ne", "$gt", "$gte", "$in", "$nin", "$regex", "$where", "$exists", "$or", "$not", "$expr", "$eq"]);
    let value = aim.one_of(&["null", "\"\"", "1", "true", "[\"\"]", "\".*\"", "{}", "[{}]", "\"sleep(9999) || true\""]);
    let (email, password) = match aim.between(0, 3) {
        0 => (format!("{{\"{name}\":{value}}}"), format!("{{\"{name}\":{value}}}")),
        1 => (format!("{{\"{name}\":{value}}}"), "\"Str0ng!Pass\"".to_owned()),
        _ => ("\"nobody@example.com\"".to_owned(), format!("{{\"{name}\":{value}}}")),
    };
    let text = if aim.once_in(5) {
        format!("{{\"{name}\":{value},\"emailId\":{email}}}")
    } else {
        format!("{{\"emailId\":{email},\"password\":{password}}}")
    };
    body(aim, text.as_bytes())
}

fn guesses(aim: &mut Aim<'_>) -> Shot {
    let email = if aim.once_in(2) { aim.member.email.clone() } else { format!("{}@example.com", aim.word(8)) };
    let password = aim.word(12);
    let text = format!("{{\"emailId\":\"{email}\",\"password\":\"{password}\"}}");
    shot(Way::Kept, aim.json("POST", "/login", "", text.as_bytes()))
}

fn sign_ups(aim: &mut Aim<'_>) -> Shot {
    let name = aim.one_of(&["", " ", "\\u200b", "\\u202e", "<script>alert(1)</script>", "Ada"]);
    let email =
        aim.one_of(&["", "a", "@", "a@", "a@b@c", "a b@c.de", "a@b.co\\r\\nBcc: c@d.co", "\\u0000@b.co", "a@.."]);
    let password = aim.one_of(&["", "password", "12345678", "Abcdefgh", "\\u0000", "        "]);
    let more =
        aim.one_of(&["", ",\"isPremium\":true", ",\"_id\":\"000000000000000000000000\"", ",\"role\":[\"admin\"]"]);
    let text = format!(
        "{{\"firstName\":\"{name}\",\"lastName\":\"{name}\",\"emailId\":\"{email}\",\"password\":\"{password}\"{more}}}"
    );
    shot(Way::Kept, aim.json("POST", "/signup", "", text.as_bytes()))
}

/// A query that has no end.
fn query(aim: &mut Aim<'_>) -> String {
    let part = aim.one_of(&["a=1&", "page=1&", "%", "&", "=", "a[]=1&", "limit=%00&", "%ff%fe=1&", "ml=true&", "+"]);
    part.repeat(aim.between(1, 5_000))
}

fn queries(aim: &mut Aim<'_>) -> Shot {
    let query = query(aim);
    let path = aim.one_of(&["/feed", "/profile/view", "/user/connections", "/unsubscribe/000000000000000000000000"]);
    shot(Way::Kept, aim.request("GET", &format!("{path}?{query}"), "", &[]))
}

fn cookies(aim: &mut Aim<'_>) -> Shot {
    let line = match aim.between(0, 14) {
        0 => "Cookie: token=".to_owned(),
        1 => format!("Cookie: token={}", aim.word(40)),
        2 => "Cookie: token".to_owned(),
        3 => "Cookie: ;;;===;;; ;".to_owned(),
        4 => "Cookie: token=\"".to_owned(),
        5 => "Cookie: =token; token =x; TOKEN=x; __Host-token=x".to_owned(),
        6 => format!("Cookie: {}", "token=x; ".repeat(aim.between(1, 1_500))),
        7 => format!("Cookie: token={}", "x".repeat(aim.between(1, 16_000))),
        8 => "Cookie: name=José; token=李.李.李".to_owned(),
        9 => "Cookie: token=%00%ff%0d%0a".to_owned(),
        10 => "Authorization: Bearer ".to_owned(),
        11 => "Authorization: Bearer null".to_owned(),
        12 => "Authorization: Basic YWRtaW46YWRtaW4=".to_owned(),
        _ => "Cookie: token=x\r\n".repeat(40) + "Cookie: token=y",
    };
    shot(Way::Kept, aim.request("GET", "/profile/view", &format!("{line}\r\n"), &[]))
}

/// Tokens made of one that holds.
fn tokens(aim: &mut Aim<'_>) -> Shot {
    let token = aim.member.token.clone();
    let mut parts = token.splitn(3, '.').map(str::to_owned);
    let [head, claims, signature] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let other = |text: &str, at: usize| {
        let old = text.as_bytes().get(at).copied().unwrap_or_default();
        let new = if old == b'A' { 'B' } else { 'A' };
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        format!("{before}{new}{after}")
    };
    const NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
    let forged = match aim.between(0, 10) {
        // The last characters of a part have bits that mean nothing.
        0 => format!("{head}.{claims}.{}", other(&signature, aim.between(0, signature.len() - 2))),
        1 => format!("{head}.{}.{signature}", other(&claims, aim.between(0, claims.len() - 2))),
        2 => format!("{head}.{claims}."),
        3 => format!("{head}.{claims}"),
        4 => format!("{NONE}.{claims}."),
        5 => format!("{NONE}.{claims}.{signature}"),
        6 => format!("{RS256}.{claims}.{signature}"),
        7 => format!("{signature}.{claims}.{head}"),
        8 => format!("{head}.{claims}.{signature}.{signature}"),
        _ => ["e30", &aim.word(200), &aim.word(43)].join("."),
    };
    let line =
        if aim.once_in(2) { format!("Authorization: Bearer {forged}") } else { format!("Cookie: token={forged}") };
    let path = aim.one_of(&["/profile/view", "/feed", "/user/connections", "/notifications", "/email-preferences"]);
    shot(Way::Kept, aim.request("GET", path, &format!("{line}\r\n"), &[]))
}

fn claims(aim: &mut Aim<'_>) -> Shot {
    let line = aim.one_of(&[
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-For: 10.0.0.1, ::1, unknown, <script>",
        "Forwarded: for=127.0.0.1;by=_secret",
        "X-Real-IP: 127.0.0.1",
        "X-Original-URL: /healthz",
        "X-Rewrite-URL: /v1/components",
        "X-HTTP-Method-Override: DELETE",
        "X-User-Id: 000000000000000000000000",
        "X-Devconnect-Session: operator",
        "Host: localhost:3001",
        "Via: 1.1 admin",
    ]);
    shot(Way::Kept, aim.request("GET", "/profile/view", &format!("{line}\r\n"), &[]))
}

fn origin(aim: &mut Aim<'_>) -> String {
    let origin =
        aim.one_of(&["https://evil.example", "null", "file://", "http://localhost:5173.evil.example", "", "x\t"]);
    match aim.between(0, 4) {
        0 => format!("Origin: http://{}.evil.example\r\n", aim.target.host),
        1 => format!("Origin: http://{}\r\nOrigin: https://evil.example\r\n", aim.target.host),
        _ => format!("Origin: {origin}\r\n"),
    }
}

fn origins(aim: &mut Aim<'_>) -> Shot {
    let origin = origin(aim);
    let bytes = match aim.between(0, 4) {
        0 => aim.json("POST", "/login", &origin, b"{}"),
        1 => aim.request("GET", "/feed", &origin, &[]),
        2 => aim.request("OPTIONS", "/feed", &format!("{origin}Access-Control-Request-Method: GET\r\n"), &[]),
        _ => aim.request("GET", "/socket.io/?EIO=4&transport=polling", &origin, &[]),
    };
    shot(Way::Kept, bytes)
}

fn origins_of_a_member(aim: &mut Aim<'_>) -> Shot {
    let lines = origin(aim) + &aim.cookie();
    let bytes = match aim.between(0, 4) {
        0 => aim.json("PATCH", "/profile/edit", &lines, br#"{"about":"taken over"}"#),
        1 => aim.request("POST", "/logout", &lines, &[]),
        2 => {
            let id = aim.id();
            aim.request("POST", &format!("/request/send/interested/{id}"), &lines, &[])
        }
        _ => aim.json("PATCH", "/email-preferences", &lines, br#"{"welcomeEmail":false}"#),
    };
    shot(Way::Kept, bytes)
}

fn content_types(aim: &mut Aim<'_>) -> Shot {
    let kind = aim.one_of(&[
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=",
        "application/xml",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "application/jsonx",
        "json",
        "",
        "é",
    ]);
    let text: &[u8] = aim.one_of(&[
        b"emailId=a&password=b".as_slice(),
        b"{\"emailId\":1,\"password\":2}",
        b"--x\r\nContent-Disposition: form-data; name=\"emailId\"\r\n\r\na\r\n--x--\r\n",
        b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
    ]);
    let path = aim.one_of(&["/login", "/signup"]);
    shot(Way::Kept, aim.request("POST", path, &format!("Content-Type: {kind}\r\n"), text))
}

fn encodings(aim: &mut Aim<'_>) -> Shot {
    let encoding = aim.one_of(&["gzip", "br", "deflate", "zstd", "gzip, gzip, gzip", "identity", "x", ""]);
    let mut text =
        aim.one_of(&[b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".as_slice(), b"\x1f\x8b", b"x\x9c", b""]).to_vec();
    text.extend(aim.bytes(2_000));
    let path = aim.one_of(&["/login", "/signup"]);
    shot(Way::Kept, aim.json("POST", path, &format!("Content-Encoding: {encoding}\r\n"), &text))
}

fn expectations(aim: &mut Aim<'_>) -> Shot {
    let expect = aim.one_of(&["100-continue", "100-Continue", "200-ok", "100-continue, 100-continue", "", "x"]);
    shot(Way::Kept, aim.json("POST", "/login", &format!("Expect: {expect}\r\n"), b"{\"emailId\":[]}"))
}

fn upgrades(aim: &mut Aim<'_>) -> Shot {
    let key = aim.one_of(&["Sec-WebSocket-Key: x\r\n", "Sec-WebSocket-Key:\r\n", "Sec-WebSocket-Key: \u{e9}\r\n", ""]);
    let version = aim.one_of(&["13", "7", "0", "", "x", "13, 8"]);
    let query =
        aim.one_of(&["EIO=4&transport=websocket", "EIO=3&transport=websocket", "EIO=4&transport=webrtc", "x", ""]);
    let more =
        aim.one_of(&["", "Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"]);
    let lines = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: {version}\r\n{key}{more}");
    shot(Way::Once, aim.request("GET", &format!("/socket.io/?{query}"), &lines, &[]))
}

fn no_upgrades(aim: &mut Aim<'_>) -> Shot {
    let lines = aim.one_of(&["", "Connection: Upgrade\r\n", "Connection: close\r\n"]);
    let lines = format!("{lines}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    shot(Way::Once, aim.request("GET", "/socket.io/?EIO=4&transport=websocket", &lines, &[]))
}

fn socket_ids(aim: &mut Aim<'_>) -> Shot {
    let sid = match aim.between(0, 5) {
        0 => String::new(),
        1 => "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        2 => "%00%ff".to_owned(),
        3 => aim.word(5_000),
        _ => aim.word(16),
    };
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let bytes = if aim.once_in(2) {
        aim.request("GET", &path, "", &[])
    } else {
        aim.request("POST", &path, "Content-Type: text/plain\r\n", b"4x")
    };
    shot(Way::Kept, bytes)
}

fn ranges(aim: &mut Aim<'_>) -> Shot {
    let line = match aim.between(0, 6) {
        0 => "Range: bytes=0-0".to_owned(),
        1 => format!("Range: bytes={}1-2", "0-,".repeat(aim.between(1, 2_000))),
        2 => "Range: bytes=99999999999999999999-".to_owned(),
        3 => "If-None-Match: *\r\nIf-Modified-Since: yesterday".to_owned(),
        4 => "If-Match: \"nothing\"\r\nIf-Range: x".to_owned(),
        _ => "Accept: ;q=9,,,*/*;q=x\r\nAccept-Encoding: gzip;q=1e99\r\nAccept-Language: ../../etc".to_owned(),
    };
    let lines = format!("{line}\r\n{}", aim.cookie());
    shot(Way::Kept, aim.request("GET", "/profile/view", &lines, &[]))
}

fn pages(aim: &mut Aim<'_>) -> Shot {
    let number = aim.one_of(&[
        "-1",
        "0",
        "1",
        "1000000",
        "4294967296",
        "99999999999999999999",
        "1e9",
        "0x1",
        "NaN",
        "%00",
        "1%001",
        "",
        "[]",
        "1&page=2",
    ]);
    let name = aim.one_of(&["page", "limit", "before", "cursor", "page[$gt]", "ml", "limit%00"]);
    let query = if aim.once_in(5) { query(aim) } else { format!("{name}={number}") };
    let id = aim.odd_id();
    let path = match aim.between(0, 6) {
        0 | 1 => "/feed".to_owned(),
        2 => "/notifications".to_owned(),
        3 => "/user/connections".to_owned(),
        4 => "/user/requests/received".to_owned(),
        _ => format!("/chat/{id}/history"),
    };
    shot(Way::Kept, aim.request("GET", &format!("{path}?{query}"), &aim.cookie(), &[]))
}

fn unexpected_bodies(aim: &mut Aim<'_>) -> Shot {
    let path = aim.one_of(&["/feed", "/profile/view", "/user/connections", "/notifications"]);
    let length = aim.one_of(&[1, 1_000, 20_000, 100_000]);
    let body = vec![b'['; length];
    let cookie = aim.cookie();
    let bytes = if aim.once_in(2) {
        aim.json("GET", path, &cookie, &body)
    } else {
        aim.request("GET", path, &format!("Content-Type: image/png\r\n{cookie}"), &body)
    };
    shot(Way::Kept, bytes)
}

fn edits(aim: &mut Aim<'_>) -> Shot {
    let text = match aim.between(0, 16) {
        0 => format!("{{\"{}\":1}}", aim.word(5_000)),
        1 => r#"{"password":"Str0ng!Pass2"}"#.to_owned(),
        2 => r#"{"isPremium":true,"membershipTier":"gold"}"#.to_owned(),
        3 => r#"{"_id":"000000000000000000000000","about":"x"}"#.to_owned(),
        4 => r#"{"$set":{"isPremium":true}}"#.to_owned(),
        5 => r#"{"emailPreferences.welcomeEmail":true}"#.to_owned(),
        6 => format!("{{\"skills\":[{}\"x\"]}}", "\"y\",".repeat(aim.between(51, 3_000))),
        7 => r#"{"skills":{"0":"rust"}}"#.to_owned(),
        8 => r#"{"skills":["\u0000"]}"#.to_owned(),
        9 => format!(
            "{{\"age\":{}}}",
            aim.one_of(&["-1", "1e308", "17", "null", "\"x\"", "[]", "18.5", "9223372036854775808"])
        ),
        10 => r#"{"emailId":{"$gt":""}}"#.to_owned(),
        11 => r#"{"photoUrl":"javascript:alert(1)"}"#.to_owned(),
        12 => format!("{{\"about\":\"{}\"}}", "x".repeat(aim.between(1_001, 100_000))),
        13 => r#"{"gender":"robot"}"#.to_owned(),
        14 => r#"{"firstName":["Ada"]}"#.to_owned(),
        _ => "[".repeat(aim.between(1, 30_000)),
    };
    shot(Way::Kept, aim.json("PATCH", "/profile/edit", &aim.cookie(), text.as_bytes()))
}

fn preferences(aim: &mut Aim<'_>) -> Shot {
    let text = aim.one_of(&[
        r#"{"welcomeEmail":"yes"}"#,
        r#"{"welcomeEmail":null}"#,
        r#"{"marketingEmails":{"$ne":false}}"#,
        r#"{"unknown":true}"#,
        r#"{"emailPreferences":{"welcomeEmail":true}}"#,
        r#"{"__proto__":{"welcomeEmail":true}}"#,
        "[]",
        "[true]",
        "null",
    ]);
    shot(Way::Kept, aim.json("PATCH", "/email-preferences", &aim.cookie(), text.as_bytes()))
}

fn requests(aim: &mut Aim<'_>) -> Shot {
    let id = aim.id();
    let odd = aim.odd_id();
    let path = match aim.between(0, 5) {
        0 => format!("/request/send/interested/{id}"),
        1 => format!("/request/send/ignore/{id}"),
        2 => format!("/request/review/accepted/{id}"),
        3 => format!("/request/review/{}/{odd}", aim.one_of(&["interested", "%24set", "ACCEPTED", "accepted%00"])),
        _ => format!(
            "/request/send/{}/{odd}",
            aim.one_of(&["accepted", "rejected", "Interested", "%ff", "interested%20"])
        ),
    };
    shot(Way::Kept, aim.request("POST", &path, &aim.cookie(), &[]))
}

fn others(aim: &mut Aim<'_>) -> Shot {
    let (id, cookie) = (aim.odd_id(), aim.cookie());
    let bytes = match aim.between(0, 6) {
        0 => aim.json("PATCH", &format!("/user/{id}"), &cookie, br#"{"about":"taken over"}"#),
        1 => aim.request("POST", &format!("/notifications/{id}/read"), &cookie, &[]),
        2 => aim.request("GET", &format!("/chat/{id}/history"), &cookie, &[]),
        3 => aim.json("PATCH", &format!("/user/requests/{id}/respond"), &cookie, br#"{"action":"accept"}"#),
        4 => aim.request("DELETE", &format!("/sessions/{id}"), &cookie, &[]),
        _ => aim.request("GET", &format!("/unsubscribe/{id}?token={}", "0".repeat(64)), &cookie, &[]),
    };
    shot(Way::Kept, bytes)
}
