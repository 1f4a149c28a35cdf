//! Origins: which origins may call (the CORS protocol of the Fetch standard), and which may not change anything.
//!
//! They are compared as the URL standard writes them: in lower case, in ASCII, without the port that its scheme has anyway.

use std::collections::BTreeSet;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};
use url::{Origin, Url};

/// The origins whose pages may call with credentials.
#[derive(Debug, Clone, Default)]
pub struct OriginRules {
    /// As [`origin_of`] writes them.
    pub allowed: BTreeSet<String>,
    /// Also allow an origin that equals the request's own host. For development, where the site's name is not configured.
    pub own_host: bool,
}

/// What a request's `Origin` header allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is no such header: the request is not from a page of another site.
    Absent,
    /// It may call; this is the header of the response.
    Allowed(http::HeaderValue),
    /// The response gets no CORS headers, and the request may not change anything.
    Foreign,
}

impl OriginRules {
    /// Judges a request. Several `Origin` headers, or an unreadable one, are foreign.
    pub fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Verdict {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(value) = origins.next() else {
            return if is_cross_site(headers) { Verdict::Foreign } else { Verdict::Absent };
        };
        let origin = value.to_str().ok().filter(|text| is_only_an_origin(text)).and_then(origin_of);
        let Some(origin) = origin.filter(|_| origins.next().is_none()) else { return Verdict::Foreign };
        let is_own = || {
            let (scheme, host) = (origin.split(':').next(), host(uri, headers));
            let own = scheme.zip(host).and_then(|(scheme, host)| origin_of(&format!("{scheme}://{host}")));
            matches!(scheme, Some("http" | "https")) && own.as_ref() == Some(&origin)
        };
        if self.allowed.contains(&origin) || (self.own_host && is_own()) {
            Verdict::Allowed(value.clone())
        } else {
            Verdict::Foreign
        }
    }
}

/// Whether a browser says of a request without an origin that a page of another site caused it (Fetch Metadata).
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

/// The host that a request asks for: `:authority` in HTTP/2, else the header `Host`.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let in_header = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(Authority::as_str).or_else(in_header).filter(|host| !host.contains('@'))
}

/// The origin of a URL, as the URL standard writes it; none where it has none.
pub fn origin_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    match url.origin() {
        origin @ Origin::Tuple(..) => Some(origin.ascii_serialization()),
        // Schemes that the standard knows nothing of, such as those of apps: `capacitor://localhost`.
        Origin::Opaque(_) => {
            let host = url.host_str().filter(|host| !host.is_empty())?.to_ascii_lowercase();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}://{host}{port}", url.scheme()))
        }
    }
}

