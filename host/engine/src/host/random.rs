//! WIT glue of `devconnect:platform/random`.

use capability::random;

use crate::State;
use crate::bindings::devconnect::platform::random::Host;

/// The most bytes of one call.
const MAX: u32 = 64 << 10;

impl Host for State {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        let _host = self.enter("random.bytes")?;
        Ok(random::vector(length.min(MAX) as usize))
    }
}
