//! Files of components: the answers to requests for them, made without an instance. Which form of a file, whether the client has
//! it already, and which part of it (RFC 9110, sections 12 to 14).

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use assets::{Asset, Coding, Form};

use crate::http::openapi::is_known;
use crate::http::reply::{ErrorReply, Reply};
use registry::FoundFile;

/// What is at a path with a hash in its name never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Everything else may change with the next version: a client asks each time whether it has the current one.
const ASK_EACH_TIME: &str = "no-cache";

/// The decoded path of a URL, where it is written as clients write it. A slash or a backslash in an escape, a control character
/// or what is no UTF-8 is the path of no file: others on the way may read it as another path.
pub(super) fn decoded(path: &str) -> Option<Cow<'_, str>> {
    let mut rest = path;
    while let Some((_, behind)) = rest.split_once('%') {
        let escape = behind.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        if escape.eq_ignore_ascii_case("2f") {
            return None;
        }
        rest = behind;
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    (!decoded.contains(|character: char| character == '\\' || character.is_control())).then_some(decoded)
}

/// The answer to `GET` and `HEAD` for a file; `asked` are the request's headers.
pub(super) fn answer(found: &FoundFile, is_head: bool, asked: &HeaderMap) -> Result<Reply, ErrorReply> {
    let asset = &found.asset;
    let Some((coding, form)) = negotiated(asset, asked) else {
        let why = "This file is not there in an encoding that you accept";
        return Err(ErrorReply::new(StatusCode::NOT_ACCEPTABLE, why));
    };
    let mut headers = HeaderMap::with_capacity(16);
    headers.extend(found.assets.headers().iter().cloned());
    headers.insert(header::ETAG, form.etag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let kept = if asset.hashed { FOREVER } else { ASK_EACH_TIME };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if asked.get_all(header::IF_NONE_MATCH).iter().any(|tags| is_known(Some(tags), &form.etag)) {
        return Ok(Reply::of_file(StatusCode::NOT_MODIFIED, headers, Bytes::new()));
    }
    headers.insert(header::CONTENT_TYPE, asset.media_type.clone());
    if coding != Coding::Identity {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let length = form.bytes.len();
    if is_head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        return Ok(Reply::of_file(StatusCode::OK, headers, Bytes::new()));
    }
    match part(asked, form) {
        Part::Whole => Ok(Reply::of_file(StatusCode::OK, headers, form.bytes.clone())),
        Part::Of(range) => {
            let last = range.end.saturating_sub(1);
            if let Ok(value) = HeaderValue::try_from(format!("bytes {}-{last}/{length}", range.start)) {
                headers.insert(header::CONTENT_RANGE, value);
            }
            Ok(Reply::of_file(StatusCode::PARTIAL_CONTENT, headers, form.bytes.slice(range)))
        }
        Part::None => {
            let error = ErrorReply::new(StatusCode::RANGE_NOT_SATISFIABLE, "This file has no such part");
            Err(error.with(header::CONTENT_RANGE, &format!("bytes */{length}")))
        }
    }
}

/// The form of a file that a client likes best; none when it refuses all that are there.
fn negotiated<'a>(asset: &'a Asset, asked: &HeaderMap) -> Option<(Coding, &'a Form)> {
    let accepted = Accepted::of(asked);
    let mut best: Option<(u16, Coding, &Form)> = None;
    for coding in Coding::ALL {
        let (weight, Some(form)) = (accepted.weight(coding), asset.form(coding)) else { continue };
        if weight > best.map_or(0, |(best, ..)| best) {
            best = Some((weight, coding, form));
        }
    }
    best.map(|(_, coding, form)| (coding, form))
}