/// Whether a text has no more than an origin: a scheme, a host and perhaps a port.
fn is_only_an_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\\?#@".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(host: Option<&str>, origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn rules() -> OriginRules {
        let allowed = ["https://a.example", "capacitor://localhost"].map(str::to_owned);
        OriginRules { allowed: BTreeSet::from(allowed), own_host: true }
    }

    fn judge(origins: &[&str]) -> Verdict {
        rules().judge(&Uri::from_static("/feed"), &headers(Some("127.0.0.1:3000"), origins))
    }

    /// Attack (CSRF): origins that begin or end like an allowed one, `null`, several. Outcome: foreign.
    #[test]
    fn only_listed_origins_and_the_own_one_may_call() {
        assert_eq!(judge(&[]), Verdict::Absent);
        for allowed in [
            "https://a.example",
            "https://a.example:443",
            "HTTPS://A.Example",
            "https://A.EXAMPLE:0443",
            "http://127.0.0.1:3000",
            "HTTP://127.0.0.1:3000",
            "capacitor://localhost",
        ] {
            assert_eq!(judge(&[allowed]), Verdict::Allowed(allowed.parse().unwrap()), "{allowed}");
        }
        for foreign in [
            "https://a.example.evil",
            "null",
            "https://a.example/",
            "https://a.example:80",
            "https://a.example:8443",
            "http://a.example",
            "http://127.0.0.1:3001",
            "http://127.0.0.1",
            "capacitor://localhost:1",
            "ionic://localhost",
            "https://user@a.example",
            "https://a.example?",
            "https://a.example#x",
            "https://a.example\\x",
            "https:a.example",
            "https:///a.example",
            "https://a.example https://a.example",
            "a.example",
            "//a.example",
            "",
        ] {
            assert_eq!(judge(&[foreign]), Verdict::Foreign, "{foreign}");
        }
        assert_eq!(judge(&["https://a.example", "https://a.example"]), Verdict::Foreign);
    }

    #[test]
    fn what_another_site_caused_is_foreign_without_an_origin_too() {
        let site = |origin: Option<&str>, site: &str| {
            let rules = OriginRules { allowed: BTreeSet::from(["https://a.example".into()]), own_host: false };
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", site.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            rules.judge(&Uri::from_static("/feed"), &headers)
        };
        assert_eq!(site(None, "cross-site"), Verdict::Foreign);
        for own in ["same-origin", "same-site", "none"] {
            assert_eq!(site(None, own), Verdict::Absent, "{own}");
        }
        let allowed = Verdict::Allowed("https://a.example".parse().unwrap());
        assert_eq!(site(Some("https://a.example"), "cross-site"), allowed, "a front end of another site");
    }

    #[test]
    fn the_own_host_is_the_authority_of_http_2_too() {
        let judged = |uri: &'static str, host, origin| rules().judge(&Uri::from_static(uri), &headers(host, &[origin]));
        let is_own = |verdict| matches!(verdict, Verdict::Allowed(_));
        assert!(is_own(judged("https://dev.test:3000/feed", None, "https://dev.test:3000")));
        assert!(is_own(judged("http://dev.test/feed", None, "http://DEV.test:80")));
        assert!(is_own(judged("/feed", Some("Dev.Test:80"), "http://dev.test")));
        assert!(is_own(judged("/feed", Some("dev.test:443"), "https://dev.test")));
        assert!(is_own(judged("/feed", Some("[::1]:3000"), "http://[::1]:3000")));
        assert!(!is_own(judged("http://dev.test/feed", Some("evil.test"), "http://evil.test")));
        assert!(!is_own(judged("/feed", Some("dev.test:443"), "http://dev.test")));
        assert!(!is_own(judged("/feed", None, "http://dev.test")));
        assert!(!is_own(judged("/feed", Some("evil.test@dev.test"), "http://dev.test")));
        assert!(!is_own(judged("/feed", Some("localhost"), "ionic://localhost")));
    }

    #[test]
    fn a_setting_may_be_any_url_of_the_site() {
        for (url, expected) in [
            ("https://A.example/", Some("https://a.example")),
            ("https://a.example:443/app/?x#y", Some("https://a.example")),
            ("http://a.example:8080", Some("http://a.example:8080")),
            ("https://münchen.example", Some("https://xn--mnchen-3ya.example")),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("a.example", None),
            ("*", None),
            ("mailto:a@b.example", None),
        ] {
            assert_eq!(origin_of(url).as_deref(), expected, "{url}");
        }
    }

    proptest! {
        /// The case of letters and the scheme's own port change nothing, and another port does.
        #[test]
        fn two_ways_to_write_an_origin_are_one(host in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{2,5}){1,2}", port in 1_u16..) {
            for (scheme, own) in [("http", 80), ("https", 443)] {
                let plain = format!("{scheme}://{host}");
                prop_assert_eq!(origin_of(&plain.to_uppercase()), Some(plain.clone()));
                prop_assert_eq!(origin_of(&format!("{plain}:{own}")), Some(plain.clone()));
                prop_assert_eq!(origin_of(&format!("{plain}:{port}")) == Some(plain), port == own);
            }
        }

        /// No text makes it panic, and what it writes it writes again.
        #[test]
        fn any_text_is_an_origin_or_none(text in any::<String>()) {
            if let Some(origin) = origin_of(&text) {
                prop_assert_eq!(origin_of(&origin), Some(origin.clone()));
            }
        }
    }
}
