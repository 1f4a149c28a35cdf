//! Seeks: the part of an index that can have the matches of a filter.
//!
//! Reads a filter's terms into keys and bounds for each path and fits them to an index. A seek may cover more
//! documents than match, never fewer. Pure: no database.

use std::collections::BTreeMap;

use capability::documents::filter::{Comparison, Condition, Field, Node, Test};
use capability::documents::order::{ARRAY, Class, Key, after, class, class_end, class_start, key};

use crate::tables::{Table, TableIndex, path_exists, path_key};

/// The most lookups of one seek in an index: `$in` on several fields multiplies.
const MAX_LOOKUPS: usize = 4_096;

/// A part of an index.
#[derive(Debug, Clone)]
pub(super) struct Seek {
    /// Its number among the table's indexes; `None` is the primary key.
    pub(super) index: Option<usize>,
    /// For each of the first fields, the keys it may have.
    pub(super) points: Vec<Vec<Key>>,
    /// For the field after those, from this key on and below that one.
    pub(super) range: Option<(Key, Key)>,
    /// For the `_id` after all fields of an index, from this key on and below that one: the next page starts where the one
    /// before ended.
    pub(super) ids: Option<(Key, Key)>,
}

/// The conditions of a filter on the value at one path.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// Its key is one of these.
    points: Option<Vec<Key>>,
    /// Its key is from this one on and below that one.
    range: Option<(Key, Key)>,
    /// The value exists.
    exists: bool,
}

/// The demands of terms that must all hold, by path.
pub(super) fn demands(nodes: &[Node]) -> BTreeMap<&str, Demand> {
    let mut demands = BTreeMap::new();
    collect(nodes, &mut demands);
    demands
}

fn collect<'a>(nodes: &'a [Node], demands: &mut BTreeMap<&'a str, Demand>) {
    for node in nodes {
        match node {
            Node::And(lists) => lists.iter().for_each(|list| collect(list, demands)),
            Node::Field(Field { path, condition: Condition::Is(test), .. }) => {
                demands.entry(path).or_default().add(test);
            }
            Node::Or(_) | Node::Field(_) => {}
        }
    }
}

impl Demand {
    /// Whether it names the values.
    pub(super) fn is_of_points(&self) -> bool {
        self.points.is_some()
    }

    /// Whether it names a range.
    pub(super) fn is_of_range(&self) -> bool {
        self.range.is_some()
    }

    fn add(&mut self, test: &Test) {
        match test {
            Test::Equal(value) => self.add_points(vec![key(value.as_raw_bson_ref())]),
            Test::In(keys) => self.add_points(keys.clone()),
            Test::Compare(comparison, bound) => {
                let bound = bound.as_raw_bson_ref();
                let (class, key) = (class(bound), key(bound));
                self.exists |= class != Class::Null;
                let (from, below) = match comparison {
                    Comparison::Less => (class_start(class), key),
                    Comparison::LessOrEqual => (class_start(class), after(key)),
                    Comparison::Greater => (after(key), class_end(class)),
                    Comparison::GreaterOrEqual => (key, class_end(class)),
                };
                self.range = Some(match self.range.take() {
                    Some((a, b)) => (a.max(from), b.min(below)),
                    None => (from, below),
                });
            }
            Test::Exists | Test::ElementDocument(_) | Test::ElementValue(_) => self.exists = true,
        }
    }

    /// Only the first list of keys is used; the filter decides every other one.
    fn add_points(&mut self, keys: Vec<Key>) {
        self.exists |= !keys.contains(&class_start(Class::Null));
        self.points.get_or_insert(keys);
    }
}

/// The seek by `_id`, which is never an array.
pub(super) fn by_id(demands: &BTreeMap<&str, Demand>) -> Option<Seek> {
    let demand = demands.get("_id")?;
    match (&demand.points, &demand.range) {
        (Some(points), _) => Some(Seek { index: None, points: vec![points.clone()], range: None, ids: None }),
        (None, Some(range)) => Some(Seek { index: None, points: Vec::new(), range: Some(range.clone()), ids: None }),
        (None, None) => None,
    }
}

