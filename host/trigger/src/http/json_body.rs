//! JSON bodies as clients send them: compressed, in another Unicode encoding, with a byte order mark, or with halves of surrogate
//! pairs. A component gets plain UTF-8.
//!
//! What the old server took is taken, and what it refused is refused with its status: 415. Pure.

use std::borrow::Cow;
use std::io::Read as _;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header};

use crate::http::reply::ErrorReply;
use crate::json::with_whole_characters;

/// The byte order mark of UTF-8, which says nothing.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body as the JSON that it stands for, of at most `most` bytes.
pub(super) fn decoded(headers: &HeaderMap, body: Bytes, most: usize) -> Result<Bytes, ErrorReply> {
    if body.is_empty() {
        return Ok(body);
    }
    let charset = charset(headers)?;
    let body = inflated(headers, body, most)?;
    Ok(with_whole_characters(charset.decode(body)))
}

/// The encodings of Unicode that a body may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// With a byte order mark, or little-endian.
    Utf16,
    Utf16Be,
}

impl Charset {
    /// As UTF-8 without a byte order mark. Bytes that are no character become U+FFFD.
    fn decode(self, body: Bytes) -> Bytes {
        let body =
            if self == Charset::Utf8 && body.starts_with(UTF8_MARK) { body.slice(UTF8_MARK.len()..) } else { body };
        let units = |from: fn([u8; 2]) -> u16, bytes: &[u8]| {
            let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(from);
            let text: String =
                char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            Bytes::from(text)
        };
        match (self, &*body) {
            (Charset::Utf8, bytes) => {
                let mended = match String::from_utf8_lossy(bytes) {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(text) => Some(text),
                };
                mended.map_or(body, Bytes::from)
            }
            (Charset::Utf16 | Charset::Utf16Be, [0xfe, 0xff, rest @ ..]) => units(u16::from_be_bytes, rest),
            (Charset::Utf16 | Charset::Utf16Be, [0xff, 0xfe, rest @ ..]) => units(u16::from_le_bytes, rest),
            (Charset::Utf16, bytes) => units(u16::from_le_bytes, bytes),
            (Charset::Utf16Be, bytes) => units(u16::from_be_bytes, bytes),
        }
    }
}

/// Whether the body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers).split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What the media type says of the encoding; UTF-8 where it says nothing.
fn charset(headers: &HeaderMap) -> Result<Charset, ErrorReply> {
    let parameters = content_type(headers).split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut named = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let Some((_, name)) = named.next() else { return Ok(Charset::Utf8) };
    match name.trim().trim_matches('"').to_ascii_lowercase().as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" => Ok(Charset::Utf8),
        "utf-16" | "utf-16le" => Ok(Charset::Utf16),
        "utf-16be" => Ok(Charset::Utf16Be),
        _ => Err(unsupported("This charset is not supported; send JSON in UTF-8")),
    }
}

/// The body without its `Content-Encoding`.
fn inflated(headers: &HeaderMap, body: Bytes, most: usize) -> Result<Bytes, ErrorReply> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(body) };
    let name = encoding.to_str().unwrap_or("?").trim().to_ascii_lowercase();
    let inflated = match name.as_str() {
        _ if encodings.next().is_some() => None,
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" => Some(within(MultiGzDecoder::new(&*body), most)),
        "deflate" => Some(within(ZlibDecoder::new(&*body), most)),
        _ => None,
    };
    let inflated =
        inflated.ok_or_else(|| unsupported("This content-encoding is not supported; send gzip, deflate or none"))?;
    inflated
        .map_err(|_| ErrorReply::new(StatusCode::BAD_REQUEST, "The body is not what its content-encoding says"))?
        .ok_or_else(|| too_large(most))
}

/// All that comes, unless that is more than `most` bytes.
fn within(reader: impl std::io::Read, most: usize) -> std::io::Result<Option<Bytes>> {
    let mut all = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut all)?;
    Ok((all.len() <= most).then(|| all.into()))
}

