//! Lines in the host's log, with the component and the call already on them.
//! A line is a message and named values; both together are cut at 4 KiB by the host. It drops lines over a component's budget:
//! 1,000 lines of 256 KiB at once, and 100 lines of 64 KiB in each second.
//! Never log a password, a token or a whole body.

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::log as wit;

/// For the author, while developing.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Debug, message, fields);
}

/// Something happened that an operator may want to know.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Info, message, fields);
}

/// Something is not as it should be, and the work went on.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Warn, message, fields);
}

/// Something failed, and somebody should look.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Error, message, fields);
}

#[derive(Clone, Copy, Debug)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[cfg(target_arch = "wasm32")]
fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Debug => wit::Level::Debug,
        Level::Info => wit::Level::Info,
        Level::Warn => wit::Level::Warn,
        Level::Error => wit::Level::Error,
    };
    let fields: Vec<(String, String)> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    wit::emit(level, message, &fields);
}

/// A unit test on the machine has no host; its log is the test's output.
#[cfg(not(target_arch = "wasm32"))]
fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    eprintln!("{level:?}: {message} {fields:?}");
}
