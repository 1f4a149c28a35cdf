//! Scans: refuses queries that would read a whole collection, and names the index that would prevent it.
//!
//! The plan decides; this turns a plan that is not bounded into an error that says what to write where. Pure: no database.

use capability::documents::filter::Node;
use capability::documents::{Error, Filter, MAX_LIMIT, Query, Sort};
use capability::text;

use crate::plan::{Reach, Select, alternatives, best};
use crate::seek::{Demand, demands};
use crate::tables::Table;

/// The most bytes of the paths that an error names, and of the indexes.
const MAX_LIST: usize = 1_000;

/// Whether a whole collection may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scans {
    Allowed,
    Refused,
}

/// The parts of a request that decide how much is read.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The kind of request, for people.
    pub(super) what: &'static str,
    pub(super) filter: &'a Filter,
    pub(super) sort: Option<&'a Sort>,
    /// How many of the first matches are read; none: all of them.
    pub(super) taken: Option<u64>,
}

impl<'a> Request<'a> {
    pub(super) fn of(query: &'a Query, select: &Select) -> Self {
        // Skipped documents are read like taken ones, unless the statement is exact.
        let skipped = if select.exact { 0 } else { query.skip };
        let taken = Some(u64::from(skipped) + u64::from(query.limit));
        Request { what: "find", filter: &query.filter, sort: Some(&query.sort), taken }
    }
}

impl Scans {
    /// Refuses a plan that is not bounded.
    pub(super) fn check(self, table: &Table, select: &Select, request: &Request<'_>) -> Result<(), Error> {
        if self == Scans::Allowed || select.is_bounded(request.taken) {
            return Ok(());
        }
        let paths: Vec<String> = request.filter.paths().map(|path| format!("`{path}`")).collect();
        let paths = text::cut(&paths.join(", "), MAX_LIST);
        let filter = if paths.is_empty() { "no filter".to_owned() } else { format!("a filter on {paths}") };
        let advice = match select.reach {
            Reach::Walk => format!("take at most {MAX_LIMIT}, skipped ones included, and go on from the last `_id`"),
            _ => advice(table, request),
        };
        Err(Error::Invalid(format!(
            "a {} with {filter} would read all of `{}`, and that is refused; {advice}",
            request.what, table.collection
        )))
    }
}

/// What to write into `application.toml`, or else into the filter.
fn advice(table: &Table, request: &Request<'_>) -> String {
    let sort: Vec<&str> = request.sort.map(|sort| sort.paths().collect()).unwrap_or_default();
    let missing = missing(table, request.filter.root(), &sort);
    if missing.is_empty() {
        return "no index serves it: ask for values or ranges of indexed fields".to_owned();
    }
    let partial = |fields: &Vec<String>| table.indexes.iter().find(|index| index.fields == *fields);
    if let Some(index) = missing.iter().find_map(partial) {
        let only = index.where_exists.join("`, `");
        return format!("its index `{}` holds only documents with `{only}`, and others are asked for, too", index.name);
    }
    let lines: Vec<String> = missing.iter().map(|fields| format!("{{ fields = {fields:?} }}")).collect();
    let lines = text::cut(&lines.join(", "), MAX_LIST);
    format!("in application.toml: [collections.{}] indexes = [{lines}]", table.collection)
}

/// The fields of the indexes that would serve; for an `$or`, of its branches without one. Empty when none can.
fn missing(table: &Table, nodes: &[Node], sort: &[&str]) -> Vec<Vec<String>> {
    let demands = demands(nodes);
    let of = |wanted: fn(&Demand) -> bool| {
        demands.iter().filter(move |(path, demand)| **path != "_id" && wanted(demand)).map(|(path, _)| *path)
    };
    let mut fields: Vec<&str> = of(Demand::is_of_points).collect();
    let after: Vec<&str> = match of(Demand::is_of_range).find(|path| !fields.contains(path)) {
        Some(range) => vec![range],
        // An order narrows nothing down by itself, unless there is no filter.
        None if !fields.is_empty() || nodes.is_empty() => sort.iter().copied().filter(|path| *path != "_id").collect(),
        None => Vec::new(),
    };
    for path in after {
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
