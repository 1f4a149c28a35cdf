//! Plans: how SQLite is asked for what a filter and a sort want.
//!
//! Chooses the seeks, and whether SQLite gives the order or the caller has to sort. Pure: no database. A plan is good
//! for the marks of arrays that it was made with; see `Layout::generation`.

use bson::RawBson;

use crate::capability::documents::filter::{Condition, Field, Node, Test};
use crate::capability::documents::order::{Key, key};
use crate::capability::documents::{Filter, MAX_LIMIT, Sort};

use super::seek::{Seek, by_id, by_index, demands, none_of_ids};
use super::tables::{Table, path_key};

/// The most seeks that an `$or` is taken apart into.
const MAX_SEEKS: usize = 64;

/// A question to SQLite.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) sql: String,
    pub(super) parameters: Vec<Key>,
    /// The rows are places of documents (SQLite's rowids), each once, and not documents.
    pub(super) places: bool,
    /// The rows are in the wanted order.
    pub(super) in_order: bool,
    /// The rows are exactly the matches: SQLite has looked at all that the filter asks, and no document has to be read
    /// to count them or to go past them.
    pub(super) decided: bool,
    pub(super) reach: Reach,
}

/// What of a collection is read for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What some parts of an index hold: as much as fits the filter in so far as the index knows it.
    Parts,
    /// One document after another, from an end or from an `_id` on, and each of them matches: as many as are taken.
    Walk,
    /// All of it, or all from an `_id` on, whatever is taken: most of them may not match.
    Whole,
}

impl Ask {
    /// Whether what is read does not grow with the collection, when the first `taken` matches are (none: all).
    ///
    /// An open end of `_id`s is a place to go on from and narrows nothing down, so it counts as a walk. A range of an
    /// indexed field counts as narrow: it was somebody's decision to index that field.
    pub(super) fn is_bounded(&self, taken: Option<u64>) -> bool {
        match self.reach {
            Reach::Parts => true,
            Reach::Walk => taken.is_some_and(|taken| taken <= u64::from(MAX_LIMIT)),
            Reach::Whole => false,
        }
    }
}

/// The order that is wanted of SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Paths with whether they descend, up to `_id`.
    fields: Vec<(String, bool)>,
    id_descends: bool,
}

