//! WIT glue of `devconnect:platform/clocks`.

use crate::State;
use crate::bindings::devconnect::platform::clocks::Host;

impl Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let _host = self.enter("clocks.now")?;
        Ok(self.capabilities().clock.now())
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        let _host = self.enter("clocks.monotonic")?;
        Ok(self.capabilities().clock.monotonic())
    }
}
