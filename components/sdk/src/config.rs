//! Settings that the operator gives to components, by the keys that the manifest asks for.
//! No secret is ever here; see [`signing`](crate::signing) for those.

use crate::bindings::imports::config as wit;

pub use wit::Error;

/// The setting under `key`; none when the operator has not set it.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    wit::get(key)
}
