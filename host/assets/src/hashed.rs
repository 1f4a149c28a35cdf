//! Names with a hash of the content, as bundlers make them: `index-DiwrgTda.js`. What is at such a path never changes. Pure.

/// The fewest characters of a hash.
const LEAST: usize = 8;

/// Whether the last segment of a path has a hash before its extension: `name-XXXXXXXX.ext`, of 8 or more of `A-Z a-z 0-9 _ -`
/// with a digit beside letters or letters of both cases. Sizes (`1024x768`) and dates are none: a name that is wrongly taken for
/// one is kept for a year by browsers, and one that is wrongly not is only asked for again.
pub fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".map").unwrap_or(name);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    if extension.is_empty() {
        return false;
    }
    let after_dash = |hash: &str| {
        let before = stem.strip_suffix(hash).unwrap_or_default();
        before.len() > 1 && before.ends_with('-')
    };
    let last = stem.rsplit('-').next().unwrap_or_default();
    if last.len() >= LEAST && after_dash(last) {
        return is_hash(last);
    }
    // A hash of Vite is 8 characters, and one of them may be the dash itself. Words between dashes are more often words, so
    // letters of both cases are asked for.
    let at = stem.len().checked_sub(LEAST);
    at.and_then(|at| stem.get(at..)).is_some_and(|hash| after_dash(hash) && is_hash(hash) && has_both_cases(hash))
}

fn is_hash(text: &str) -> bool {
    let is_of_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    // `1920x1080`, `20240131T120000Z`.
    let is_number = text.bytes().all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'x' | b'X' | b'T' | b'Z'));
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    is_of_base64 && !is_number && (has_digit || has_both_cases(text))
}

fn has_both_cases(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_lowercase()) && text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_hash_or_it_has_none() {
        for name in [
            "index-DiwrgTda.js",
            "assets/index-DiwrgTda.css",
            "index-DiwrgTda.js.map",
            "a-4fe8a9c2.js",
            "jquery.min-4fe8a9c2d01b7e5a.js",
            "index-B-x3_k9a.js",
            "index--x3Bk9a_.js",
            "my-icon-B1cD_e2F.svg",
        ] {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "index.js",
            "index.html",
            "DiwrgTda.js",
            "-DiwrgTda.js",
            "icon-192.png",
            "icon-180x180.png",
            "hero-1920x1080.webp",
            "hero-10240x7680.webp",
            "photo-2024-01-31.png",
            "photo-20240131.png",
            "log-20240131T120000Z.txt",
            "user-settings.js",
            "icon-v2-small.svg",
            "logo-2x-dark.png",
            "a-4fe8a9c.js",
            "a-DiwrgTda",
            "a-DiwrgTda.",
            "index-DiwrgTda/a.js",
            "a-Diwr!gTda.js",
            "a-Diwrgé12.js",
            "",
            "-",
            ".js",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
