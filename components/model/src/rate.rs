//! Rates: how often somebody may do something. They are counted in the cache, in windows of the clock. While the cache does
//! not answer at all nothing is counted, and nobody is refused.

use devconnect_sdk::http::Error;
use devconnect_sdk::{cache, clock, config, log};

/// How often somebody may do something. A component that counts one is granted to read and write its keys, `rate:NAME:*:*`,
/// and to read its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Its name in the keys.
    pub name: &'static str,
    /// The setting with the operator's number. `off` there: no limit.
    pub setting: &'static str,
    /// How many in a window when no setting has a number.
    pub most: i64,
    /// How long a window is, in seconds.
    pub seconds: u32,
    /// The message of a refusal.
    pub refusal: &'static str,
}

/// One that was counted.
#[derive(Debug)]
pub struct Counted {
    /// None: there is no limit, or the cache did not answer.
    key: Option<String>,
    /// Which one it is in its window, from 1.
    number: i64,
    seconds: u32,
}

impl Rate {
    /// What members change of what is theirs. Components that share it count together.
    pub const EDITS: Self = Self {
        name: "edits",
        setting: "limits.edits",
        most: 60,
        seconds: 60,
        refusal: "You are changing things too often, please slow down",
    };

    /// Counts one of `who`, a name of printable ASCII without spaces and `:`; 429 when there were enough in this window.
    pub fn count(&self, who: &str) -> Result<Counted, Error> {
        let Some(most) = self.most()? else { return Ok(Counted { key: None, number: 1, seconds: self.seconds }) };
        let (key, left) = self.key(who);
        match cache::increment(&key, 1, self.seconds.max(1)) {
            Ok(count) if count > most => Err(Error::limited(self.refusal).retry_after(left).into()),
            Ok(number) => Ok(Counted { key: Some(key), number, seconds: self.seconds }),
            Err(error) => {
                let cause = Error::from(error).to_string();
                log::warn("a rate is not counted", &[("rate", self.name), ("cause", &cause)]);
                Ok(Counted { key: None, number: 1, seconds: self.seconds })
            }
        }
    }

    /// 429 when `more` of `who` would be too many in this window. Counts nothing: what is done is [`Rate::add`]ed.
    pub fn allows(&self, who: &str, more: i64) -> Result<(), Error> {
        let Some(most) = self.most()? else { return Ok(()) };
        let (key, left) = self.key(who);
        match cache::increment(&key, 0, self.seconds.max(1)) {
            Ok(count) if count.saturating_add(more) > most => {
                Err(Error::limited(self.refusal).retry_after(left).into())
            }
            // While the cache does not answer, nobody is refused.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Counts one of `who` that was done.
    pub fn add(&self, who: &str) {
        let (key, _) = self.key(who);
        // It was done, counted or not.
        let _ = cache::increment(&key, 1, self.seconds.max(1));
    }

    /// The key of this window, and how many seconds of it are left.
    fn key(&self, who: &str) -> (String, u32) {
        let (window, left) = window(clock::now().millis(), self.seconds);
        (format!("rate:{}:{who}:{window}", self.name), left)
    }

    /// The most in a window; none: no limit.
    fn most(&self) -> Result<Option<i64>, Error> {
        let Some(text) = config::get(self.setting)? else { return Ok(Some(self.most)) };
        Ok(number(&text).unwrap_or_else(|| {
            let why = "a setting is no number from 1 and not `off`; its default is used";
            log::warn(why, &[("setting", self.setting), ("value", &text)]);
            Some(self.most)
        }))
    }
}

impl Counted {
    /// Which one it is in its window, from 1.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// It was not done after all, and does not count.
    pub fn give_back(self) {
        // A count that can't be taken back ends with its window.
        let _ = self.key.map(|key| cache::increment(&key, -1, self.seconds.max(1)));
    }
}

/// The number of a setting; `Some(None)` for `off`, none for any other text.
fn number(text: &str) -> Option<Option<i64>> {
    match text.trim() {
        "off" => Some(None),
        text => text.parse::<i64>().ok().filter(|number| *number > 0).map(Some),
    }
}

/// The number of a moment's window, and how many seconds of it are left, at least one.
fn window(millis: i64, seconds: u32) -> (i64, u32) {
    let length = i64::from(seconds.max(1)) * 1_000;
    let left = length - millis.rem_euclid(length);
    (millis.div_euclid(length), u32::try_from((left + 999) / 1_000).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_number_or_off() {
        assert_eq!([number("60"), number(" 1 "), number("off")], [Some(Some(60)), Some(Some(1)), Some(None)]);
        for text in ["", "0", "-5", "many", "1.5", "on"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_window_ends_at_a_round_time() {
        assert_eq!(window(0, 60), (0, 60));
        assert_eq!(window(59_000, 60), (0, 1));
        assert_eq!(window(59_999, 60), (0, 1));
        assert_eq!(window(60_000, 60), (1, 60));
        assert_eq!(window(61_001, 60), (1, 59));
        assert_eq!(window(-1, 60), (-1, 1));
        assert_eq!(window(5, 0), (0, 1));
    }
}
