//! Pages of components: which responses a browser would run as a page of the host's origin.
//!
//! A script there may do whatever its visitor may, at every component. So pages are sandboxed unless the component was granted
//! them: they are shown, in an origin of their own and without scripts. Pure.

use http::{HeaderMap, StatusCode, header};

/// The policy of a page that is not granted.
pub(super) const SANDBOX: &str = "sandbox";

/// The types, besides those of [`PASSIVE_KINDS`], that no browser runs when they are opened.
const PASSIVE: [&str; 13] = [
    "application/json",
    "application/problem+json",
    "application/ld+json",
    "application/manifest+json",
    "application/octet-stream",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/javascript",
    "text/plain",
    "text/css",
    "text/csv",
    "text/javascript",
];
/// The first parts of such types. `image/svg+xml` is a document with scripts.
const PASSIVE_KINDS: [&str; 4] = ["image/", "audio/", "video/", "font/"];

/// Whether a browser may run a response. A type that is missing, odd or there twice may be read as any.
pub(super) fn is_active(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    // The headers of "not modified" replace those of a page that is in the browser's cache.
    if status == StatusCode::NOT_MODIFIED {
        return true;
    }
    !body.is_empty() && !is_passive(headers)
}

fn is_passive(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let Ok(text) = only.to_str() else { return false };
    if text.contains(',') {
        return false;
    }
    let essence = text.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
    let is_media = PASSIVE_KINDS.iter().any(|kind| essence.starts_with(kind)) && !essence.contains("xml");
    is_media || PASSIVE.contains(&essence.as_str())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(types: &[&str]) -> HeaderMap {
        types.iter().map(|kind| (header::CONTENT_TYPE, HeaderValue::from_bytes(kind.as_bytes()).unwrap())).collect()
    }

    fn active(types: &[&str]) -> bool {
        is_active(StatusCode::OK, &headers(types), b"<script>")
    }

    #[test]
    fn what_a_browser_may_run_is_active() {
        for kind in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            " text/html",
            "image/svg+xml",
            "IMAGE/SVG+XML",
            "image/svg+xml; charset=utf-8",
            "application/xhtml+xml",
            "text/xml",
            "application/xml",
            "application/rss+xml",
            "multipart/x-mixed-replace; boundary=x",
            "message/rfc822",
            "text/plain, text/html",
            "application/json, text/html",
            "application/jsontext/html",
            "text",
            "*/*",
            "",
            "te\u{e9}t/plain",
        ] {
            assert!(active(&[kind]), "{kind:?}");
        }
        assert!(active(&[]));
        assert!(active(&["application/json", "text/html"]));
    }

    #[test]
    fn what_is_only_data_is_not() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "text/plain; charset=utf-8",
            "text/css",
            "image/png",
            "image/jpeg",
            "audio/ogg",
            "video/mp4",
            "font/woff2",
            "application/octet-stream",
        ] {
            assert!(!active(&[kind]), "{kind:?}");
        }
        assert!(!is_active(StatusCode::NO_CONTENT, &headers(&[]), b""));
        assert!(!is_active(StatusCode::FOUND, &headers(&["text/html"]), b""));
    }

    #[test]
    fn a_page_in_a_cache_keeps_its_policy() {
        assert!(is_active(StatusCode::NOT_MODIFIED, &headers(&[]), b""));
    }
}
