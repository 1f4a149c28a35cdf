//! Cookies of components: which `Set-Cookie` reaches the browser.
//!
//! Reads it as browsers do (RFC 6265bis, section 5.6), so that none of them takes a component's cookie for the session's. Pure.

use cookie::{Cookie, SameSite};
use http::HeaderValue;

use engine::CookieChange;

/// The attributes of the session cookie.
pub(super) struct CookieRules<'a> {
    pub(super) name: &'a str,
    /// In seconds.
    pub(super) age: u64,
    pub(super) https: bool,
}

/// The prefixes of names that browsers give a meaning, longest first.
const PREFIXES: [&str; 4] = ["__host-http-", "__http-", "__host-", "__secure-"];

/// Whether a component may set this cookie: it has a name that is not the session's, and is for this host alone.
///
/// A cookie without a name comes back as its value alone, `=token=x` as `token=x`. One with a domain would also be sent to
/// other hosts, which could not tell which host set it.
pub(super) fn may_set(value: &HeaderValue, session: &str) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';');
    let name = parts.next().and_then(|pair| pair.split_once('=')).map(|(name, _)| trimmed(name)).unwrap_or_default();
    if name.is_empty() || bare(name) == bare(trimmed(session)) {
        return false;
    }
    !parts.any(|attribute| {
        let name = attribute.split_once('=').map_or(attribute, |(name, _)| name);
        trimmed(name).eq_ignore_ascii_case("domain")
    })
}

/// Without the spaces and tabs around it, as browsers store it.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A name in lower case and without prefixes: names that a browser or server may confuse are equal.
fn bare(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    loop {
        let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).map(|rest| trimmed(rest).to_owned());
        match rest {
            Some(rest) => name = rest,
            None => return name,
        }
    }
}

/// The session cookie for a change of it.
pub(super) fn set_cookie(change: &CookieChange, rules: &CookieRules<'_>) -> Option<HeaderValue> {
    let (value, age) = match change {
        CookieChange::Keep => return None,
        CookieChange::Set(token) => (token.reveal(), rules.age),
        CookieChange::Clear => ("", 0),
    };
    let mut cookie = Cookie::build((rules.name, value)).path("/").http_only(true);
    cookie = cookie.max_age(cookie::time::Duration::seconds(i64::try_from(age).unwrap_or(i64::MAX)));
    cookie = if rules.https { cookie.secure(true).same_site(SameSite::None) } else { cookie.same_site(SameSite::Lax) };
    HeaderValue::try_from(cookie.build().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(value: &str, session: &str) -> bool {
        may_set(&HeaderValue::from_bytes(value.as_bytes()).unwrap(), session)
    }

    #[test]
    fn cookies_of_other_names_pass() {
        for cookie in
            ["theme=dark", "theme=", "theme=a=b", "tokens=1", "my-token=1", "theme=dark; Path=/a; token=1; Secure"]
        {
            assert!(may(cookie, "token"), "{cookie:?}");
        }
    }

    /// Attack (59): cookies that browsers send back as the session's: nameless, spaced, in other cases. Outcome: they are
    /// not set.
    #[test]
    fn no_browser_sends_it_as_the_sessions() {
        for cookie in [
            "token=x",
            "TOKEN=x",
            "tOkEn = x",
            " \ttoken\t =x",
            "\ttoken=x",
            "__Host-token=x",
            "__secure-TOKEN=x",
            "__Http-token=x",
            "__Host-Http-token=x",
            "__Host-__Secure-token=x",
            "token=",
            "token==x",
            "token=x=y; Path=/",
            "token=\"x\"",
            // Without a name.
            "=token=x",
            " = token=x",
            "token",
            "token; Path=/",
            "; token=x",
            "=",
            "",
            "=x",
        ] {
            assert!(!may(cookie, "token"), "{cookie:?}");
        }
        assert!(!may("sid=x", "__Host-sid"));
        assert!(!may("__Host-SID=x", "__Host-sid"));
        assert!(!may("caf\u{e9}=x", "token"));
    }

    #[test]
    fn it_is_for_this_host_alone() {
        for cookie in ["a=b; Domain=example.org", "a=b;domain=", "a=b; Path=/;\tDOMAIN =.example.org", "a=b; Domain"] {
            assert!(!may(cookie, "token"), "{cookie:?}");
        }
        assert!(may("domain=b; Path=/Domain", "token"));
    }
}