/// The `Accept-Encoding` of a request: weights in thousandths.
#[derive(Debug, Default)]
struct Accepted {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    others: Option<u16>,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1_000, thousandths);
            let place = match name {
                name if name.eq_ignore_ascii_case("br") => &mut accepted.brotli,
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut accepted.gzip,
                name if name.eq_ignore_ascii_case("identity") => &mut accepted.identity,
                "*" => &mut accepted.others,
                _ => continue,
            };
            *place = Some(weight);
        }
        accepted
    }

    /// 0: it is refused. The file as it is is accepted unless it is refused by name or by `*`, and liked least.
    fn weight(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Brotli => self.brotli.or(self.others).unwrap_or(0),
            Coding::Gzip => self.gzip.or(self.others).unwrap_or(0),
            Coding::Identity => self.identity.or(self.others).unwrap_or(1),
        }
    }
}

/// A weight of `0` to `1` with at most three digits, in thousandths; what is none counts as 0.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        "1" => 1_000,
        _ => 0,
    }
}

/// The part of a form that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    Of(Range<usize>),
    /// It is beyond the end.
    None,
}

/// The part that a request asks for. A range of another unit, several of them, one that can't be read or one for another entity
/// tag count as none, and the answer is the whole file.
fn part(asked: &HeaderMap, form: &Form) -> Part {
    let mut ranges = asked.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
    let mut conditions = asked.get_all(header::IF_RANGE).iter();
    if conditions.next().is_some_and(|condition| *condition != form.etag) || conditions.next().is_some() {
        return Part::Whole;
    }
    range.to_str().ok().and_then(|range| parse_range(range, form.bytes.len())).unwrap_or(Part::Whole)
}

fn parse_range(text: &str, length: usize) -> Option<Part> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    Some(match (first.trim(), last.trim()) {
        ("", last) => match number(last)?.min(length) {
            0 => Part::None,
            count => Part::Of(length.saturating_sub(count)..length),
        },
        (first, last) => {
            let first = number(first)?;
            let end = if last.is_empty() { length } else { number(last)?.saturating_add(1) };
            match first {
                first if !last.is_empty() && end <= first => return None,
                first if first >= length => Part::None,
                first => Part::Of(first..end.min(length)),
            }
        }
    })
}

