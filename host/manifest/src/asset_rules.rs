//! `[assets]` of a manifest: the folder with a component's files, where they are served, and with which headers. It parses and
//! checks them, and touches nothing else.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use assets::{Rules, check_path};

use crate::source_span::{Problem, at};

/// The longest prefix, and the most fallbacks and headers.
const MAX_PREFIX: usize = 256;
const MOST_FALLBACKS: usize = 16;
const MOST_HEADERS: usize = 16;
/// The longest value of a header.
const MAX_VALUE: usize = 4 << 10;

/// The headers of every file, unless the manifest has another value for one: a page runs scripts of its own origin alone, is in
/// no frame, and no other site is told where its visitor was.
const DEFAULTS: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The headers that a manifest may set for its files: all others are the host's own, or hold for the whole origin.
const MAY_SET: [&str; 10] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "link",
    "permissions-policy",
    "referrer-policy",
    "x-frame-options",
    "x-robots-tag",
];

/// The files of a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AssetRules {
    /// The folder of the files, beside the manifest. Only a build reads it.
    pub dir: String,
    /// The path that all files are under: `/`, or a path without a slash at its end.
    #[serde(default = "AssetRules::root")]
    pub prefix: String,
    /// By prefix, the file that answers paths which lead to no file or route, and whose last segment has no dot.
    #[serde(default)]
    pub fallback: BTreeMap<String, String>,
    /// Headers of every file, beside the defaults or in their place.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl AssetRules {
    fn root() -> String {
        "/".to_owned()
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let malformed = |field: &str, why: String| Err(Problem::malformed(at!["assets", field], why));
        if let Err(why) = check_path(&self.dir) {
            return malformed("dir", format!("assets.dir is a folder beside the manifest: {why}"));
        }
        if !is_prefix(&self.prefix) {
            return malformed("prefix", not_a_prefix("assets.prefix", &self.prefix));
        }
        if self.fallback.len() > MOST_FALLBACKS {
            return malformed("fallback", format!("assets.fallback has at most {MOST_FALLBACKS} prefixes"));
        }
        for (under, file) in &self.fallback {
            if !is_prefix(under) {
                return malformed("fallback", not_a_prefix("a prefix of assets.fallback", under));
            }
            if !assets::is_below(under, &self.prefix) {
                let why = format!("assets.fallback has {under}, which is not under assets.prefix ({})", self.prefix);
                return Err(Problem::contradiction(at!["assets", "fallback", under.as_str()], why));
            }
            if let Err(why) = check_path(file) {
                return malformed("fallback", format!("assets.fallback of {under}: {why}"));
            }
        }
        if self.headers.len() > MOST_HEADERS {
            return malformed("headers", format!("assets.headers has at most {MOST_HEADERS} headers"));
        }
        for (name, value) in &self.headers {
            if !MAY_SET.contains(&name.as_str()) {
                let (name, may) = (name.escape_default(), MAY_SET.join(", "));
                return malformed("headers", format!("assets.headers can't have \"{name}\"; it takes {may}"));
            }
            let printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if value.trim() != value || !(1..=MAX_VALUE).contains(&value.len()) || !printable {
                let why = format!("assets.headers.{name} takes 1 to {MAX_VALUE} printable ASCII characters");
                return Err(Problem::malformed(at!["assets", "headers", name.as_str()], why));
            }
        }
        Ok(())
    }

    /// Where the files are served, and with which headers.
    pub(super) fn rules(&self) -> Rules {
        let own = self.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::try_from(value.as_str()).ok()?))
        });
        let defaults = DEFAULTS.iter().filter(|(name, _)| !self.headers.contains_key(*name));
        let defaults = defaults.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Rules {
            prefix: self.prefix.clone(),
            fallback: self.fallback.iter().map(|(under, file)| (under.clone(), file.clone())).collect(),
            headers: defaults.chain(own).collect(),
        }
    }
}

fn is_prefix(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%' | b'\\' | b','));
    let below = path.strip_prefix('/').is_some_and(|rest| rest.is_empty() || check_path(rest).is_ok());
    path.len() <= MAX_PREFIX && plain && below
}

fn not_a_prefix(what: &str, path: &str) -> String {
    let path = path.escape_default();
    format!("{what} is \"{path}\"; it takes `/`, or a path like `/app` of printable ASCII without a slash at its end")
}

