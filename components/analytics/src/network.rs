//! The whole network's figures, for operators: what happened in each of the last minutes, hours or days, who was there, how
//! many requests were accepted, and which skills members have.

use std::collections::BTreeMap;

use devconnect_sdk::prelude::*;

use crate::rollup::{ACTIVE, MEMBERS, ROLLUPS, hour, minute};
use crate::skills::{NEW_SKILLS, OLD_SHARDS, SKILLS, skill};
use crate::window::Window;

/// The most windows of one answer. `host-calls` of `component.toml` follows from it.
const MOST: u32 = 60;
/// The most rows of a question.
const PAGE: u32 = 1_000;
/// What is counted.
const FIELDS: [&str; 7] = ["signups", "logins", "visits", "messages", "requests", "accepted", "rejected"];
/// How many skills are shown of a window, and of all.
const WINDOW_SKILLS: usize = 5;
const ALL_SKILLS: usize = 20;
/// How many skills are read that may be among those. More than are shown: an earlier version's counts are added to them.
const CANDIDATES: u32 = 200;
const WINDOW_CANDIDATES: u32 = 50;

/// How many members were active in the window that begins at `start`.
fn active(by: Window, start: DateTime) -> Result<u64, Error> {
    let active = match by {
        Window::Day => collection(MEMBERS).count(doc! { "day": start.day() }),
        Window::Hour => collection(ACTIVE).count(doc! { "start": start }),
        Window::Minute => collection(ACTIVE).count(doc! { "start": hour(start), (minute(start)): true }),
    };
    Ok(active?)
}

/// What was counted in a window.
#[derive(Default)]
struct Counts {
    fields: BTreeMap<&'static str, i64>,
    /// What an earlier version counted of skills.
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
        let mut counts = hours.window(by, start)?;
        let mut window = doc! { "start": start, "activeUsers": active(by, start)?.cast_signed() };
        window.extend(counts.shown());
        add_new_skills(&mut counts.skills, by, start)?;
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

/// How many members have each of the skills that most have.
fn all_skills() -> Result<BTreeMap<String, i64>, Error> {
    let skills = collection(SKILLS);
    let most = skills.find(doc! { "members": { "$gt": 0 } }).sort(doc! { "members": -1 }).limit(CANDIDATES);
    let most: Vec<Document> = most.all()?;
    let mut sum = counted(&most, "_id", "members");
    let shards: Bson = (0..OLD_SHARDS).collect();
    let shards: Vec<Document> = skills.find(doc! { "_id": { "$in": shards } }).all()?;
    if shards.is_empty() {
        return Ok(sum);
    }
    let mut before = BTreeMap::new();
    shards.iter().for_each(|shard| add_skills(&mut before, shard));
    let mut old: Vec<(String, i64)> = before.into_iter().collect();
    old.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    // Those that most had then, and may have fewer now, and what those had then that most have now.
    let first = old.iter().take(CANDIDATES as usize).map(|(skill, _)| skill.as_str()).collect::<Bson>();
    let since: Vec<Document> = skills.find(doc! { "_id": { "$in": first } }).all()?;
    sum.extend(counted(&since, "_id", "members"));
    for (place, (skill, count)) in old.into_iter().enumerate() {
        if place < CANDIDATES as usize || sum.contains_key(&skill) {
            *sum.entry(skill).or_default() += count;
        }
    }
    Ok(sum)
}

/// Adds how often which skills were listed anew in a window, of those that most listed.
fn add_new_skills(sum: &mut BTreeMap<String, i64>, by: Window, start: DateTime) -> Result<(), Error> {
    let listed = collection(NEW_SKILLS).find(doc! { "window": by.name(), "start": start });
    let listed: Vec<Document> = listed.sort(doc! { "count": -1 }).limit(WINDOW_CANDIDATES).all()?;
    for (skill, count) in counted(&listed, "skill", "count") {
        *sum.entry(skill).or_default() += count;
    }
    Ok(())
}

/// Skills with their counts, by these fields.
fn counted(documents: &[Document], skill: &str, count: &str) -> BTreeMap<String, i64> {
    let count = |document: &Document| Some((document.get_str(skill)?.to_owned(), document.get_i64(count).unwrap_or(0)));
    documents.iter().filter_map(count).collect()
}

/// Adds what a document of an earlier version counted.
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
