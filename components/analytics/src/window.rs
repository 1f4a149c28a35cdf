//! Windows of time in which things are counted: minutes, hours and days of UTC.

use devconnect_sdk::bson::DateTime;

/// In milliseconds.
const MINUTE: i64 = 60_000;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// In milliseconds.
    pub(crate) fn length(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => 24 * 60 * MINUTE,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The start of the one that a moment falls into.
    pub(crate) fn start(self, at: DateTime) -> DateTime {
        DateTime::from_millis(at.millis() - at.millis().rem_euclid(self.length()))
    }
}

impl std::str::FromStr for Window {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|window| window.name() == text).ok_or(())
    }
}
