//! The session token in the headers of an HTTP request or of a socket's handshake.

use http::{HeaderMap, header};

/// The session token: the bearer token, or else the cookie.
pub(crate) fn session_token(headers: &HeaderMap, cookie: &str) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        && let Some((scheme, token)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim().to_owned());
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(cookie::Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|found| found.name() == cookie)
        .map(|found| found.value().to_owned())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_comes_before_a_cookie() {
        let both = headers(&[(header::AUTHORIZATION, "bearer abc"), (header::COOKIE, "x=1; sid=def")]);
        assert_eq!(session_token(&both, "sid").as_deref(), Some("abc"));
        let cookie = headers(&[(header::AUTHORIZATION, "Basic abc"), (header::COOKIE, "x=1; sid=def")]);
        assert_eq!(session_token(&cookie, "sid").as_deref(), Some("def"));
        assert_eq!(session_token(&headers(&[(header::COOKIE, "sid=")]), "sid"), None);
    }
}
