//! Randomness fit for keys, from the host.
//! A unit test on the machine gets bytes that are merely different each time.

/// `length` random bytes, at most 64 KiB.
#[cfg(target_arch = "wasm32")]
pub fn bytes(length: u32) -> Vec<u8> {
    crate::bindings::imports::random::bytes(length)
}

/// `length` random bytes, at most 64 KiB.
#[cfg(not(target_arch = "wasm32"))]
pub fn bytes(length: u32) -> Vec<u8> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let words = std::iter::repeat_with(|| RandomState::new().build_hasher().finish().to_le_bytes());
    words.flatten().take(length.min(65_536) as usize).collect()
}

/// `length` random bytes as lower-case hex, twice as long; a token that fits into a URL.
pub fn hex(length: u32) -> String {
    crate::bson::hex(&bytes(length))
}
