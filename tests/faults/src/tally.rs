//! How members were answered.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use e2e::Value;
use e2e::described::Asked;
use reqwest::{StatusCode, header};

/// An answer that takes longer is late.
const LATE: Duration = Duration::from_secs(1);
/// Nobody waits longer for an answer; one that does not come is wrong.
const NEVER: Duration = Duration::from_secs(20);
/// This many wrong answers are kept to be shown.
const SHOWN: usize = 12;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The one that a healthy run gives, as far as the status says.
    Given(Value),
    /// A 503 that says when to come back, and why; of a socket, an acknowledgement that says no.
    Refused,
    /// Anything else.
    Wrong(String),
}

impl Answer {
    /// Sends a request and sees what comes.
    pub async fn of(request: Asked) -> Self {
        let response = match request.timeout(NEVER).send().await {
            Ok(response) => response,
            Err(error) => return Self::Wrong(format!("no answer: {error:?}")),
        };
        let (status, again) = (response.status(), response.headers().contains_key(header::RETRY_AFTER));
        let text = match response.text().await {
            Ok(text) => text,
            Err(error) => return Self::Wrong(format!("half an answer: {error:?}")),
        };
        match (status, serde_json::from_str::<Value>(&text)) {
            (StatusCode::OK, Ok(body)) => Self::Given(body),
            (StatusCode::SERVICE_UNAVAILABLE, Ok(body)) if again && body["message"].is_string() => Self::Refused,
            _ => Self::Wrong(format!("{status}, retry-after: {again}, {text}")),
        }
    }
}

/// Of one kind of question.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// As in a healthy run, also late.
    pub answered: usize,
    /// The part of these that were late.
    pub late: usize,
    /// Refused as it should be.
    pub refused: usize,
}

/// The answers to everybody's questions.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(&'static str, bool), Count>,
    wrong: usize,
    shown: Vec<String>,
    longest: Option<(Duration, &'static str)>,
}

impl Tally {
    /// Counts an answer, how long it took, and whether a store was away meanwhile.
    pub fn add(&mut self, what: &'static str, away: bool, took: Duration, answer: &Answer) {
        if self.longest.is_none_or(|(longest, _)| longest < took) {
            self.longest = Some((took, what));
        }
        let count = self.counts.entry((what, away)).or_default();
        match answer {
            Answer::Given(_) => {
                count.answered += 1;
                count.late += usize::from(took > LATE);
            }
            Answer::Refused => count.refused += 1,
            Answer::Wrong(why) => self.wrong(format!("{what}, after {took:?}, away: {away}: {why}")),
        }
    }

    /// Notes something that must not happen.
    pub fn wrong(&mut self, why: String) {
        self.wrong += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(why);
        }
    }

    /// The answers to questions of one kind that were asked while a store was away.
    pub fn away(&self, what: &'static str) -> Count {
        self.counts.get(&(what, true)).cloned().unwrap_or_default()
    }

    /// All answers.
    pub fn all(&self) -> Count {
        self.counts.values().fold(Count::default(), |all, one| Count {
            answered: all.answered + one.answered,
            late: all.late + one.late,
            refused: all.refused + one.refused,
        })
    }

    /// How many were wrong, and some of them.
    pub fn wrongs(&self) -> (usize, &[String]) {
        (self.wrong, &self.shown)
    }

    /// The longest time until an answer.
    pub fn longest(&self) -> Duration {
        self.longest.map_or(Duration::ZERO, |(longest, _)| longest)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { answered, late, refused } = self.all();
        write!(f, "{answered} answered, {late} of them late, {refused} refused, {} wrong", self.wrong)?;
        if let Some((longest, what)) = self.longest {
            write!(f, ", the longest {longest:.2?} ({what})")?;
        }
        write!(f, "; away:")?;
        for ((what, _), count) in self.counts.iter().filter(|((_, away), _)| *away) {
            write!(f, " {what} {}+{}", count.answered, count.refused)?;
        }
        Ok(())
    }
}
