//! Plans: the SQL statement for a filter and a sort.
//!
//! Chooses the seeks, and whether SQLite gives the order or the caller has to sort. Pure: no database. A plan is valid for
//! the marks of arrays that it was made with; see `Layout::generation`.

use bson::RawBson;

use capability::documents::filter::{Condition, Field, Node, Test};
use capability::documents::order::{Key, key};
use capability::documents::{Filter, MAX_LIMIT, Sort};

use crate::seek::{Seek, by_id, by_index, demands, none_of_ids};
use crate::tables::{Table, path_key};

/// The most seeks of an `$or`.
const MAX_SEEKS: usize = 64;

/// The one `_id` that a filter asks for: it needs no plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) id: Key,
    /// The filter asks for nothing else: whoever has the key matches.
    pub(super) alone: bool,
}

impl Point {
    /// None when the filter does not name one `_id`.
    pub(super) fn of(filter: &Filter) -> Option<Point> {
        let nodes = filter.root();
        let id = nodes.iter().find_map(|node| match node {
            Node::Field(Field { path, condition: Condition::Is(Test::Equal(id)), .. }) if path == "_id" => Some(id),
            _ => None,
        });
        id.map(|id| Point { id: key(id.as_raw_bson_ref()), alone: nodes.len() == 1 })
    }
}

/// A statement for SQLite.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) sql: String,
    pub(super) parameters: Vec<Key>,
    /// The rows are SQLite's rowids; otherwise each has its document beside it.
    pub(super) rowids: bool,
    /// A row may come more than once.
    pub(super) repeats: bool,
    /// The rows are in the wanted order.
    pub(super) in_order: bool,
    /// The rows are exactly the matches: SQLite decides all of the filter, and no document has to be read to count or skip
    /// them.
    pub(super) exact: bool,
    pub(super) reach: Reach,
}

/// How much of a collection is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Parts of an index: all that match the filter on the indexed fields.
    Parts,
    /// One document after another, from an end or from an `_id` on, each of which matches: as many as are taken.
    Walk,
    /// All of it, or all from an `_id` on, whatever is taken: most documents may not match.
    Whole,
}

impl Select {
    /// Whether the number of documents read does not grow with the collection, when the first `taken` matches are taken
    /// (none: all).
    ///
    /// A range of `_id`s with an open end is a cursor for paging and narrows nothing down, so it counts as a walk. A range of
    /// an indexed field counts as narrow: the application decided to index that field.
    pub(super) fn is_bounded(&self, taken: Option<u64>) -> bool {
        match self.reach {
            Reach::Parts => true,
            Reach::Walk => taken.is_some_and(|taken| taken <= u64::from(MAX_LIMIT)),
            Reach::Whole => false,
        }
    }
}

/// The order that SQLite should give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedOrder {
    /// Paths with whether they descend, up to `_id`.
    fields: Vec<(String, bool)>,
    id_descends: bool,
}

impl WantedOrder {
    /// Fields after `_id` in a sort decide nothing.
    pub(super) fn new(sort: &Sort) -> WantedOrder {
        let ids = sort.fields().iter().position(|field| field.path == "_id");
        let before = ids.unwrap_or(sort.fields().len());
        let fields = sort.fields().iter().take(before).map(|field| (field.path.clone(), field.descending)).collect();
        let id = ids.and_then(|position| sort.fields().get(position));
        WantedOrder { fields, id_descends: id.is_some_and(|field| field.descending) }
    }

    fn sql(&self) -> String {
        let mut terms: Vec<String> =
            self.fields.iter().map(|(path, descends)| path_key(path) + direction(*descends)).collect();
        terms.push(format!("id{}", direction(self.id_descends)));
        format!(" ORDER BY {}", terms.join(", "))
    }
}

fn direction(descends: bool) -> &'static str {
    if descends { " DESC" } else { "" }
}

