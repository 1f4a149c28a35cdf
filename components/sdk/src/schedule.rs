//! Having something to do at certain times: a [`Tick`], and the table that says which function does what is due
//! ([`schedule_component!`](crate::schedule_component!)).
//!
//! As with events, everything is gathered and done once, when the handler returns ok. What is too much for one call is done in
//! parts: a handler answers where the next one begins.

use crate::bindings::schedule as wit;
use crate::bson::DateTime;
use crate::event::Failure;

/// A time at which something is due, and how far it has come.
#[derive(Debug, Clone)]
pub struct Tick(wit::Tick);

impl Tick {
    /// Wraps what the host sent.
    pub fn new(inner: wit::Tick) -> Self {
        Self(inner)
    }

    /// The time that it is about: not after now, and earlier when hosts were down.
    pub fn at(&self) -> DateTime {
        DateTime::from_millis(i64::try_from(self.0.at).unwrap_or(i64::MAX))
    }

    /// Where this part begins, as the part before answered; none for the first part.
    pub fn cursor(&self) -> Option<&str> {
        self.0.cursor.as_deref()
    }
}

/// Does a part of what is due; answers where the next one begins, none when all is done.
pub type Handler = fn(&Tick) -> Result<Option<String>, Failure>;

/// One line of a table of schedules.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// As in `component.toml`.
    pub cron: &'static str,
    /// The function that does what is due.
    pub handler: Handler,
}

/// Does a part of what is due.
pub fn dispatch(lines: &[Line], tick: wit::Tick) -> Result<Option<String>, wit::Failure> {
    let line = lines.iter().find(|line| line.cron == tick.cron).ok_or_else(|| {
        wit::Failure::Reject(format!("no handler for the schedule {:?}: add it to schedule_component!", tick.cron))
    })?;
    (line.handler)(&Tick::new(tick)).map_err(|failure| match failure {
        Failure::Retry(why) => wit::Failure::Retry(why),
        Failure::Reject(why) => wit::Failure::Reject(why),
    })
}

/// Makes this crate a component with `[[schedule]]` triggers: `schedule_component! { "0 8 * * MON" => weekly, … }`.
///
/// Each schedule is written as in `component.toml`, each handler is a `fn(&Tick) -> Result<Option<String>, Failure>`. Used once
/// in a crate, at its top; it may stand beside the macro of another kind of trigger.
#[macro_export]
macro_rules! schedule_component {
    ($($cron:literal => $handler:expr),* $(,)?) => {
        const _: () = {
            const LINES: &[$crate::schedule::Line] = &[$($crate::schedule::Line { cron: $cron, handler: $handler }),*];
            struct ScheduleHandler;
            impl $crate::bindings::schedule::Guest for ScheduleHandler {
                fn handle(
                    tick: $crate::bindings::schedule::Tick,
                ) -> ::core::result::Result<
                    ::core::option::Option<::std::string::String>,
                    $crate::bindings::schedule::Failure,
                > {
                    $crate::schedule::dispatch(LINES, tick)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::schedule::export_schedule_handler!(ScheduleHandler);
            // Built for the machine there is nobody to export to, and the handlers are in use all the same.
            #[cfg(not(target_arch = "wasm32"))]
            const _: (&[$crate::schedule::Line], ScheduleHandler) = (LINES, ScheduleHandler);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_goes_to_the_handler_of_its_schedule() {
        let lines = [Line { cron: "* * * * *", handler: |tick| Ok(tick.cursor().map(str::to_owned)) }];
        let tick = |cron: &str| wit::Tick { id: "c".into(), cron: cron.into(), at: 5, cursor: Some("x".into()) };
        assert_eq!(dispatch(&lines, tick("* * * * *")), Ok(Some("x".into())));
        assert!(matches!(dispatch(&lines, tick("0 8 * * *")), Err(wit::Failure::Reject(_))));
        assert_eq!(Tick::new(tick("")).at().millis(), 5);
    }
}
