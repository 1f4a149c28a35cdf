//! Origins: which origins may call (the CORS protocol of the Fetch standard), and which may not change anything.

use std::collections::BTreeSet;

use http::{HeaderMap, header};

/// The origins whose pages may call with credentials.
#[derive(Debug, Clone, Default)]
pub struct OriginRules {
    /// As a browser sends them, without a trailing slash.
    pub allowed: BTreeSet<String>,
    /// Also allow an origin that equals the request's own `Host`. For development, where the site's name is not configured.
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
    /// Judges a request by its headers. Several `Origin` headers, or an unreadable one, are foreign.
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(value) = origins.next() else {
            return if is_cross_site(headers) { Verdict::Foreign } else { Verdict::Absent };
        };
        let Ok(origin) = value.to_str() else { return Verdict::Foreign };
        if origins.next().is_some() {
            return Verdict::Foreign;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = self.own_host
            && host.is_some_and(|host| {
                origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
            });
        if own || self.allowed.contains(origin) { Verdict::Allowed(value.clone()) } else { Verdict::Foreign }
    }
}

/// Whether a browser says of a request without an origin that a page of another site caused it (Fetch Metadata).
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(origins: &[&'static str]) -> Verdict {
        let rules = OriginRules { allowed: BTreeSet::from(["https://a.example".into()]), own_host: true };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:3000".parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        rules.judge(&headers)
    }

    /// Attack (CSRF): origins that begin or end like an allowed one, `null`, several. Outcome: foreign.
    #[test]
    fn only_listed_origins_and_the_own_one_may_call() {
        assert_eq!(judge(&[]), Verdict::Absent);
        assert_eq!(judge(&["https://a.example"]), Verdict::Allowed("https://a.example".parse().unwrap()));
        assert_eq!(judge(&["http://127.0.0.1:3000"]), Verdict::Allowed("http://127.0.0.1:3000".parse().unwrap()));
        for foreign in ["https://a.example.evil", "null", "https://a.example/", "http://127.0.0.1:3001", ""] {
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
            rules.judge(&headers)
        };
        assert_eq!(site(None, "cross-site"), Verdict::Foreign);
        for own in ["same-origin", "same-site", "none"] {
            assert_eq!(site(None, own), Verdict::Absent, "{own}");
        }
        let allowed = Verdict::Allowed("https://a.example".parse().unwrap());
        assert_eq!(site(Some("https://a.example"), "cross-site"), allowed, "a front end of another site");
    }
}
