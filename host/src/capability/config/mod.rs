//! Config: the settings that an operator gives to components. Never a secret.

use std::collections::BTreeMap;

use crate::engine::State;
use crate::engine::bindings::devconnect::platform::config::{Error, Host};

/// Settings by name; the application's defaults under what the operator set.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// `defaults`, and over them `set`.
    pub fn new(defaults: &BTreeMap<String, String>, set: &BTreeMap<String, String>) -> Self {
        let mut all = defaults.clone();
        all.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
        Self(all)
    }

    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.enter("config.get")?;
        if !self.grants().config.contains(&key) {
            return Ok(Err(Error::Denied(format!("not granted; in component.toml: [grants] config = [{key:?}]"))));
        }
        Ok(Ok(self.capabilities().config.get(&key).map(str::to_owned)))
    }
}
