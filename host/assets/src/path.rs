//! Paths: of files in a section, and of URLs that lead to them. Pure.

/// The longest path of a file, in bytes.
const MAX_PATH: usize = 512;

/// Checks that a path is the only way to write it: relative, segments between single slashes, none of them `.` or `..`, no
/// backslash, no control character.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), String> {
    let what = match path {
        "" => "it is empty",
        _ if path.len() > MAX_PATH => "it has more than 512 bytes",
        _ if path.contains('\\') => "it has a backslash",
        _ if path.chars().any(char::is_control) => "it has a control character",
        _ if path.split('/').any(str::is_empty) => "it has an empty segment",
        _ if path.split('/').any(|segment| matches!(segment, "." | "..")) => "it has the segment `.` or `..`",
        _ => return Ok(()),
    };
    Err(format!("the path \"{}\" of a file is refused: {what}", path.escape_default()))
}

/// Whether a path is a prefix or under it. A prefix is `/`, or has no slash at its end.
pub fn is_below(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix == "/" || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// The path of a URL: a file's path under a prefix.
pub(super) fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        (prefix, "") => prefix.to_owned(),
        ("/", path) => format!("/{path}"),
        (prefix, path) => format!("{prefix}/{path}"),
    }
}

/// The folder, without a slash at its end, of which this file is the index.
pub(super) fn folder_of_index(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("index.html")?;
    if folder.is_empty() { Some(folder) } else { folder.strip_suffix('/') }
}

/// Whether the decoded path of a URL can be that of a page: its last segment has no dot, none begins with one, and nothing else
/// about it is odd.
pub(super) fn is_page(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    let path = path.strip_suffix('/').unwrap_or(path);
    let last = path.rsplit('/').next().unwrap_or_default();
    let hides = path.split('/').any(|segment| segment.starts_with('.'));
    path.is_empty() || (check_path(path).is_ok() && !hides && !last.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack (traversal): paths of files that lead out of a folder, or that are a second way to write one. Outcome: the
    /// component is refused.
    #[test]
    fn a_path_is_written_in_one_way() {
        for path in ["a", "a/b.js", "é/ü.js", "a b", "..a", "a..", "a/.well-known/b", "%2e%2e", "a:b"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        let long = "a".repeat(513);
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a\\b", "..\\a", "a\0", "a\nb", "a\u{85}",
            &long,
        ] {
            assert!(check_path(path).is_err_and(|why| why.is_ascii()), "{path:?}");
        }
    }

    #[test]
    fn a_prefix_ends_with_a_segment() {
        for (path, prefix, below) in [
            ("/a", "/", true),
            ("/", "/", true),
            ("/app", "/app", true),
            ("/app/", "/app", true),
            ("/app/a", "/app", true),
            ("/apple", "/app", false),
            ("/", "/app", false),
            ("", "/", false),
        ] {
            assert_eq!(is_below(path, prefix), below, "{path} {prefix}");
        }
    }
}
