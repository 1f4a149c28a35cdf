//! Servers: the one that a URL leads to, and the ones that a grant names. One parser reads both.
//!
//! A URL has to be written as it is meant: what a lenient parser would read as another server is refused, so that two
//! parsers can't disagree. It touches nothing.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use url::Url;

/// The longest URL, in bytes.
pub const MAX_URL: usize = 4 << 10;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As a URL has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A server by name or address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name in lower case, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// The server of a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub host: Host,
    /// From 1.
    pub port: u16,
}

impl Server {
    /// Its host, and its port where it is not the usual one: the header `host`.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// As a grant names it: without `https://`, and without the usual port.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Http { "http://" } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

/// A URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its server.
    pub server: Server,
    /// Its path and query, from the first slash on.
    pub path: String,
}

impl FromStr for Target {
    type Err = String;

    /// Reads an absolute `http` or `https` URL. The error says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_URL {
            return Err(format!("a URL takes at most {MAX_URL} bytes, not {}", text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("a URL takes printable ASCII without spaces and backslashes; other letters of a name are \
                        written as `xn--…`, those of a path as `%XX`"
                .to_owned());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err("a URL begins with https:// or http://".to_owned()),
        };
        if text.contains('#') {
            return Err("a URL has no fragment (`#`)".to_owned());
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a URL has no user (`@`)".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("this is no URL: {error}"))?;
        let (host, port) = of_authority(authority)?;
        let canonical = url.host_str().unwrap_or_default();
        if !host.eq_ignore_ascii_case(canonical) {
            return Err(format!("the host is written as {canonical}"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) if !is_name(name) => {
                return Err("a host takes letters, digits, `-` and `_`, with single dots between them".to_owned());
            }
            Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
            Some(url::Host::Ipv4(address)) => Host::Address(address.into()),
            Some(url::Host::Ipv6(address)) => Host::Address(address.into()),
            None => return Err("a URL has a host".to_owned()),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self { server: Server { scheme, host, port: port.unwrap_or_else(|| scheme.port()) }, path })
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_letter))
}

/// The host and the port of an authority, as they are written.
fn of_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    let host = match authority.find(']') {
        Some(end) => authority.get(..=end).unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match authority.get(host.len()..).unwrap_or_default() {
        "" => Ok((host, None)),
        rest => {
            let written = rest.strip_prefix(':').filter(|text| !text.starts_with(['0', '+']));
            let port = written.and_then(|text| text.parse().ok()).filter(|port| *port > 0);
            port.map(|port| (host, Some(port))).ok_or_else(|| "a port is 1 to 65535".to_owned())
        }
    }
}

/// The servers that a grant names: `api.example.com`, `*.example.com:8443`, `http://10.0.0.7:8080`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerPattern {
    /// Where it is `*.`, what follows.
    server: Server,
    /// Names under the server's name, and not that name itself.
    under: bool,
}

impl ServerPattern {
    /// Whether the server is one of them.
    pub fn covers(&self, server: &Server) -> bool {
        (self.server.scheme, self.server.port) == (server.scheme, server.port) && self.covers_host(&server.host)
    }

    /// Whether all servers of the other one are among them.
    pub fn includes(&self, other: &Self) -> bool {
        self == other || (self.under && self.covers(&other.server))
    }

    fn covers_host(&self, host: &Host) -> bool {
        match (self.under, &self.server.host, host) {
            (false, this, host) => this == host,
            (true, Host::Name(this), Host::Name(name)) => name
                .strip_suffix(this.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            (true, ..) => false,
        }
    }
}

impl FromStr for ServerPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (under, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        let wrong = |why: String| format!("{text:?} names no server: {why}");
        if rest.contains(['/', '?']) {
            return Err(wrong("it has no path".to_owned()));
        }
        let target = format!("{scheme}://{rest}/").parse::<Target>().map_err(wrong)?;
        let is_domain = matches!(&target.server.host, Host::Name(name) if name.contains('.'));
        if under && !is_domain {
            return Err(wrong("behind `*.` stands a name with a dot in it".to_owned()));
        }
        Ok(Self { server: target.server, under })
    }
}

impl TryFrom<String> for ServerPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ServerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.server.scheme == Scheme::Http { "http://" } else { "" };
        let under = if self.under { "*." } else { "" };
        write!(f, "{scheme}{under}{}", self.server.authority())
    }
}

