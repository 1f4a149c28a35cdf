//! Scans: refusing what would read a whole collection, and saying which index would spare it.
//!
//! The plan decides; what is here turns a plan that is not bounded into an error that tells its reader what to write
//! where. Pure: no database.

use crate::capability::documents::filter::Node;
use crate::capability::documents::{Error, Filter, MAX_LIMIT, Query, Sort};

use super::plan::{Ask, Reach, alternatives, best};
use super::seek::{Demand, demands};
use super::tables::Table;

/// Whether a whole collection may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scans {
    Allowed,
    Refused,
}

/// What was asked, in so far as it decides what is read.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The kind of question, for people.
    pub(super) what: &'static str,
    pub(super) filter: &'a Filter,
    pub(super) sort: Option<&'a Sort>,
    /// How many of the first matches are looked at; none: all of them.
    pub(super) taken: Option<u64>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(query: &'a Query, ask: &Ask) -> Self {
        // What is skipped is read like what is taken, unless its keys are enough.
        let skipped = if ask.decided { 0 } else { query.skip };
        let taken = Some(u64::from(skipped) + u64::from(query.limit));
        Asked { what: "find", filter: &query.filter, sort: Some(&query.sort), taken }
    }
}

impl Scans {
    /// Refuses a plan that reads more than is asked for.
    pub(super) fn check(self, table: &Table, ask: &Ask, asked: &Asked<'_>) -> Result<(), Error> {
        if self == Scans::Allowed || ask.is_bounded(asked.taken) {
            return Ok(());
        }
        let paths: Vec<String> = asked.filter.paths().map(|path| format!("`{path}`")).collect();
        let filter =
            if paths.is_empty() { "no filter".to_owned() } else { format!("a filter on {}", paths.join(", ")) };
        let advice = match ask.reach {
            Reach::Walk => format!("take at most {MAX_LIMIT}, skipped ones included, and go on from the last `_id`"),
            _ => advice(table, asked),
        };
        Err(Error::Invalid(format!(
            "a {} with {filter} would read all of `{}`, and that is refused; {advice}",
            asked.what, table.collection
        )))
    }
}

/// What to write into the application's file, or else into the filter.
fn advice(table: &Table, asked: &Asked<'_>) -> String {
    let sort: Vec<&str> = asked.sort.map(|sort| sort.paths().collect()).unwrap_or_default();
    let missing = missing(table, asked.filter.root(), &sort);
    if missing.is_empty() {
        return "no index serves it: ask for values or ranges of indexed fields".to_owned();
    }
    let partial = |fields: &Vec<String>| table.indexes.iter().find(|index| index.fields == *fields);
    if let Some(index) = missing.iter().find_map(partial) {
        let only = index.where_exists.join("`, `");
        return format!("its index `{}` holds only documents with `{only}`, and others are asked for, too", index.name);
    }
    let lines: Vec<String> = missing.iter().map(|fields| format!("{{ fields = {fields:?} }}")).collect();
    format!("in application.toml: [collections.{}] indexes = [{}]", table.collection, lines.join(", "))
}

/// The fields of the indexes that would serve; of alternatives those that have none yet. Empty when none can.
fn missing(table: &Table, nodes: &[Node], sort: &[&str]) -> Vec<Vec<String>> {
    let demands = demands(nodes);
    let of = |wanted: fn(&Demand) -> bool| {
        demands.iter().filter(move |(path, demand)| **path != "_id" && wanted(demand)).map(|(path, _)| *path)
    };
    let mut fields: Vec<&str> = of(Demand::is_of_points).collect();
    let behind: Vec<&str> = match of(Demand::is_of_range).find(|path| !fields.contains(path)) {
        Some(range) => vec![range],
        // An order narrows nothing down by itself, unless every document is asked for.
        None if !fields.is_empty() || nodes.is_empty() => sort.iter().copied().filter(|path| *path != "_id").collect(),
        None => Vec::new(),
    };
    for path in behind {
        if !fields.contains(&path) {
            fields.push(path);
        }
    }
    if !fields.is_empty() {
        return vec![fields.into_iter().map(str::to_owned).collect()];
    }
    let lists = alternatives(nodes).next().unwrap_or_default();
    let each: Vec<Vec<Vec<String>>> =
        lists.iter().filter(|list| best(table, list, None).is_none()).map(|list| missing(table, list, &[])).collect();
    if each.iter().any(Vec::is_empty) { Vec::new() } else { each.concat() }
}
