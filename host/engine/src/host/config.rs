//! WIT glue of `devconnect:platform/config`.

use crate::State;
use crate::bindings::devconnect::platform::config::{Error, Host};
use capability::text;

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let _host = self.enter("config.get")?;
        if !self.grants().config.contains(&key) {
            let key = text::quoted(&key);
            return Ok(Err(Error::Denied(format!("not granted; in component.toml: [grants] config = [{key}]"))));
        }
        Ok(Ok(self.capabilities().config.get(&key).map(str::to_owned)))
    }
}
