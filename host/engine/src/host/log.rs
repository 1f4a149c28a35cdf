//! WIT glue of `devconnect:platform/log`: a component's lines in the host's log, with the component's name and the call's id.

use crate::State;
use crate::bindings::devconnect::platform::log::{Host, Level};

/// A line is truncated to this length, in bytes, message and fields together.
const MAX: usize = 4 << 10;

impl Host for State {
    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.enter("log.emit")?;
        let mut line = message;
        for (name, value) in &fields {
            line.push_str(&format!(" {name}={value:?}"));
        }
        if line.len() > MAX {
            let end = (0..=MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
        }
        // Without line breaks: a component can't forge other lines of the log.
        let line = line.replace(['\n', '\r'], "⏎");
        let (component, call) = (self.component_name(), self.call_id());
        match level {
            Level::Debug => tracing::debug!(target: "component", component, call, "{line}"),
            Level::Info => tracing::info!(target: "component", component, call, "{line}"),
            Level::Warn => tracing::warn!(target: "component", component, call, "{line}"),
            Level::Error => tracing::error!(target: "component", component, call, "{line}"),
        }
        Ok(())
    }
}
