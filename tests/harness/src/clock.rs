//! The time, which stands still until the test moves it.

use serde::Deserialize;
use serde_json::json;

use crate::App;

/// The clock of an [`App`]; times are milliseconds since 1970.
#[derive(Clone, Copy)]
pub struct Clock<'a>(&'a App);

#[derive(Deserialize)]
struct Time {
    now: u64,
}

impl<'a> Clock<'a> {
    pub(crate) fn of(app: &'a App) -> Self {
        Self(app)
    }

    /// The time.
    pub fn now(self) -> u64 {
        self.0.process.call::<Time>("time", &json!({})).now
    }

    /// Moves on.
    pub fn advance(self, millis: u64) {
        self.0.process.call::<Time>("advance", &json!({ "millis": millis }));
    }

    /// Moves to a time, earlier or later.
    pub fn set(self, millis: u64) {
        self.0.process.call::<Time>("set_time", &json!({ "millis": millis }));
    }
}
