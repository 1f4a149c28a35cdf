//! The whole network's figures, for operators: what happened in each of the last minutes, hours or days, who was there, how
//! many requests were accepted, and which skills members have.

use std::collections::BTreeMap;

use devconnect_sdk::prelude::*;

use crate::rollup::{ACTIVE, HOUR, MEMBERS, MINUTE, ROLLUPS, hour, minute};
use crate::skills::{SKILLS, skill};

const DAY: i64 = 24 * HOUR;
/// The most windows of one answer.
const MOST: u32 = 60;
/// The most rows of a question.
const PAGE: u32 = 1_000;
/// What is counted.
const FIELDS: [&str; 7] = ["signups", "logins", "visits", "messages", "requests", "accepted", "rejected"];
/// How many skills are shown of a window, and of all.
const WINDOW_SKILLS: usize = 5;
const ALL_SKILLS: usize = 20;

/// How long a window is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    Minute,
    Hour,
    Day,
}

impl std::str::FromStr for Window {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "minute" => Ok(Self::Minute),
            "hour" => Ok(Self::Hour),
            "day" => Ok(Self::Day),
            _ => Err(()),
        }
    }
}

impl Window {
    /// In milliseconds.
    fn length(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How many members were active in the one that begins at `start`.
    fn active(self, start: DateTime) -> Result<u64, Error> {
        let active = match self {
            Self::Day => collection(MEMBERS).count(doc! { "day": start.day() }),
            Self::Hour => collection(ACTIVE).count(doc! { "start": start }),
            Self::Minute => collection(ACTIVE).count(doc! { "start": hour(start), (minute(start)): true }),
        };
        Ok(active?)
    }
}

/// What was counted in a window.
#[derive(Default)]
struct Counts {
    fields: BTreeMap<&'static str, i64>,
    skills: BTreeMap<String, i64>,
}

impl Counts {
    fn add(&mut self, counts: &Document) {
        for field in FIELDS {
            *self.fields.entry(field).or_default() += counts.get_i64(field).unwrap_or(0);
        }
        add_skills(&mut self.skills, counts);
    }

    /// As it is shown. Without an answered request there is no rate.
    fn shown(&self) -> Document {
        let mut shown: Document =
            self.fields.iter().map(|(field, count)| ((*field).to_owned(), (*count).into())).collect();
        let count = |field| self.fields.get(field).copied().unwrap_or(0);
        let (accepted, answered) = (count("accepted"), count("accepted") + count("rejected"));
        shown.insert(
            "acceptanceRate",
            if answered == 0 { Bson::Null } else { (accepted as f64 / answered as f64).into() },
        );
        shown
    }
}

/// `by` minute, hour or day (day), `windows` (30, at most 60), `until` (now): the last one is the one it falls into.
pub(crate) fn network(request: &Request) -> Result<Response, Error> {
    let by: Window = request.query_as("by")?.unwrap_or(Window::Day);
    let windows = request.query_as("windows")?.unwrap_or(30_u32);
    if !(1..=MOST).contains(&windows) {
        return Err(Error::bad_request(format!("windows takes 1 to {MOST}, not {windows}")));
    }
    let until: DateTime = request.query_as("until")?.unwrap_or_else(clock::now);
    let last = until.millis() - until.millis().rem_euclid(by.length());
    let starts = (0..i64::from(windows)).rev().map(|back| DateTime::from_millis(last - back * by.length()));
    let (mut shown, mut sum, mut hours) = (Vec::new(), Counts::default(), Hours::default());
    for start in starts {
        let counts = hours.window(by, start)?;
        let mut window = doc! { "start": start, "activeUsers": by.active(start)?.cast_signed() };
        window.extend(counts.shown());
        window.insert("newSkills", top(&counts.skills, WINDOW_SKILLS, "count"));
        shown.push(window);
        for (field, count) in counts.fields {
            *sum.fields.entry(field).or_default() += count;
        }
    }
    let mut data = doc! { "by": by.name(), "total": sum.shown(), "windows": shown };
    data.insert("topSkills", top(&all_skills()?, ALL_SKILLS, "members"));
    Ok(Response::json(&doc! { "data": data }))
}

/// The rows of the hour that was read last: many minutes are of one.
#[derive(Default)]
struct Hours {
    last: Option<(DateTime, Vec<Document>)>,
}

impl Hours {
    fn window(&mut self, by: Window, start: DateTime) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        if by != Window::Minute {
            let within = doc! { "start": { "$gte": start, "$lt": start.plus_millis(by.length()) } };
            // A day has 24 times as many rows as there are shards.
            let rows: Vec<Document> =
                collection(ROLLUPS).find(within).project(doc! { "minutes": 0 }).limit(PAGE).all()?;
            rows.iter().for_each(|row| counts.add(row));
            return Ok(counts);
        }
        let hour = hour(start);
        if self.last.as_ref().is_none_or(|(read, _)| *read != hour) {
            self.last = Some((hour, collection(ROLLUPS).find(doc! { "start": hour }).limit(PAGE).all()?));
        }
        let minute = minute(start);
        let minute = minute.trim_start_matches("minutes.");
        let rows = self.last.iter().flat_map(|(_, rows)| rows);
        let minutes = rows.filter_map(|row| row.get_document("minutes")?.get_document(minute));
        minutes.for_each(|minute| counts.add(minute));
        Ok(counts)
    }
}

fn all_skills() -> Result<BTreeMap<String, i64>, Error> {
    let shards: Vec<Document> = collection(SKILLS).find(doc! {}).limit(PAGE).all()?;
    let mut sum = BTreeMap::new();
    shards.iter().for_each(|shard| add_skills(&mut sum, shard));
    Ok(sum)
}

fn add_skills(sum: &mut BTreeMap<String, i64>, counts: &Document) {
    for (field, count) in counts.get_document("skills").into_iter().flat_map(Document::iter) {
        *sum.entry(skill(field)).or_default() += count.as_i64().unwrap_or(0);
    }
}

/// Those that most have, the first by name where as many have two.
fn top(skills: &BTreeMap<String, i64>, most: usize, name: &str) -> Vec<Document> {
    let mut all: Vec<(&String, i64)> =
        skills.iter().map(|(skill, count)| (skill, *count)).filter(|(_, count)| *count > 0).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.into_iter().take(most).map(|(skill, count)| doc! { "skill": skill.as_str(), name: count }).collect()
}
