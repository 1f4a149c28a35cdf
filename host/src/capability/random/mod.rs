//! Random: bytes fit for keys, from the operating system's generator by way of a reseeding one.

use rand::Rng as _;

use crate::engine::State;
use crate::engine::bindings::devconnect::platform::random::Host;

/// The most bytes that one call answers.
const MAX: u32 = 64 << 10;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

impl Host for State {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.enter("random.bytes")?;
        let mut bytes = vec![0; length.min(MAX) as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
