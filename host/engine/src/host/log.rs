//! WIT glue of `devconnect:platform/log`: a component's lines in the host's log, with the component's name and the call's id.
//!
//! A line is cut, stays one line, and counts towards the component's budget.

use std::time::{Duration, Instant};

use crate::State;
use crate::bindings::devconnect::platform::log::{Host, Level};
use crate::log_budget::Line;
use capability::text;

/// A line is cut to this length, in bytes, message and fields together.
const MAX: usize = 4 << 10;
/// How long after the first dropped line the log says how many were dropped.
const REPORT: Duration = Duration::from_secs(1);

impl State {
    /// Says soon how many lines of this component were dropped.
    fn report_dropped_lines(&self) {
        let (shared, component) = (self.shared().clone(), self.component_name().to_owned());
        let report = async move {
            tokio::time::sleep(REPORT).await;
            let dropped = shared.log_budgets.take_dropped(&component);
            tracing::warn!(target: "component", component, dropped, "lines of its log are dropped: it writes too many");
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(report);
        }
    }
}

/// The message and the fields on one line of at most about [`MAX`] bytes.
fn line(message: &str, fields: &[(String, String)]) -> String {
    let mut line = text::cut(message, MAX);
    for (name, value) in fields {
        let Some(room) = MAX.checked_sub(line.len()).filter(|room| *room > 0) else {
            line.push_str(" …");
            break;
        };
        line.push(' ');
        line.push_str(&text::cut(name, room));
        line.push('=');
        let room = MAX.saturating_sub(line.len());
        line.push_str(&text::cut_format(format_args!("{value:?}"), room));
    }
    line
}

fn is_enabled(level: Level) -> bool {
    match level {
        Level::Debug => tracing::enabled!(target: "component", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "component", tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: "component", tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: "component", tracing::Level::ERROR),
    }
}

impl Host for State {
    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let _host = self.enter("log.emit")?;
        if !is_enabled(level) {
            return Ok(());
        }
        let line = line(&message, &fields);
        let (component, call) = (self.component_name(), self.call_id());
        match self.shared().log_budgets.take(component, line.len(), Instant::now()) {
            Line::Written => {}
            Line::Dropped => return Ok(()),
            Line::FirstDropped => {
                self.report_dropped_lines();
                return Ok(());
            }
        }
        match level {
            Level::Debug => tracing::debug!(target: "component", component, call, "{line}"),
            Level::Info => tracing::info!(target: "component", component, call, "{line}"),
            Level::Warn => tracing::warn!(target: "component", component, call, "{line}"),
            Level::Error => tracing::error!(target: "component", component, call, "{line}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_short_line_stays() {
        assert_eq!(line("it happened", &[field("user", "Ada \"A\"")]), "it happened user=\"Ada \\\"A\\\"\"");
    }

    #[test]
    fn whatever_is_written_is_one_bounded_line() {
        let large = "x\n".repeat(1 << 20);
        let many: Vec<_> = (0..100_000).map(|number| field("n", &number.to_string())).collect();
        let few = vec![field(&large, &large), field("a", "b")];
        for (message, fields) in [(large.as_str(), &few), ("", &few), ("a\r\nb", &many), (large.as_str(), &many)] {
            let line = line(message, fields);
            assert!(line.len() < MAX + 200, "{}", line.len());
            assert!(!line.chars().any(char::is_control));
        }
    }
}
