//! The schedules of a manifest: cron expressions (POSIX `crontab`, with optional seconds in front), in UTC.

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use serde::Deserialize;

/// A schedule of a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduleTrigger {
    /// The times, in UTC.
    pub cron: Cron,
}

/// A cron expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Cron {
    text: String,
    times: croner::Cron,
}

impl Cron {
    /// Parses five fields (minute, hour, day of the month, month, day of the week), or six with seconds first.
    ///
    /// # Errors
    /// Why the text is wrong, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let times = (text.len() <= 128)
            .then(|| CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(text))
            .ok_or_else(|| "it is too long".to_owned())
            .and_then(|parsed| parsed.map_err(|error| error.to_string()));
        match times {
            Ok(times) => Ok(Self { text: text.to_owned(), times }),
            Err(why) => Err(format!(
                "cron = {text:?} is no schedule: {why}; it takes minute, hour, day, month and weekday, in UTC, such as \"0 8 * * MON\""
            )),
        }
    }

    /// The text of the expression.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The latest time after `after` and not after `until`; milliseconds since 1970.
    pub fn latest(&self, after: u64, until: u64) -> Option<u64> {
        let until = DateTime::<Utc>::from_timestamp(i64::try_from(until / 1_000).ok()?, 0)?;
        let last = self.times.find_previous_occurrence(&until, true).ok()?;
        let last = u64::try_from(last.timestamp_millis()).ok()?;
        (last > after).then_some(last)
    }
}

impl TryFrom<String> for Cron {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-15T12:00:00Z, a Thursday.
    const NOON: u64 = 1_768_478_400_000;
    const DAY: u64 = 86_400_000;

    #[test]
    fn of_several_missed_times_it_is_the_last_one() {
        let mondays = Cron::parse("0 8 * * MON").unwrap();
        let monday = NOON - 3 * DAY - 4 * 3_600_000;
        assert_eq!(mondays.latest(0, NOON), Some(monday));
        assert_eq!(mondays.latest(monday, NOON), None);
        assert_eq!(mondays.latest(monday - 1, monday), Some(monday));
        assert_eq!(mondays.latest(0, monday - 1), Some(monday - 7 * DAY));
        let seconds = Cron::parse("*/2 * * * * *").unwrap();
        assert_eq!(seconds.latest(NOON, NOON + 3_999), Some(NOON + 2_000));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_what_would_be() {
        for text in ["", "* * * *", "61 * * * *", "0 8 * * FUN", "every monday", "0 8 30 2", &"* ".repeat(100)] {
            assert!(Cron::parse(text).unwrap_err().contains("minute, hour, day"), "{text}");
        }
    }

    #[test]
    fn a_time_that_never_comes_is_none() {
        assert_eq!(Cron::parse("0 0 30 2 *").unwrap().latest(0, NOON), None);
    }
}
