//! Compressing files, and checking that a compressed form is the file. Touches nothing.

use std::io::{self, Read, Write as _};

use crate::AssetsError;

/// The quality of brotli, and that for files which would take seconds with it.
const BROTLI_QUALITY: i32 = 11;
const BROTLI_QUALITY_LARGE: i32 = 9;
const LARGE: usize = 1 << 20;
/// The window of brotli, as a power of two: the largest that browsers read.
const BROTLI_WINDOW: i32 = 22;
/// Bytes that are decompressed at once.
const BUFFER: usize = 16 << 10;

/// The brotli form of a file.
pub(super) fn brotli(mut bytes: &[u8]) -> Result<Vec<u8>, AssetsError> {
    let mut out = Vec::new();
    let quality = if bytes.len() > LARGE { BROTLI_QUALITY_LARGE } else { BROTLI_QUALITY };
    let parameters = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: BROTLI_WINDOW,
        large_window: false,
        size_hint: bytes.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut bytes, &mut out, &parameters).map_err(failed)?;
    Ok(out)
}

/// The gzip form of a file: without a time, so that the same file has the same form.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, AssetsError> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).map_err(failed)?;
    encoder.finish().map_err(failed)
}

fn failed(error: io::Error) -> AssetsError {
    AssetsError::new(format!("a file can't be compressed: {error}"))
}

/// Whether a brotli form is this file, and one that browsers read: they refuse a large window (its first byte says so).
pub(super) fn is_brotli_of(form: &[u8], file: &[u8]) -> bool {
    form.first().is_some_and(|first| first & 0x7f != 0x11) && is_same(brotli::Decompressor::new(form, BUFFER), file)
}

/// Whether a gzip form is this file, and nothing more.
pub(super) fn is_gzip_of(form: &[u8], file: &[u8]) -> bool {
    let mut rest = form;
    is_same(flate2::bufread::GzDecoder::new(&mut rest), file) && rest.is_empty()
}

/// Whether a reader has these bytes and no more. It is never read further, so nothing grows.
fn is_same(mut reader: impl Read, mut bytes: &[u8]) -> bool {
    let mut buffer = [0; BUFFER];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            return bytes.is_empty();
        }
        match bytes.strip_prefix(part) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;

    #[test]
    fn a_form_is_its_file_and_no_other() {
        let file = "some text that is there more than once ".repeat(100);
        let file = file.as_bytes();
        let (brotli, gzip) = (brotli(file).unwrap(), gzip(file).unwrap());
        assert!(brotli.len() < 200 && gzip.len() < 200);
        assert!(is_brotli_of(&brotli, file) && is_gzip_of(&gzip, file));
        let (shorter, other) = (&file[1..], file.to_ascii_uppercase());
        for wrong in [shorter, &other, b"", &[file, b"x"].concat()] {
            assert!(!is_brotli_of(&brotli, wrong) && !is_gzip_of(&gzip, wrong), "{} bytes", wrong.len());
        }
        for cut in 0..gzip.len() {
            assert!(!is_gzip_of(&gzip[..cut], file), "{cut} bytes of it");
        }
        for cut in 0..brotli.len() {
            assert!(!is_brotli_of(&brotli[..cut], file), "{cut} bytes of it");
        }
        assert!(!is_gzip_of(&[gzip.as_slice(), b"x"].concat(), file), "something behind it");
    }

    /// Attack (API4): a compressed form that becomes much more than its file. Outcome: refused after the bytes
    /// of the file.
    #[test]
    fn a_form_that_becomes_more_is_refused() {
        let large = vec![0; 64 << 20];
        let bomb = gzip(&large).unwrap();
        assert!(!is_gzip_of(&bomb, &large[..100]));
        let bomb = brotli(&large).unwrap();
        assert!(!is_brotli_of(&bomb, &large[..100]));
    }

    #[test]
    fn a_window_that_browsers_refuse_is_refused() {
        let file = b"text".repeat(1_000);
        let mut out = Vec::new();
        let parameters =
            brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 28, large_window: true, ..Default::default() };
        brotli::BrotliCompress(&mut file.as_slice(), &mut out, &parameters).unwrap();
        assert_eq!(out[0] & 0x7f, 0x11);
        assert!(!is_brotli_of(&out, &file));
    }
}
