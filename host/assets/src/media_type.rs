//! Media types of files, by their extensions, and whether it is worth compressing them. Pure.

/// Extensions with their types. Text has its charset: without one, a browser guesses.
const TYPES: [(&str, &str, bool); 38] = [
    ("html", "text/html; charset=utf-8", true),
    ("htm", "text/html; charset=utf-8", true),
    ("js", "text/javascript; charset=utf-8", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("css", "text/css; charset=utf-8", true),
    ("txt", "text/plain; charset=utf-8", true),
    ("md", "text/markdown; charset=utf-8", true),
    ("csv", "text/csv; charset=utf-8", true),
    ("vtt", "text/vtt; charset=utf-8", true),
    ("json", "application/json", true),
    ("map", "application/json", true),
    ("webmanifest", "application/manifest+json", true),
    ("xml", "application/xml", true),
    ("svg", "image/svg+xml", true),
    ("wasm", "application/wasm", true),
    ("ico", "image/x-icon", true),
    ("bmp", "image/bmp", true),
    ("ttf", "font/ttf", true),
    ("otf", "font/otf", true),
    ("eot", "application/vnd.ms-fontobject", true),
    ("pdf", "application/pdf", true),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("png", "image/png", false),
    ("jpg", "image/jpeg", false),
    ("jpeg", "image/jpeg", false),
    ("gif", "image/gif", false),
    ("webp", "image/webp", false),
    ("avif", "image/avif", false),
    ("mp3", "audio/mpeg", false),
    ("m4a", "audio/mp4", false),
    ("ogg", "audio/ogg", false),
    ("wav", "audio/wav", true),
    ("mp4", "video/mp4", false),
    ("webm", "video/webm", false),
    ("zip", "application/zip", false),
    ("gz", "application/gzip", false),
    ("bin", "application/octet-stream", true),
];

/// The type of a file, and whether it can be expected to become smaller.
pub(super) fn of_path(path: &str) -> (&'static str, bool) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let known = TYPES.iter().find(|(known, ..)| *known == extension);
    known.map_or(("application/octet-stream", true), |(_, kind, compresses)| (kind, *compresses))
}

/// Whether a text is a media type as a header may have it.
pub(super) fn is_one(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default();
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    // A list would be read as another type by some.
    let one = text.len() <= 127 && printable && !text.contains(',');
    one && essence.trim_end().split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_known_types_are_types() {
        for (extension, kind, _) in TYPES {
            assert!(is_one(kind), "{kind}");
            assert_eq!(of_path(&format!("a/b.{}", extension.to_uppercase())).0, kind);
        }
        for path in ["a", "a.", "js", ".js/a", "a.exe", ""] {
            assert_eq!(of_path(path).0, "application/octet-stream", "{path}");
        }
        for odd in ["", "text", "/", "text/", "a/b, text/html", "a/b\r\nx: y", "té/a", "a b/c", &"a/".repeat(99)] {
            assert!(!is_one(odd), "{odd:?}");
        }
    }
}
