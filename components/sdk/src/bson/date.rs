//! Moments in whole milliseconds. In BSON a date, in JSON and in text ISO 8601 in UTC with milliseconds, as in
//! `2026-03-01T09:30:00.000Z`. Reading takes any offset and up to nine digits of a second's fraction.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Error, TAG, TAGGED, kind};

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(i64);

const DAY: i64 = 86_400_000;
/// JavaScript's dates end here, in milliseconds on both sides of 1970.
const JAVASCRIPT: i64 = 100_000_000 * DAY;

impl DateTime {
    /// `millis` since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        DateTime(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whether JavaScript has a date for it.
    pub(super) const fn is_of_javascript(self) -> bool {
        -JAVASCRIPT <= self.0 && self.0 <= JAVASCRIPT
    }

    /// The moment `millis` later (or earlier, when negative).
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        DateTime(self.0.saturating_add(millis))
    }

    /// The moment `seconds` later (or earlier, when negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1_000))
    }

    /// The day in UTC, as in `2026-03-01`.
    pub fn day(self) -> String {
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        match year {
            0..=9_999 => format!("{year:04}-{month:02}-{day:02}"),
            _ => format!("{year:+07}-{month:02}-{day:02}"),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, by the Gregorian calendar. (Years are counted from March,
/// so that a leap day is a year's last; 400 years are 146,097 days.)
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of_day = self.0.rem_euclid(DAY);
        let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
        write!(f, "{}T{:02}:{:02}:{:02}.{millis:03}Z", self.day(), seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

impl std::fmt::Debug for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DateTime({self})")
    }
}

impl std::str::FromStr for DateTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut scan = Scan { rest: text.as_bytes() };
        match scan.moment() {
            Some(moment) if scan.rest.is_empty() => Ok(moment),
            _ => Err(Error::new(format!(
                "\"{}\" is not a date such as 2026-03-01T09:30:00.000Z",
                text.chars().take(40).collect::<String>()
            ))),
        }
    }
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn moment(&mut self) -> Option<DateTime> {
        let (year, month, day) = self.date()?;
        let date = days(year, month, day) * DAY;
        if self.rest.is_empty() {
            return Some(DateTime(date));
        }
        let _t_or_space = self.one_of(b"Tt ")?;
        let (hour, minute) = self.hour_and_minute()?;
        self.one_of(b":")?;
        let second = self.number(2, 59)?;
        let millis = self.fraction()?;
        let offset = match self.one_of(b"Zz+-")? {
            b'Z' | b'z' => 0,
            sign => {
                let (hours, minutes) = self.hour_and_minute()?;
                (hours * 60 + minutes) * 60_000 * if sign == b'-' { -1 } else { 1 }
            }
        };
        Some(DateTime(date + ((hour * 60 + minute) * 60 + second) * 1_000 + millis - offset))
    }

    /// A year has four digits, or a sign and six.
    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = match self.one_of(b"+-") {
            Some(b'-') => -self.number(6, 271_820)?,
            Some(_) => self.number(6, 275_760)?,
            None => self.number(4, 9_999)?,
        };
        self.one_of(b"-")?;
        let month = self.number(2, 12)?;
        self.one_of(b"-")?;
        let day = self.number(2, 31)?;
        (civil(days(year, month, day)) == (year, month, day)).then_some((year, month, day))
    }

    fn hour_and_minute(&mut self) -> Option<(i64, i64)> {
        let hour = self.number(2, 23)?;
        self.one_of(b":")?;
        Some((hour, self.number(2, 59)?))
    }

    /// Milliseconds of `.digits`; 0 when there is no point. Further digits are cut off.
    fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let (mut millis, mut weight, mut digits) = (0, 100, 0);
        while let Some(digit) = self.digit() {
            millis += digit * weight;
            weight /= 10;
            digits += 1;
        }
        (1..=9).contains(&digits).then_some(millis)
    }

    fn number(&mut self, digits: usize, most: i64) -> Option<i64> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 10 + self.digit()?;
        }
        (number <= most).then_some(number)
    }

    fn digit(&mut self) -> Option<i64> {
        self.one_of(b"0123456789").map(|digit| i64::from(digit - b'0'))
    }

    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !wanted.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            // As JavaScript writes a date that it can't hold.
            return if self.is_of_javascript() { serializer.collect_str(self) } else { serializer.serialize_none() };
        }
        let mut tagged = [TAG; 10];
        let [_, kind, payload @ ..] = &mut tagged;
        *kind = kind::DATE_TIME;
        *payload = self.0.to_le_bytes();
        serializer.serialize_newtype_struct(TAGGED, &super::scalar::Bytes(&tagged))
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Date;
        impl Visitor<'_> for Date {
            type Value = DateTime;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a date such as 2026-03-01T09:30:00.000Z")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DateTime, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<DateTime, E> {
                match bytes {
                    [TAG, kind::DATE_TIME, payload @ ..] => {
                        payload.try_into().map(|p| DateTime(i64::from_le_bytes(p))).map_err(E::custom)
                    }
                    _ => Err(E::invalid_type(serde::de::Unexpected::Bytes(bytes), &self)),
                }
            }
        }
        deserializer.deserialize_any(Date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        text.parse::<DateTime>().ok().map(DateTime::millis)
    }

    #[test]
    fn known_moments() {
        assert_eq!(DateTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(DateTime(1_709_164_800_123).to_string(), "2024-02-29T00:00:00.123Z");
        assert_eq!(DateTime(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(DateTime(8_640_000_000_000_000).to_string(), "+275760-09-13T00:00:00.000Z");
        assert_eq!(millis("2024-02-29T02:30:00.1239+02:30"), Some(1_709_164_800_123));
        assert_eq!(millis("2024-02-29"), Some(1_709_164_800_000));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2024-13-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00Z ",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::cheap(4))]

            #[test]
            fn text_and_back(moment in -62_167_219_200_000_i64..253_402_300_800_000) {
                proptest::prop_assert_eq!(millis(&DateTime(moment).to_string()), Some(moment));
            }

            #[test]
            fn any_text_is_read_without_a_panic(text in ".{0,40}") {
                let _ = millis(&text);
            }
        }
    }
}
