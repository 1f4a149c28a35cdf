//! What attacks on a host are made of: raw connections, frames and streams, and the times of good requests beside them.
//!
//! But for [`shared`], which starts one, it knows a host by its two addresses only. What fails to be set up panics: this is
//! test code.

#![forbid(unsafe_code)]
#![expect(clippy::panic, clippy::expect_used, reason = "a test that can't be set up should fail loudly, right here")]

mod attackers;
pub mod good;
pub mod gzip;
pub mod http2;
pub mod mixed;
pub mod raw;
pub mod shared;
pub mod websocket;

use std::time::Duration;

pub use attackers::attackers;

/// How long an attack goes on: a few seconds, or with `DEVCONNECT_FULL` a minute.
pub fn length() -> Duration {
    if std::env::var_os("DEVCONNECT_FULL").is_some() { Duration::from_secs(60) } else { Duration::from_secs(4) }
}