fn unsupported(message: &str) -> ErrorReply {
    ErrorReply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

/// The refusal of a body.
pub(super) fn too_large(most: usize) -> ErrorReply {
    ErrorReply::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"name":"José 😀"}"#;

    fn headers(kind: &str, encoding: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
        for encoding in encoding {
            headers.append(header::CONTENT_ENCODING, encoding.parse().unwrap());
        }
        headers
    }

    fn read(kind: &str, encoding: &[&str], body: &[u8]) -> Result<String, StatusCode> {
        let read = decoded(&headers(kind, encoding), Bytes::copy_from_slice(body), 1_000);
        read.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|error| error.status)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn json_is_json_with_a_charset_too() {
        assert!(is_json(&headers("Application/JSON; charset=utf-8", &[])));
        assert!(!is_json(&headers("text/plain", &[])));
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_byte_order_mark_and_other_encodings_are_read() {
        let utf16 = |from: fn(u16) -> [u8; 2]| JSON.encode_utf16().flat_map(from).collect::<Vec<u8>>();
        let with = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        for (charset, body) in [
            ("", JSON.as_bytes().to_vec()),
            ("", with(b"\xef\xbb\xbf", JSON.as_bytes())),
            ("; charset=UTF-8", JSON.as_bytes().to_vec()),
            ("; charset=\"utf-8\"", JSON.as_bytes().to_vec()),
            ("; charset=utf-16", utf16(u16::to_le_bytes)),
            ("; charset=utf-16", with(b"\xff\xfe", &utf16(u16::to_le_bytes))),
            ("; charset=utf-16", with(b"\xfe\xff", &utf16(u16::to_be_bytes))),
            ("; charset=utf-16be", utf16(u16::to_be_bytes)),
        ] {
            assert_eq!(read(&format!("application/json{charset}"), &[], &body).as_deref(), Ok(JSON), "{charset}");
        }
        for charset in ["latin1", "iso-8859-1", "windows-1252", "x"] {
            let kind = format!("application/json; charset={charset}");
            assert_eq!(read(&kind, &[], JSON.as_bytes()), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{charset}");
        }
    }

    #[test]
    fn what_is_no_character_is_a_missing_one() {
        assert_eq!(read("application/json", &[], b"\"Jos\xe9\"").as_deref(), Ok("\"Jos\u{fffd}\""));
        assert_eq!(read("application/json", &[], br#""hi \ud83d""#).as_deref(), Ok(r#""hi \ufffd""#));
    }

    #[test]
    fn a_compressed_body_is_read_within_its_bound() {
        let kind = "application/json";
        for encoding in ["gzip", "GZIP", "x-gzip", " gzip"] {
            assert_eq!(read(kind, &[encoding], &gzip(JSON.as_bytes())).as_deref(), Ok(JSON), "{encoding}");
        }
        assert_eq!(read(kind, &["deflate"], &deflate(JSON.as_bytes())).as_deref(), Ok(JSON));
        assert_eq!(read(kind, &["identity"], JSON.as_bytes()).as_deref(), Ok(JSON));
        assert_eq!(read(kind, &["gzip"], b""), Ok(String::new()));
        let bomb = gzip(&vec![b' '; 10 << 20]);
        assert_eq!(read(kind, &["gzip"], &bomb), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(read(kind, &["gzip"], JSON.as_bytes()), Err(StatusCode::BAD_REQUEST));
        let cut = gzip(JSON.as_bytes());
        assert_eq!(read(kind, &["gzip"], &cut[..cut.len() - 9]), Err(StatusCode::BAD_REQUEST));
        for encodings in [&["br"][..], &["zstd"], &["gzip, gzip"], &["gzip", "gzip"], &["none"]] {
            assert_eq!(
                read(kind, encodings, JSON.as_bytes()),
                Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
                "{encodings:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in any::<Vec<u8>>(), charset in "(utf-8|utf-16|utf-16be)", encoding in "(gzip|deflate|identity)") {
            let kind = format!("application/json; charset={charset}");
            if let Ok(text) = read(&kind, &[encoding.as_str()], &body) {
                // At most three bytes of UTF-8 for each byte.
                prop_assert!(text.len() <= 3 * body.len().max(1_000));
            }
        }
    }
}