/// The statement for the matches in the wanted order, or in any order when there is none.
pub(super) fn plan(table: &Table, filter: &Filter, wanted: Option<&WantedOrder>) -> Select {
    let seeks = best(table, filter.root(), wanted);
    let Some(seeks) = seeks else { return scan(table, filter, wanted) };
    let seeks: Vec<Seek> = seeks.into_iter().filter(|seek| !seek.is_empty()).collect();
    // Rowids are small: SQLite may sort and merge them, however large the documents are. It reads a document beside its rowid only
    // where it takes the rows as the index has them.
    let mut parameters = Vec::new();
    let mut rowids = true;
    let mut exact = filter.root().is_empty();
    let by_id = wanted.is_none_or(|wanted| wanted.fields.is_empty());
    let (sql, in_order) = match seeks.as_slice() {
        [] => (format!("SELECT rowid FROM {} WHERE 0", table.name), true),
        [seek] => {
            let in_order = by_id || wanted.is_some_and(|wanted| serves(table, seek, wanted));
            let order = wanted.filter(|_| in_order).map(WantedOrder::sql).unwrap_or_default();
            let mut source = seek.sql(table, &mut parameters);
            if let Some(left_out) = seek.is_range_of_ids().then(|| left_out(filter.root())).flatten() {
                exact = true;
                source += &none_of_ids(&left_out, &mut parameters);
            }
            let as_they_come = order.is_empty() || wanted.is_some_and(|wanted| needs_no_sort(table, seek, wanted));
            rowids = exact || !as_they_come || seek.index.is_none();
            let columns = if rowids { "rowid" } else { "rowid, doc" };
            (format!("SELECT {columns} FROM {}{source}{order}", table.name), in_order)
        }
        seeks => {
            let ordered = wanted.filter(|_| by_id);
            rowids = ordered.is_some();
            let columns = if rowids { "rowid, id" } else { "rowid, doc" };
            let part =
                |seek: &Seek| format!("SELECT {columns} FROM {}{}", table.name, seek.sql(table, &mut parameters));
            let parts: Vec<String> = seeks.iter().map(part).collect();
            let sql = match ordered {
                Some(wanted) => format!("{} ORDER BY 2{}", parts.join(" UNION "), direction(wanted.id_descends)),
                // Without a table of what was met: whoever takes the first match does not read the other parts.
                None => parts.join(" UNION ALL "),
            };
            (sql, by_id)
        }
    };
    let reach = match seeks.as_slice() {
        seeks if !seeks.iter().any(|seek| seek.is_whole() || seek.is_open()) => Reach::Parts,
        [seek] if in_order && (exact || matches_all(seek, filter.root())) => Reach::Walk,
        _ => Reach::Whole,
    };
    let repeats = seeks.len() > 1 && !rowids;
    Select { sql, parameters, rowids, repeats, in_order, exact, reach }
}

/// Whether every document of a whole index, or of a range of `_id`s with an open end, matches a filter.
fn matches_all(seek: &Seek, nodes: &[Node]) -> bool {
    let is_bound = |node: &Node| match node {
        Node::Field(Field { path, condition: Condition::Is(Test::Compare(..)), .. }) => path == "_id",
        _ => false,
    };
    nodes.is_empty() || (seek.is_open() && nodes.iter().all(is_bound))
}

/// The ids that a filter excludes from a range of ObjectIds, when it has no other condition: then a document's key in the
/// primary index decides whether it matches.
fn left_out(nodes: &[Node]) -> Option<Vec<Key>> {
    let mut left_out = Vec::new();
    for node in nodes {
        let Node::Field(Field { path, condition, .. }) = node else { return None };
        match condition {
            _ if path != "_id" => return None,
            Condition::Is(Test::Compare(_, RawBson::ObjectId(_))) => {}
            Condition::Not(conditions) => match conditions.as_slice() {
                [Condition::Is(Test::In(keys))] => left_out.extend(keys.iter().cloned()),
                [Condition::Is(Test::Equal(id @ RawBson::ObjectId(_)))] => left_out.push(key(id.as_raw_bson_ref())),
                _ => return None,
            },
            Condition::Is(_) => return None,
        }
    }
    Some(left_out)
}

/// Every document, in no order or by `_id`.
fn scan(table: &Table, filter: &Filter, wanted: Option<&WantedOrder>) -> Select {
    let (sql, rowids, in_order) = match wanted {
        Some(wanted) if wanted.fields.is_empty() => {
            (format!("SELECT rowid FROM {}{}", table.name, wanted.sql()), true, true)
        }
        Some(_) => (format!("SELECT rowid, doc FROM {}", table.name), false, false),
        None => (format!("SELECT rowid, doc FROM {}", table.name), false, true),
    };
    let exact = filter.root().is_empty();
    let reach = if in_order && exact { Reach::Walk } else { Reach::Whole };
    Select { sql, parameters: Vec::new(), rowids, repeats: false, in_order, exact, reach }
}