impl PartialOrd for ServerPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ServerPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.server, self.under).cmp(&(&other.server, other.under))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> String {
        url.parse::<Target>().map(|target| target.server.to_string()).unwrap_or_else(|why| format!("refused: {why}"))
    }

    #[test]
    fn a_url_leads_to_one_server() {
        for (url, is, path) in [
            ("https://api.example.com", "api.example.com", "/"),
            ("https://API.example.com:443/a?b=c", "api.example.com", "/a?b=c"),
            ("https://api.example.com:8443/", "api.example.com:8443", "/"),
            ("http://api.example.com?x", "http://api.example.com", "/?x"),
            ("http://127.0.0.1:9/a/../b", "http://127.0.0.1:9", "/b"),
            ("https://[::1]:1/", "[::1]:1", "/"),
            ("https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example", "/"),
            ("https://a.example/x@y", "a.example", "/x@y"),
        ] {
            assert_eq!(server(url), is, "{url}");
            assert_eq!(url.parse::<Target>().unwrap().path, path, "{url}");
        }
    }

    /// Attack (SSRF): URLs that one parser reads as one server and another parser as another one: numbers for
    /// addresses, users, zones, dots, letters beyond ASCII, ports. Outcome: only what is written as it is meant is a
    /// URL.
    #[test]
    fn what_could_be_read_as_another_server_is_refused() {
        for url in [
            "",
            "api.example.com",
            "//api.example.com/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_",
            "HTTPS://api.example.com/",
            "https:/api.example.com/",
            "https:api.example.com/",
            "https:///api.example.com/",
            "https://",
            "https://:443/",
            "https://?a",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://127.0.0.1./",
            "http://127.0.0.01/",
            "http://1.2.3.256/",
            "http://[::ffff:127.0.0.1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[::1/",
            "http://::1/",
            "https://user@api.example.com/",
            "https://user:secret@api.example.com/",
            "https://@api.example.com/",
            "https://api.example.com@127.0.0.1/",
            "https://api.example.com:443@127.0.0.1/",
            "https://api.example.com%40127.0.0.1/",
            "https://api.example.com\\@127.0.0.1/",
            "https://api.example.com#@127.0.0.1/",
            "https://api.example.com/#a",
            "https://api.example.com./",
            "https://localhost./",
            "https://.example.com/",
            "https://api..example.com./",
            "https://%61pi.example.com/",
            "https://api.example.com%2eevil.example/",
            "https://api.example.com%00.evil.example/",
            "https://api\u{3002}example.com/",
            "https://\u{ff41}pi.example.com/",
            "https://m\u{fc}nchen.example/",
            "https://xn--a/",
            "https://api.example.com\t/",
            "https://api.exa\nmple.com/",
            " https://api.example.com/",
            "https://api.example.com/ ",
            "https://api.example.com:/",
            "https://api.example.com:0/",
            "https://api.example.com:0443/",
            "https://api.example.com:+443/",
            "https://api.example.com:65536/",
            "https://api.example.com:65979/",
            "https://api.example.com:443:80/",
            "https://api.example.com:80 /",
            "https://*.example.com:x/",
        ] {
            assert!(server(url).starts_with("refused: "), "{url:?} is {}", server(url));
        }
        assert!(
            server(&format!("https://a.example/{}", "x".repeat(MAX_URL))).starts_with("refused: a URL takes at most")
        );
    }

    fn pattern(text: &str) -> ServerPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_covers_exactly_what_it_names() {
        for (grant, covered, other) in [
            (
                "api.example.com",
                &["https://api.example.com/x", "https://API.EXAMPLE.com:443/"][..],
                &[
                    "http://api.example.com/",
                    "http://api.example.com:443/",
                    "https://api.example.com:8443/",
                    "https://example.com/",
                    "https://x.api.example.com/",
                    "https://api.example.com.evil.example/",
                    "https://notapi.example.com/",
                ][..],
            ),
            (
                "*.example.com:8443",
                &["https://a.example.com:8443/", "https://a.b.example.com:8443/"],
                &["https://example.com:8443/", "https://a.example.com/", "https://aexample.com:8443/"],
            ),
            ("http://10.0.0.7:8080", &["http://10.0.0.7:8080/"], &["https://10.0.0.7:8080/", "http://10.0.0.7/"]),
            ("http://[::1]", &["http://[::1]/", "http://[::1]:80/"], &["https://[::1]/"]),
        ] {
            let granted = pattern(grant);
            let covers = |url: &str| granted.covers(&url.parse::<Target>().unwrap().server);
            assert!(covered.iter().all(|url| covers(url)), "{grant}");
            assert!(!other.iter().any(|url| covers(url)), "{grant}");
            assert_eq!(granted.to_string(), grant);
        }
        let wide = pattern("*.example.com");
        assert!(
            wide.includes(&pattern("a.example.com"))
                && wide.includes(&pattern("*.a.example.com"))
                && wide.includes(&wide)
        );
        assert!(!wide.includes(&pattern("example.com")) && !pattern("a.example.com").includes(&wide));
        assert!(!wide.includes(&pattern("http://a.example.com")) && !wide.includes(&pattern("a.example.com:1")));
    }

    #[test]
    fn what_names_no_server_is_no_grant() {
        for wrong in [
            "",
            "*",
            "*.",
            "*.com",
            "*.10.0.0.1",
            "**.example.com",
            "a.*.example.com",
            "api.example.com/",
            "api.example.com/x",
            "https://",
            "ftp://a.example",
            "a.example?",
            "u@a.example",
            "a.example.",
            "0x7f.1",
            "a b",
            "*.*.example.com",
        ] {
            assert!(wrong.parse::<ServerPattern>().is_err(), "{wrong}");
        }
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            #[test]
            fn what_is_read_is_read_again_as_the_same(url in "https?://[a-z0-9.:@%\\[\\]-]{0,20}[/?a-z#]{0,4}|\\PC{0,30}") {
                if let Ok(target) = url.parse::<Target>() {
                    let again = format!("{}://{}{}", target.server.scheme.as_str(), target.server.authority(), target.path);
                    proptest::prop_assert_eq!(again.parse::<Target>(), Ok(target.clone()), "{}", again);
                    // A grant that is written as the server covers it.
                    let granted = target.server.to_string().parse::<ServerPattern>().unwrap();
                    proptest::prop_assert!(granted.covers(&target.server));
                }
            }
        }
    }
}