/// The seeks that together cover all possible matches in one index: two when a range may also match inside arrays. `None`
/// when the index may lack documents that match.
pub(super) fn by_index(table: &Table, number: usize, demands: &BTreeMap<&str, Demand>) -> Option<Vec<Seek>> {
    let index = table.indexes.get(number)?;
    let implied = |path: &String| demands.get(path.as_str()).is_some_and(|demand| demand.exists);
    if !index.where_exists.iter().all(implied) {
        return None;
    }
    let mut seek = Seek { index: Some(number), points: Vec::new(), range: None, ids: None };
    let mut lookups = 1;
    for path in &index.fields {
        let Some(demand) = demands.get(path.as_str()) else { break };
        let arrays = !index.unique && table.has_arrays(path);
        if let Some(points) = &demand.points {
            let mut points = points.clone();
            // An array has no value's key, and only the document decides.
            if arrays && !points.is_empty() {
                points.push(ARRAY.to_vec());
            }
            lookups *= points.len();
            if lookups > MAX_LOOKUPS {
                break;
            }
            seek.points.push(points);
            continue;
        }
        if let Some(range) = &demand.range {
            seek.range = Some(range.clone());
            if arrays {
                let mut inside = Seek { range: None, ..seek.clone() };
                inside.points.push(vec![ARRAY.to_vec()]);
                return Some(vec![seek, inside]);
            }
        }
        break;
    }
    // A unique index has no `_id` after its fields: it needs none.
    if !index.unique && seek.points.len() == index.fields.len() {
        seek.ids = demands.get("_id").and_then(|demand| demand.range.clone());
    }
    Some(vec![seek])
}

impl Seek {
    /// Whether nothing narrows it: the whole index.
    pub(super) fn is_whole(&self) -> bool {
        self.points.is_empty() && self.range.is_none()
    }

    /// Whether it is a range of `_id` with an open end, where a bound is only the start or the end of a kind.
    pub(super) fn is_open(&self) -> bool {
        let is_kind = |bound: &Key| bound.len() == 1;
        let open = self.range.as_ref().is_some_and(|(from, below)| is_kind(from) || is_kind(below));
        self.index.is_none() && self.points.is_empty() && open
    }

    /// Whether it is a range of `_id` in the primary key.
    pub(super) fn is_range_of_ids(&self) -> bool {
        self.index.is_none() && self.points.is_empty() && self.range.is_some()
    }

    /// Whether every field before the range has one key, so that the rest of the index is in order.
    pub(super) fn is_ordered(&self) -> bool {
        self.points.iter().all(|points| points.len() == 1)
    }

    /// Whether it is empty whatever the documents are.
    pub(super) fn is_empty(&self) -> bool {
        let mut ranges = self.range.iter().chain(&self.ids);
        self.points.iter().any(Vec::is_empty) || ranges.any(|(from, below)| from >= below)
    }

    /// ` INDEXED BY … WHERE …` with its parameters, so that SQLite uses this index or fails.
    pub(super) fn sql(&self, table: &Table, parameters: &mut Vec<Key>) -> String {
        let index = self.index.and_then(|number| table.indexes.get(number));
        let column = |position: usize| match index {
            Some(index) => index.fields.get(position).map_or_else(String::new, |path| path_key(path)),
            None => "id".to_owned(),
        };
        let mut terms: Vec<String> =
            index.map(|index| index.where_exists.iter().map(|path| path_exists(path)).collect()).unwrap_or_default();
        for (position, points) in self.points.iter().enumerate() {
            terms.push(one_of(&column(position), points, parameters));
        }
        let range = self.range.as_ref().map(|range| (column(self.points.len()), range));
        for (column, (from, below)) in range.into_iter().chain(self.ids.as_ref().map(|ids| ("id".to_owned(), ids))) {
            parameters.extend([from.clone(), below.clone()]);
            terms.push(format!("{column} >= ? AND {column} < ?"));
        }
        let source = index.map(|index: &TableIndex| format!(" INDEXED BY {}", super::tables::quoted(&index.sql_name)));
        let condition = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
        source.unwrap_or_default() + &condition
    }
}

/// ` AND id NOT IN …` after a range of ids.
pub(super) fn none_of_ids(ids: &[Key], parameters: &mut Vec<Key>) -> String {
    if ids.is_empty() { String::new() } else { format!(" AND NOT ({})", one_of("id", ids, parameters)) }
}

/// The lists are padded to a power of two, so that a few statements serve every length.
fn one_of(column: &str, points: &[Key], parameters: &mut Vec<Key>) -> String {
    match points {
        [] => "0".to_owned(),
        [point] => {
            parameters.push(point.clone());
            format!("{column} = ?")
        }
        [first, ..] => {
            let count = points.len().next_power_of_two();
            parameters.extend(points.iter().cloned());
            parameters.extend(std::iter::repeat_n(first.clone(), count - points.len()));
            format!("{column} IN ({})", vec!["?"; count].join(","))
        }
    }
}
