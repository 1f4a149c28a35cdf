//! Settings: the operator's values for components. Never a secret.
//!
//! Read-only after the start. It touches nothing.

use std::collections::BTreeMap;

/// Settings by name; an operator's value replaces the application's default.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// `defaults`, replaced by `set` where it has a value.
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