/// Digits only; a number that is too large is the largest.
fn number(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assets::{Assets, File, Rules, pack};
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn found(name: &str, bytes: &[u8]) -> FoundFile {
        let file = File { path: name.to_owned(), bytes: bytes.to_vec() };
        let rules = Rules { prefix: "/".to_owned(), ..Rules::default() };
        let assets = Arc::new(Assets::read(&pack(vec![file], None).unwrap(), rules).unwrap());
        FoundFile { asset: assets.files()[0].clone(), assets }
    }

    #[test]
    fn a_path_is_decoded_once_and_odd_ones_are_none() {
        for (path, expected) in [
            ("/a.js", Some("/a.js")),
            ("/a%20b.js", Some("/a b.js")),
            ("/%C3%A9", Some("/\u{e9}")),
            ("/%252e%252e/a", Some("/%2e%2e/a")),
            ("/%2e%2e/a", Some("/../a")),
            ("/a%2fb", None),
            ("/a%2Fb", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%00", None),
            ("/a%0d%0a", None),
            ("/%ff", None),
            ("/%c0%ae", None),
            ("/100%", None),
            ("/%zz", None),
            ("/%u002e", None),
            ("/%2", None),
        ] {
            assert_eq!(decoded(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn the_form_that_is_liked_best_is_sent() {
        let text = found("a.js", "let a = 1;\n".repeat(100).as_bytes());
        let image = found("a.png", b"x");
        let chosen = |found: &FoundFile, accept: Option<&str>| {
            let asked = accept.map(|accept| headers(&[(header::ACCEPT_ENCODING, accept)])).unwrap_or_default();
            negotiated(&found.asset, &asked).map(|(coding, _)| coding.name())
        };
        for (accept, form) in [
            (None, Some("identity")),
            (Some(""), Some("identity")),
            (Some("gzip, deflate, br, zstd"), Some("br")),
            (Some("gzip"), Some("gzip")),
            (Some("X-GZIP"), Some("gzip")),
            (Some("BR;Q=0.1"), Some("br")),
            (Some("br;q=0.5, gzip"), Some("gzip")),
            (Some("br;q=0, gzip;q=0"), Some("identity")),
            (Some("br;q=0,*"), Some("gzip")),
            (Some("*"), Some("br")),
            (Some("*;q=0"), None),
            (Some("identity;q=0"), None),
            (Some("identity;q=0, gzip"), Some("gzip")),
            (Some("identity, br;q=0.9"), Some("identity")),
            (Some("*;q=0, identity"), Some("identity")),
            (Some("br;q=2, gzip;q=0.0001, identity"), Some("identity")),
            (Some("br;q=, gzip;q=x"), Some("identity")),
            (Some("zstd, deflate"), Some("identity")),
            (Some(",,;;,=,;q"), Some("identity")),
            (Some("br ; q=0.3 , gzip ; q=0.4"), Some("gzip")),
        ] {
            assert_eq!(chosen(&text, accept), form, "{accept:?}");
        }
        assert_eq!(chosen(&image, Some("br, gzip")), Some("identity"));
        assert_eq!(chosen(&image, Some("br, identity;q=0")), None);
    }

    #[test]
    fn a_range_is_one_part_or_the_whole() {
        use Part::{None as Beyond, Of, Whole};
        for (range, part) in [
            ("bytes=0-0", Of(0..1)),
            ("bytes=0-9", Of(0..10)),
            ("bytes=2-", Of(2..10)),
            ("bytes=-3", Of(7..10)),
            ("bytes=-99", Of(0..10)),
            ("bytes=9-99999999999999999999999", Of(9..10)),
            ("Bytes = 1 - 2", Of(1..3)),
            ("bytes=10-", Beyond),
            ("bytes=10-20", Beyond),
            ("bytes=99999999999999999999999-", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=5-4", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=0-1,", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=--1", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0x1-2", Whole),
            ("lines=0-1", Whole),
            ("0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(parse_range(range, 10).unwrap_or(Whole), part, "{range}");
        }
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(parse_range(range, 0), Some(Beyond), "{range} of nothing");
        }
    }

    #[test]
    fn a_range_is_of_the_form_that_the_client_has_a_part_of() {
        let found = found("a.js", b"0123456789");
        let form = found.asset.form(Coding::Identity).unwrap();
        let etag = form.etag.to_str().unwrap();
        let range = (header::RANGE, "bytes=1-2");
        let part = |pairs: &[(header::HeaderName, &str)]| part(&headers(pairs), form);
        assert_eq!(part(&[range.clone(), (header::IF_RANGE, etag)]), Part::Of(1..3));
        let weak = format!("W/{etag}");
        for other in [weak.as_str(), "\"other\"", "Tue, 01 Jan 2030 00:00:00 GMT", "", "*"] {
            assert_eq!(part(&[range.clone(), (header::IF_RANGE, other)]), Part::Whole, "{other}");
        }
        assert_eq!(part(&[range.clone(), range.clone()]), Part::Whole, "two headers");
        assert_eq!(part(&[(header::IF_RANGE, etag)]), Part::Whole);
    }

    proptest! {
        /// No header stops it, and every part is one of the file.
        #[test]
        fn any_header_has_an_answer(accept in "[ -~]{0,40}", range in "(bytes=)?[ -~]{0,40}", tags in "[ -~]{0,40}", path in "\\PC{0,40}") {
            let found = found("a.js", &b"let a = 1;".repeat(9));
            let pairs = [(header::ACCEPT_ENCODING, &accept), (header::RANGE, &range), (header::IF_NONE_MATCH, &tags)];
            let asked: HeaderMap =
                pairs.iter().filter_map(|(name, text)| Some((name.clone(), HeaderValue::from_str(text).ok()?))).collect();
            for is_head in [true, false] {
                if let Err(error) = answer(&found, is_head, &asked) {
                    prop_assert!(matches!(error.status.as_u16(), 406 | 416), "{error:?}");
                }
            }
            if let Some(Part::Of(range)) = parse_range(&range, 90) {
                prop_assert!(range.start < range.end && range.end <= 90);
            }
            let _ = decoded(&path);
        }
    }
}