impl Wanted {
    /// What follows `_id` in a sort decides nothing.
    pub(super) fn new(sort: &Sort) -> Wanted {
        let ids = sort.fields().iter().position(|field| field.path == "_id");
        let before = ids.unwrap_or(sort.fields().len());
        let fields = sort.fields().iter().take(before).map(|field| (field.path.clone(), field.descending)).collect();
        let id = ids.and_then(|place| sort.fields().get(place));
        Wanted { fields, id_descends: id.is_some_and(|field| field.descending) }
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

/// How to ask for the matches in the wanted order, or in any when there is none.
pub(super) fn plan(table: &Table, filter: &Filter, wanted: Option<&Wanted>) -> Ask {
    let seeks = best(table, filter.root(), wanted);
    let Some(seeks) = seeks else { return scan(table, filter, wanted) };
    let seeks: Vec<Seek> = seeks.into_iter().filter(|seek| !seek.is_empty()).collect();
    // Places are small: SQLite may sort them and put them together whatever the documents weigh.
    let mut parameters = Vec::new();
    let mut decided = filter.root().is_empty();
    let by_id = wanted.is_none_or(|wanted| wanted.fields.is_empty());
    let (sql, in_order) = match seeks.as_slice() {
        [] => (format!("SELECT rowid FROM {} WHERE 0", table.name), true),
        [seek] => {
            let in_order = by_id || wanted.is_some_and(|wanted| serves(table, seek, wanted));
            let order = wanted.filter(|_| in_order).map(Wanted::sql).unwrap_or_default();
            let mut source = seek.sql(table, &mut parameters);
            if let Some(left_out) = seek.is_range_of_ids().then(|| left_out(filter.root())).flatten() {
                decided = true;
                source += &none_of_ids(&left_out, &mut parameters);
            }
            (format!("SELECT rowid FROM {}{source}{order}", table.name), in_order)
        }
        seeks => {
            let part =
                |seek: &Seek| format!("SELECT rowid, id FROM {}{}", table.name, seek.sql(table, &mut parameters));
            let parts: Vec<String> = seeks.iter().map(part).collect();
            let order = match wanted {
                Some(wanted) if by_id => format!(" ORDER BY 2{}", direction(wanted.id_descends)),
                _ => String::new(),
            };
            (parts.join(" UNION ") + &order, by_id)
        }
    };
    let reach = match seeks.as_slice() {
        seeks if !seeks.iter().any(|seek| seek.is_whole() || seek.is_open()) => Reach::Parts,
        [seek] if in_order && (decided || matches_all(seek, filter.root())) => Reach::Walk,
        _ => Reach::Whole,
    };
    Ask { sql, parameters, places: true, in_order, decided, reach }
}

/// Whether a filter asks nothing that a whole index or an open end of `_id`s does not say.
fn matches_all(seek: &Seek, nodes: &[Node]) -> bool {
    let is_bound = |node: &Node| matches!(node, Node::Field(Field { path, condition: Condition::Is(Test::Compare(..)), .. }) if path == "_id");
    nodes.is_empty() || (seek.is_open() && nodes.iter().all(is_bound))
}

/// The ids that a filter leaves out of a range of ObjectIds, when it asks nothing else: then a document's key in the
/// primary index says whether it matches.
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
fn scan(table: &Table, filter: &Filter, wanted: Option<&Wanted>) -> Ask {
    let (sql, places, in_order) = match wanted {
        Some(wanted) if wanted.fields.is_empty() => {
            (format!("SELECT rowid FROM {}{}", table.name, wanted.sql()), true, true)
        }
        Some(_) => (format!("SELECT doc FROM {}", table.name), false, false),
        None => (format!("SELECT doc FROM {}", table.name), false, true),
    };
    let decided = filter.root().is_empty();
    let reach = if in_order && decided { Reach::Walk } else { Reach::Whole };
    Ask { sql, parameters: Vec::new(), places, in_order, decided, reach }
}

/// The seeks of the most promising index, or `None` when only a scan will do.
pub(super) fn best(table: &Table, nodes: &[Node], wanted: Option<&Wanted>) -> Option<Vec<Seek>> {
    let demands = demands(nodes);
    let mut candidates: Vec<Vec<Seek>> = by_id(&demands).map(|seek| vec![seek]).into_iter().collect();
    candidates.extend((0..table.indexes.len()).filter_map(|place| by_index(table, place, &demands)));
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

/// How promising seeks are; 0 is worse than a scan. Without statistics: an `_id` is best, then a whole unique key,
/// then more fields, then the order.
fn score(table: &Table, seeks: &[Seek], wanted: Option<&Wanted>) -> usize {
    if seeks.iter().any(Seek::is_empty) && seeks.len() == 1 {
        return usize::MAX;
    }
    let serves = match (seeks, wanted) {
        ([seek], Some(wanted)) => serves(table, seek, wanted),
        _ => false,
    };
    let one = |seek: &Seek| {
        let unique = seek.index.is_none_or(|place| {
            table.indexes.get(place).is_some_and(|index| index.unique && index.fields.len() == seek.points.len())
        });
        let narrow = if unique && !seek.points.is_empty() { 1_000 } else { seek.points.len() * 10 };
        narrow + usize::from(seek.range.is_some()) * 3
    };
    seeks.iter().map(one).min().unwrap_or(0) + usize::from(serves) * 5
}

/// Whether the index gives the documents of a seek in the wanted order, without reading more than are taken.
fn serves(table: &Table, seek: &Seek, wanted: &Wanted) -> bool {
    let Some(index) = seek.index.and_then(|place| table.indexes.get(place)) else {
        return seek.index.is_none() && wanted.fields.is_empty();
    };
    let rest = index.fields.get(seek.points.len()..).unwrap_or_default();
    if !seek.is_ordered() {
        return false;
    }
    if wanted.fields.is_empty() {
        // Behind all its fields an index is in order of `_id`.
        return rest.is_empty();
    }
    let one_way = wanted.fields.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
    one_way
        && wanted.fields.len() <= rest.len()
        && wanted.fields.iter().zip(rest).all(|((path, _), field)| path == field && !table.has_arrays(path))
}