#[cfg(test)]
mod tests {
    use assets::SECTION;
    use wasm_encoder::{ComponentSection as _, CustomSection};

    use super::*;
    use crate::{Bundle, BundleError, Manifest, ManifestError};

    const HEAD: &str = "[component]\nname = 'a'\nversion = '1'\n[assets]\ndir = 'dist'\n";

    fn with(lines: &str) -> Result<AssetRules, ManifestError> {
        Manifest::parse(&format!("{HEAD}{lines}")).map(|manifest| manifest.assets.unwrap())
    }

    #[test]
    fn the_defaults_are_safe() {
        let rules = with("").unwrap().rules();
        assert_eq!(rules.prefix, "/");
        let policy = rules.headers.iter().find(|(name, _)| name == "content-security-policy").unwrap();
        assert!(policy.1.to_str().unwrap().starts_with("default-src 'self';"));
        let rules = with("headers = { content-security-policy = \"default-src 'none'\", x-robots-tag = 'none' }");
        let rules = rules.unwrap().rules();
        let values = |name: &str| -> Vec<_> {
            rules.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
        };
        assert_eq!(values("content-security-policy"), ["default-src 'none'"]);
        assert_eq!(values("x-robots-tag"), ["none"]);
        assert_eq!(values("referrer-policy").len(), 1);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        for (lines, line, why) in [
            ("prefix = 'app'", 6, "assets.prefix is \"app\""),
            ("prefix = '/app/'", 6, "assets.prefix"),
            ("prefix = '/a//b'", 6, "assets.prefix"),
            ("prefix = '/a/../b'", 6, "assets.prefix"),
            ("prefix = '/a b'", 6, "assets.prefix"),
            ("prefix = '/%61'", 6, "assets.prefix"),
            ("fallback = { 'app' = 'a.html' }", 6, "a prefix of assets.fallback"),
            ("fallback = { '/app' = '../a.html' }", 6, "assets.fallback of /app"),
            ("prefix = '/b'\nfallback = { '/app' = 'a.html' }", 7, "not under assets.prefix"),
            ("headers = { set-cookie = 'a=b' }", 6, "can't have \"set-cookie\""),
            ("headers = { Content-Security-Policy = 'a' }", 6, "can't have"),
            ("headers = { cache-control = 'no-store' }", 6, "can't have"),
            ("headers = { referrer-policy = \"a\\r\\nb: c\" }", 6, "assets.headers.referrer-policy"),
            ("headers = { referrer-policy = '' }", 6, "assets.headers.referrer-policy"),
            ("index = 'a'", 6, "unknown field"),
        ] {
            let error = with(lines).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&format!("line {line}, ")), "{lines}: {error}");
        }
        for dir in ["", "/etc", "../x", "a/../b", "a\\\\b"] {
            let text = format!("[component]\nname = 'a'\nversion = '1'\n[assets]\ndir = \"{dir}\"\n");
            assert!(Manifest::parse(&text).unwrap_err().to_string().contains("assets.dir"), "{dir}");
        }
    }

    #[test]
    fn files_and_manifest_come_together() {
        let section = assets::pack(vec![assets::File { path: "a.js".into(), bytes: b"1".to_vec() }], None).unwrap();
        let component = |sections: &[&[u8]], manifest: &str| {
            let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
            for data in sections {
                CustomSection { name: SECTION.into(), data: (*data).into() }.append_to_component(&mut wasm);
            }
            Bundle::read("file", Manifest::bundle(wasm, manifest).unwrap())
        };
        let bundle = component(&[&section], HEAD).unwrap();
        assert!(bundle.assets.unwrap().find("/a.js").is_some());
        let without = "[component]\nname = 'a'\nversion = '1'\n";
        assert!(component(&[], without).unwrap().assets.is_none());
        let with_fallback = format!("{HEAD}fallback = {{ '/' = 'b.html' }}");
        for (sections, manifest, why) in [
            (vec![], HEAD, "they are not in it"),
            (vec![section.as_slice()], without, "its manifest has no [assets]"),
            (vec![section.as_slice(), section.as_slice()], HEAD, "there are two"),
            (vec![b"x".as_slice()], HEAD, "does not begin as one"),
            (vec![section.as_slice()], with_fallback.as_str(), "which is not there"),
        ] {
            match component(&sections, manifest) {
                Err(BundleError::Manifest { why: error, .. }) => {
                    assert!(error.to_string().contains(why), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
