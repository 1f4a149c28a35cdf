//! The session token in the headers of an HTTP request or of a socket's handshake.
//!
//! Reads `Cookie` as servers of the web do (RFC 6265, section 5.4): each pair by itself, whatever bytes the others have.

use http::{HeaderMap, header};

use capability::sessions::has_form_of_token;

/// The session token: the bearer token, or else the cookie. A value without the form of a token, such as the `null` that a front
/// end sends before it knows its token, does not hide a good one.
pub(crate) fn session_token(headers: &HeaderMap, cookie: &str) -> Option<String> {
    bearers(headers).chain(cookies(headers, cookie)).find_map(token)
}

/// The token of a value, if it has the form of one.
pub(crate) fn token(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().filter(|text| has_form_of_token(text)).map(str::to_owned)
}

fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, value) = split(trimmed(value.as_bytes()), b' ')?;
        scheme.eq_ignore_ascii_case(b"bearer").then(|| trimmed(value))
    })
}

/// The values of the cookies of this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let (found, value) = split(pair, b'=')?;
        (trimmed(found) == name.as_bytes()).then(|| unquoted(trimmed(value)))
    })
}

/// What stands before and behind the first `separator`.
fn split(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Without the spaces and tabs around it.
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without the quotes around it: RFC 6265 allows them, and clients keep them.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Two that have the form of a token.
    const ONE: &str = "eyJh.eyJi.c2ln";
    const OTHER: &str = "eyJx.eyJ5.eno_-";

    fn headers(pairs: &[(header::HeaderName, &[u8])]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    fn of_cookie(line: &[u8]) -> Option<String> {
        session_token(&headers(&[(header::COOKIE, line)]), "sid")
    }

    #[test]
    fn a_bearer_comes_before_a_cookie() {
        let cookie = format!("x=1; sid={OTHER}");
        for scheme in ["Bearer", "bearer", "BEARER "] {
            let bearer = format!("{scheme} {ONE}");
            let both = headers(&[(header::AUTHORIZATION, bearer.as_bytes()), (header::COOKIE, cookie.as_bytes())]);
            assert_eq!(session_token(&both, "sid").as_deref(), Some(ONE), "{scheme}");
        }
        assert_eq!(of_cookie(b"sid="), None);
    }

    #[test]
    fn a_bearer_that_is_no_token_hides_no_cookie() {
        let cookie = format!("sid={ONE}");
        for bearer in [
            "Bearer null",
            "Bearer undefined",
            "Bearer ",
            "Bearer",
            "Bearer NaN",
            "Bearer [object Object]",
            "Bearer a.b",
            "Bearer ..",
            "Bearer a.b.c.d",
            "Bearer \"null\"",
            "Basic YTpi",
            "null",
        ] {
            let both = headers(&[(header::AUTHORIZATION, bearer.as_bytes()), (header::COOKIE, cookie.as_bytes())]);
            assert_eq!(session_token(&both, "sid").as_deref(), Some(ONE), "{bearer:?}");
            let alone = headers(&[(header::AUTHORIZATION, bearer.as_bytes())]);
            assert_eq!(session_token(&alone, "sid"), None, "{bearer:?}");
        }
    }

    #[test]
    fn other_cookies_are_not_its_business() {
        let lines: [&[u8]; 9] = [
            "name=José; sid=eyJh.eyJi.c2ln".as_bytes(),
            b"name=Jos\xe9; sid=eyJh.eyJi.c2ln",
            b"sid=eyJh.eyJi.c2ln; name=\xff\xfe",
            b"a=\"b; sid=eyJh.eyJi.c2ln; c\"",
            b"=; ;;a; sid = eyJh.eyJi.c2ln ;",
            b"SID=eyJx.eyJ5.eno; sid=eyJh.eyJi.c2ln",
            b"sid=; sid=deleted; sid=eyJh.eyJi.c2ln",
            b"{\"a\":1}=%E9%; sid=eyJh.eyJi.c2ln",
            b"sid=\"eyJh.eyJi.c2ln\"",
        ];
        for line in lines {
            assert_eq!(of_cookie(line).as_deref(), Some(ONE), "{}", String::from_utf8_lossy(line));
        }
        let two = headers(&[(header::COOKIE, b"name=\xe9"), (header::COOKIE, b"sid=eyJh.eyJi.c2ln")]);
        assert_eq!(session_token(&two, "sid").as_deref(), Some(ONE));
    }

    /// Bytes that a header's value may have.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((0x20..=0xff_u8).prop_filter("a control character", |byte| *byte != 0x7f), 0..40)
    }

    proptest! {
        /// What the `cookie` crate reads of a line is read here as well.
        #[test]
        fn it_reads_what_the_cookie_crate_reads(line in "((sid|a|b c|)=?(eyJh\\.eyJi\\.c2ln|x|\"x\"|)[ \t]{0,2};? ?){0,6}") {
            let known = cookie::Cookie::split_parse(line.as_str()).filter_map(Result::ok);
            let expected = known
                .filter(|found| found.name() == "sid")
                .find_map(|found| token(found.value().as_bytes()));
            prop_assert_eq!(of_cookie(line.as_bytes()), expected);
        }

        /// Any bytes that a header may have, before and behind it.
        #[test]
        fn it_is_found_beside_any_bytes(before in bytes(), behind in bytes()) {
            let line = [b"a=".as_slice(), &before, b"; sid=eyJh.eyJi.c2ln; ", &behind].concat();
            // It may be there twice: then the first one counts.
            prop_assert!(of_cookie(&line).is_some());
        }
    }
}