/// The seeks of the most selective index, or `None` when only a scan is possible.
pub(super) fn best(table: &Table, nodes: &[Node], wanted: Option<&WantedOrder>) -> Option<Vec<Seek>> {
    let demands = demands(nodes);
    let mut candidates: Vec<Vec<Seek>> = by_id(&demands).map(|seek| vec![seek]).into_iter().collect();
    candidates.extend((0..table.indexes.len()).filter_map(|number| by_index(table, number, &demands)));
    candidates.extend(alternatives(nodes).filter_map(|lists| union(table, lists)));
    candidates
        .into_iter()
        .map(|seeks| (score(table, &seeks, wanted), seeks))
        .filter(|(score, _)| *score > 0)
        // The first of the best: `max_by_key` would take the last.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, seeks)| seeks)
}

/// Every `$or` that must hold.
pub(super) fn alternatives(nodes: &[Node]) -> Box<dyn Iterator<Item = &[Vec<Node>]> + '_> {
    Box::new(nodes.iter().flat_map(|node| -> Box<dyn Iterator<Item = &[Vec<Node>]> + '_> {
        match node {
            Node::Or(lists) => Box::new(std::iter::once(lists.as_slice())),
            Node::And(lists) => Box::new(lists.iter().flat_map(|list| alternatives(list))),
            Node::Field(_) => Box::new(std::iter::empty()),
        }
    }))
}

/// The seeks of all branches, if each has some.
fn union(table: &Table, lists: &[Vec<Node>]) -> Option<Vec<Seek>> {
    let mut seeks = Vec::new();
    for list in lists {
        seeks.extend(best(table, list, None)?);
    }
    (seeks.len() <= MAX_SEEKS).then_some(seeks)
}

/// How selective seeks are; 0 is worse than a scan. Without statistics: an `_id` is best, then a whole unique key, then more
/// fields, then the order.
fn score(table: &Table, seeks: &[Seek], wanted: Option<&WantedOrder>) -> usize {
    if seeks.iter().any(Seek::is_empty) && seeks.len() == 1 {
        return usize::MAX;
    }
    let serves = match (seeks, wanted) {
        ([seek], Some(wanted)) => serves(table, seek, wanted),
        _ => false,
    };
    let one = |seek: &Seek| {
        let unique = seek.index.is_none_or(|number| {
            table.indexes.get(number).is_some_and(|index| index.unique && index.fields.len() == seek.points.len())
        });
        let narrow = if unique && !seek.points.is_empty() { 1_000 } else { seek.points.len() * 10 };
        narrow + usize::from(seek.range.is_some()) * 3
    };
    seeks.iter().map(one).min().unwrap_or(0) + usize::from(serves) * 5
}

/// Whether the index gives the documents of a seek in the wanted order, without reading more than are taken.
fn serves(table: &Table, seek: &Seek, wanted: &WantedOrder) -> bool {
    let Some(index) = seek.index.and_then(|number| table.indexes.get(number)) else {
        return seek.index.is_none() && wanted.fields.is_empty();
    };
    let rest = index.fields.get(seek.points.len()..).unwrap_or_default();
    if !seek.is_ordered() {
        return false;
    }
    if wanted.fields.is_empty() {
        // After all its fields an index is in order of `_id`.
        return rest.is_empty();
    }
    let one_direction = wanted.fields.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
    one_direction
        && wanted.fields.len() <= rest.len()
        && wanted.fields.iter().zip(rest).all(|((path, _), field)| path == field && !table.has_arrays(path))
}

/// Whether the index gives the wanted order down to the `_id`: where it does not, SQLite sorts documents with equal fields.
fn needs_no_sort(table: &Table, seek: &Seek, wanted: &WantedOrder) -> bool {
    let index = seek.index.and_then(|number| table.indexes.get(number));
    let is_whole =
        index.is_some_and(|index| !index.unique && index.fields.len() == seek.points.len() + wanted.fields.len());
    is_whole && serves(table, seek, wanted) && wanted.fields.iter().all(|(_, descends)| *descends == wanted.id_descends)
}
