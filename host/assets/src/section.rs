//! The format of the section, both ways: a mark, the length of an index, the index, and the bytes of all forms, one after the
//! other.
//!
//! The index is JSON: a list of files, each with its path, type, SHA-256 and the lengths of its forms. Offsets follow from the
//! lengths, so that no two forms can overlap. Touches nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::folder::check_bounds;
use crate::path::check_path;
use crate::{Asset, Assets, AssetsError, Coding, File, Form, MOST_FILES, compress, is_hashed, media_type};

/// The first bytes of a section: the format and its version.
const MARK: &[u8; 8] = b"dcassets";
const VERSION: u8 = 1;
/// The largest index, in bytes.
const MAX_INDEX: usize = 2 << 20;
/// Of the hash of a form, the digits in its entity tag.
const TAG_DIGITS: usize = 32;

/// A file in the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    #[serde(rename = "type")]
    media_type: String,
    /// Of the file as it is, hex.
    sha256: String,
    identity: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    br: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gzip: Option<usize>,
}

/// The section of some files. A compressed form is there where it is smaller than the file. Compressing takes seconds for a
/// megabyte: forms of the same file in `earlier` are taken from there.
///
/// # Errors
/// A path or a bound is refused.
pub fn pack(files: Vec<File>, earlier: Option<&Assets>) -> Result<Vec<u8>, AssetsError> {
    let (mut lines, mut data, mut all) = (Vec::with_capacity(files.len()), Vec::new(), 0);
    for File { path, bytes } in files {
        check_path(&path).map_err(AssetsError::new)?;
        check_bounds(&path, bytes.len() as u64, lines.len() + 1, all)?;
        all += bytes.len();
        let (media_type, compresses) = media_type::of_path(&path);
        let known = earlier.and_then(|earlier| {
            let is_same = |file: &&Arc<Asset>| file.form(Coding::Identity).is_some_and(|form| form.bytes == bytes);
            // Under another extension it may not have been worth compressing.
            earlier.files().iter().find(|file| is_same(file) && media_type::of_path(&file.path).1 == compresses)
        });
        let form = |coding, make: fn(&[u8]) -> Result<Vec<u8>, AssetsError>| match known {
            _ if !compresses => Ok(None),
            Some(known) => Ok(known.form(coding).map(|form| form.bytes.to_vec())),
            None => make(&bytes).map(|form| Some(form).filter(|form| form.len() < bytes.len())),
        };
        let br = form(Coding::Brotli, compress::brotli)?;
        let gzip = form(Coding::Gzip, compress::gzip)?;
        lines.push(Line {
            path,
            media_type: media_type.to_owned(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            identity: bytes.len(),
            br: br.as_ref().map(Vec::len),
            gzip: gzip.as_ref().map(Vec::len),
        });
        [Some(bytes), br, gzip].into_iter().flatten().for_each(|form| data.extend(form));
    }
    let index = serde_json::to_vec(&lines).map_err(|error| AssetsError::new(error.to_string()))?;
    let length = u32::try_from(index.len()).ok().filter(|_| index.len() <= MAX_INDEX);
    let length = length.ok_or_else(|| AssetsError::new("the paths of the files are too long together"))?;
    Ok([MARK.as_slice(), &[VERSION], &length.to_le_bytes(), &index, &data].concat())
}

/// The files of a section, checked whole.
pub(super) fn read(section: &[u8]) -> Result<Vec<Asset>, AssetsError> {
    let wrong = |why: &str| AssetsError::new(why);
    let rest = section.strip_prefix(MARK).ok_or_else(|| wrong("it does not begin as one"))?;
    let rest = match rest.split_first() {
        Some((&VERSION, rest)) => rest,
        _ => return Err(wrong("it has another version of the format than this host reads; build it again")),
    };
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("it ends before its index"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_INDEX {
        return Err(wrong("its index is too large"));
    }
    let (index, data) = rest.split_at_checked(length).ok_or_else(|| wrong("it ends in its index"))?;
    let lines: Lines =
        serde_json::from_slice(index).map_err(|error| AssetsError::new(format!("its index: {error}")))?;
    let mut all = 0;
    for (number, line) in lines.0.iter().enumerate() {
        check_path(&line.path).map_err(AssetsError::new)?;
        check_bounds(&line.path, line.identity as u64, number + 1, all)?;
        all += line.identity;
    }
    // The lengths are known to be right before anything is copied.
    let forms = lines.0.iter().flat_map(|line| [Some(line.identity), line.br, line.gzip]).flatten();
    let told = forms.fold(0, usize::saturating_add);
    if told != data.len() {
        return Err(AssetsError::new(format!("its index tells of {told} bytes, and there are {}", data.len())));
    }
    let mut rest = Bytes::copy_from_slice(data);
    lines.0.into_iter().map(|line| line.read(&mut rest)).collect()
}

/// A list of no more files than there may be; more are not even read.
struct Lines(Vec<Line>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Lines;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list of files")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut files: A) -> Result<Lines, A::Error> {
                let mut lines = Vec::new();
                while let Some(line) = files.next_element()? {
                    if lines.len() == MOST_FILES {
                        return Err(serde::de::Error::custom(format!("there are more than {MOST_FILES} files")));
                    }
                    lines.push(line);
                }
                Ok(Lines(lines))
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

impl Line {
    /// The file, whose forms are the first of `rest`.
    fn read(self, rest: &mut Bytes) -> Result<Asset, AssetsError> {
        let Self { path, media_type, sha256, identity, br, gzip } = self;
        let wrong = |what: &str| AssetsError::new(format!("the file \"{}\": {what}", path.escape_default()));
        let mut take = |length: usize| {
            // All lengths together are those of the bytes.
            let bytes = rest.split_to(length.min(rest.len()));
            let tag: String = hex::encode(Sha256::digest(&bytes)).chars().take(TAG_DIGITS).collect();
            let etag = HeaderValue::from_str(&format!("\"{tag}\"")).map_err(|error| wrong(&error.to_string()))?;
            Ok::<_, AssetsError>(Form { bytes, etag })
        };
        let identity = take(identity)?;
        let brotli = br.map(&mut take).transpose()?;
        let gzip = gzip.map(&mut take).transpose()?;
        if hex::encode(Sha256::digest(&identity.bytes)) != sha256 {
            return Err(wrong("its hash is another one"));
        }
        let is_larger = |form: &Form| form.bytes.len() >= identity.bytes.len();
        if brotli.iter().chain(&gzip).any(is_larger) {
            return Err(wrong("a compressed form is not smaller than it"));
        }
        if brotli.as_ref().is_some_and(|form| !compress::is_brotli_of(&form.bytes, &identity.bytes)) {
            return Err(wrong("its brotli form is not it, or not one that browsers read"));
        }
        if gzip.as_ref().is_some_and(|form| !compress::is_gzip_of(&form.bytes, &identity.bytes)) {
            return Err(wrong("its gzip form is not it"));
        }
        let is_type = media_type::is_one(&media_type);
        let media_type = HeaderValue::from_str(&media_type).ok().filter(|_| is_type);
        let media_type = media_type.ok_or_else(|| wrong("its type is no media type"))?;
        let hashed = is_hashed(&path);
        Ok(Asset { path, media_type, hashed, identity, brotli, gzip })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;
    use crate::Rules;

    fn file(path: &str, bytes: &[u8]) -> File {
        File { path: path.to_owned(), bytes: bytes.to_vec() }
    }

    fn section(index: &str, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(index.len()).unwrap().to_le_bytes();
        [MARK.as_slice(), &[VERSION], &length, index.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_packed_is_read_with_the_forms_that_are_smaller() {
        let text = "let a = 1;\n".repeat(100);
        let packed = pack(
            vec![
                file("a.js", text.as_bytes()),
                file("b.png", text.as_bytes()),
                file("c.txt", b"x"),
                file("d-DiwrgTda.css", b""),
            ],
            None,
        );
        let packed = packed.unwrap();
        let files = read(&packed).unwrap();
        let forms = |file: &Asset| Coding::ALL.map(|coding| file.form(coding).is_some());
        assert_eq!(
            files.iter().map(forms).collect::<Vec<_>>(),
            [[true, true, true], [false, false, true], [false, false, true], [false, false, true]]
        );
        assert_eq!(files[0].form(Coding::Identity).unwrap().bytes, text);
        assert_eq!(files[0].media_type, "text/javascript; charset=utf-8");
        assert_eq!(files.iter().map(|file| file.hashed).collect::<Vec<_>>(), [false, false, false, true]);
        let tags: std::collections::BTreeSet<&[u8]> =
            Coding::ALL.iter().map(|coding| files[0].form(*coding).unwrap().etag.as_bytes()).collect();
        assert_eq!(tags.len(), 3, "a form has a tag of its own");
        let assets = Assets::read(&packed, Rules { prefix: "/".into(), ..Rules::default() }).unwrap();
        let again = pack(vec![file("a.js", text.as_bytes()), file("b.png", text.as_bytes())], Some(&assets)).unwrap();
        assert_eq!(read(&again).unwrap(), files[..2], "compressed once");
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let line = |path: &str, kind: &str, more: &str| {
            let sha256 = hash(b"0123456789");
            format!("[{{\"path\":{path:?},\"type\":{kind:?},\"sha256\":{sha256:?},\"identity\":10{more}}}]")
        };
        let data = b"0123456789";
        assert!(read(&section(&line("a", "a/b", ""), data)).is_ok());
        for (index, data, why) in [
            (line("../a", "a/b", ""), data.to_vec(), "the segment `.` or `..`"),
            (line("/a", "a/b", ""), data.to_vec(), "an empty segment"),
            (line("a", "text", ""), data.to_vec(), "no media type"),
            (line("a", "a/b", ""), b"012345678".to_vec(), "tells of 10 bytes, and there are 9"),
            (line("a", "a/b", ""), b"01234567890".to_vec(), "tells of 10 bytes, and there are 11"),
            (line("a", "a/b", ""), b"0123456780".to_vec(), "its hash is another one"),
            (line("a", "a/b", ",\"br\":3"), b"0123456789abc".to_vec(), "its brotli form"),
            (line("a", "a/b", ",\"gzip\":3"), b"0123456789abc".to_vec(), "its gzip form"),
            (line("a", "a/b", ",\"gzip\":10"), b"01234567890123456789".to_vec(), "not smaller"),
            (line("a", "a/b", ",\"zstd\":1"), b"01234567890".to_vec(), "unknown field"),
            (line("a", "a/b", ",\"br\":18446744073709551615"), data.to_vec(), "and there are 10"),
            ("{}".to_owned(), Vec::new(), "its index"),
            (format!("[{}]", ["1"; 9].join(",")), Vec::new(), "its index"),
        ] {
            let error = read(&section(&index, &data)).unwrap_err().to_string();
            assert!(error.contains(why), "{index}: {error}");
        }
        let many = format!(
            "[{}]",
            (0..=MOST_FILES)
                .map(|number| line(&number.to_string(), "a/b", "").replace(['[', ']'], ""))
                .collect::<Vec<_>>()
                .join(",")
        );
        assert!(read(&section(&many, &[])).unwrap_err().to_string().contains("more than 1000 files"));
        assert!(pack(vec![file("a/../b", b"")], None).is_err());
    }
}
