//! Filters: conditions on a document, and what they mean.
//!
//! The operators are those of [`Filter::parse`] and mean what they mean in MongoDB, arrays and missing fields included;
//! every other one is refused by name. Matching reads raw BSON in place. Pure: no store, no time, no randomness.

mod parse;
#[cfg(test)]
mod tests;
mod walk;

use std::cmp::Ordering;

use bson::{Bson, Document, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::documents::Error;
use crate::documents::order::{Class, Key, class, compare, key};

pub use walk::{Leaf, array_index, spread, walk};

/// The most conditions of one filter.
pub const MAX_CONDITIONS: usize = 256;
/// The most elements of all the `$in` and `$nin` of one filter together.
pub const MAX_ELEMENTS: usize = 1_000;
/// What one condition takes in memory besides its path and its value, about, in bytes.
const CONDITION: usize = 256;

/// A condition that a document matches or not.
#[derive(Debug, Clone)]
pub struct Filter {
    source: RawDocumentBuf,
    root: Vec<Node>,
    paths: Vec<String>,
    conditions: usize,
}

/// One term of a filter; the terms of a list must all hold.
#[derive(Debug, Clone)]
pub enum Node {
    /// Each list holds, as under `$and`.
    And(Vec<Vec<Node>>),
    /// One of the lists holds.
    Or(Vec<Vec<Node>>),
    /// The values at a path satisfy a condition.
    Field(Field),
}

/// A dotted path and a condition on its values.
#[derive(Debug, Clone)]
pub struct Field {
    /// The path, with dots.
    pub path: String,
    parts: Vec<String>,
    /// What its values must satisfy.
    pub condition: Condition,
}

/// A condition on the values at a path.
#[derive(Debug, Clone)]
pub enum Condition {
    /// One of the values passes.
    Is(Test),
    /// Not all of these hold, each over all the values: the negation of the whole match.
    Not(Vec<Condition>),
}

/// A condition on one value.
#[derive(Debug, Clone)]
pub enum Test {
    /// The same value; null is also a missing field.
    Equal(RawBson),
    /// A value of the same kind that compares like this.
    Compare(Comparison, RawBson),
    /// A value with one of these keys, which are sorted.
    In(Vec<Key>),
    /// Any value at all.
    Exists,
    /// An array with a document (or array) in it that satisfies all of these.
    ElementDocument(Vec<Node>),
    /// An array with a value in it that satisfies all of these.
    ElementValue(Vec<Condition>),
}

/// The four comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `$lt`.
    Less,
    /// `$lte`.
    LessOrEqual,
    /// `$gt`.
    Greater,
    /// `$gte`.
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Filter {
    /// Reads a filter of the operators `$eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $not $elemMatch`.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names an operator or a type outside these, or the limit that is passed.
    pub fn parse(document: &RawDocument) -> Result<Filter, Error> {
        let (root, paths, conditions) = parse::filter(document)?;
        Ok(Filter { source: document.to_owned(), root, paths, conditions })
    }

    /// [`Filter::parse`] of a document in memory.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn from_document(document: &Document) -> Result<Filter, Error> {
        let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
        Filter::parse(&raw)
    }

    /// The document with this `_id`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a value of this type can't be an `_id`.
    pub fn by_id(id: Bson) -> Result<Filter, Error> {
        let mut equal = Document::new();
        equal.insert("$eq", id);
        let mut document = Document::new();
        document.insert("_id", equal);
        Filter::from_document(&document)
    }

    /// Every document.
    pub fn all() -> Filter {
        Filter { source: RawDocumentBuf::new(), root: Vec::new(), paths: Vec::new(), conditions: 0 }
    }

    /// Whether a validated document matches.
    pub fn matches(&self, document: &RawDocument) -> bool {
        all_match(&self.root, document)
    }

    /// Every dotted path that the filter reads, those inside `$elemMatch` joined with their parent's.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// As a BSON document for a store: exactly what was parsed.
    pub fn to_document(&self) -> Document {
        Document::try_from(&*self.source).unwrap_or_default()
    }

    /// The paths that must equal a value, at the top and under `$and`: the fields that an upsert starts with.
    pub fn equalities(&self) -> Vec<(&str, Bson)> {
        let mut out = Vec::new();
        equalities(&self.root, &mut out);
        out
    }

    /// The bytes that were parsed.
    pub fn source(&self) -> &RawDocument {
        &self.source
    }

    /// About how many bytes it takes in memory: its source, its values once more and as keys, its conditions and its paths.
    pub fn weight(&self) -> usize {
        let paths: usize = self.paths.iter().map(String::len).sum();
        3 * self.source.as_bytes().len() + self.conditions * CONDITION + 2 * paths
    }

    /// Its terms; a document matches when all of them hold.
    pub fn root(&self) -> &[Node] {
        &self.root
    }
}

fn equalities<'a>(nodes: &'a [Node], out: &mut Vec<(&'a str, Bson)>) {
    for node in nodes {
        match node {
            Node::And(lists) => lists.iter().for_each(|list| equalities(list, out)),
            Node::Field(Field { path, condition: Condition::Is(Test::Equal(value)), .. }) => {
                if let Ok(value) = Bson::try_from(value.clone()) {
                    out.push((path, value));
                }
            }
            Node::Or(_) | Node::Field(_) => {}
        }
    }
}

fn all_match(nodes: &[Node], document: &RawDocument) -> bool {
    nodes.iter().all(|node| match node {
        Node::And(lists) => lists.iter().all(|list| all_match(list, document)),
        Node::Or(lists) => lists.iter().any(|list| all_match(list, document)),
        Node::Field(field) => {
            let parts: Vec<&str> = field.parts.iter().map(String::as_str).collect();
            field.condition.holds_at(document, &parts)
        }
    })
}

/// A `$pull`'s condition on each element of an array.
#[derive(Debug, Clone)]
pub struct ElementFilter {
    test: ElementTest,
    /// The paths below the array that it reads.
    pub paths: Vec<String>,
}

#[derive(Debug, Clone)]
enum ElementTest {
    Document(Vec<Node>),
    Value(Vec<Condition>),
}

impl ElementFilter {
    /// Reads a condition on elements: operators on the element itself, or a filter on the documents among them.
    pub fn parse(document: &RawDocument) -> Result<ElementFilter, Error> {
        // As in MongoDB, where it would be a name of a document's field.
        if document.iter().flatten().next().is_some_and(|(name, _)| name.as_str() == "$not") {
            return Err(Error::Invalid(
                "what is pulled can't begin with `$not`; begin with another operator".to_owned(),
            ));
        }
        let (test, paths) = parse::element(document)?;
        let test = match test {
            Test::ElementValue(conditions) => ElementTest::Value(conditions),
            Test::ElementDocument(nodes) => ElementTest::Document(nodes),
            _ => ElementTest::Value(vec![Condition::Is(test)]),
        };
        Ok(ElementFilter { test, paths })
    }

    /// Whether an element of an array matches.
    pub fn matches(&self, element: RawBsonRef<'_>) -> bool {
        match (&self.test, element) {
            (ElementTest::Value(conditions), _) => conditions.iter().all(|condition| condition.holds_at_end(element)),
            (ElementTest::Document(nodes), RawBsonRef::Document(document)) => all_match(nodes, document),
            (ElementTest::Document(_), _) => false,
        }
    }
}

impl Condition {
    /// Over all the values at a path.
    fn holds_at(&self, document: &RawDocument, path: &[&str]) -> bool {
        match self {
            Condition::Is(test) => walk(document, path, test.leaf(), &mut |value| test.passes(value)),
            Condition::Not(conditions) => !conditions.iter().all(|condition| condition.holds_at(document, path)),
        }
    }

    /// For a value at the end of a path, and for its elements when it is an array.
    fn holds_at_end(&self, value: RawBsonRef<'_>) -> bool {
        match self {
            Condition::Is(test) => {
                test.passes(Some(value))
                    || (test.leaf() == Leaf::Both && elements(Some(value)).any(|element| test.passes(Some(element))))
            }
            Condition::Not(conditions) => !conditions.iter().all(|condition| condition.holds_at_end(value)),
        }
    }

    /// For one value.
    fn holds_for(&self, value: RawBsonRef<'_>) -> bool {
        match self {
            Condition::Is(test) => test.passes(Some(value)),
            Condition::Not(conditions) => !conditions.iter().all(|condition| condition.holds_for(value)),
        }
    }
}

impl Test {
    /// `$elemMatch` tests the array itself, the others its elements too.
    fn leaf(&self) -> Leaf {
        match self {
            Test::ElementDocument(_) | Test::ElementValue(_) => Leaf::Whole,
            _ => Leaf::Both,
        }
    }

    /// For one value; `None` is a missing field.
    fn passes(&self, value: Option<RawBsonRef<'_>>) -> bool {
        let present = value.unwrap_or(RawBsonRef::Null);
        match self {
            Test::Equal(wanted) => compare(present, wanted.as_raw_bson_ref()).is_eq(),
            Test::Compare(comparison, bound) => compares(*comparison, present, bound.as_raw_bson_ref()),
            Test::In(keys) => keys.binary_search(&key(present)).is_ok(),
            Test::Exists => value.is_some(),
            Test::ElementDocument(nodes) => elements(value).any(|element| match element {
                RawBsonRef::Document(document) => all_match(nodes, document),
                // An array in an array is read by its indexes, as if it were a document.
                RawBsonRef::Array(array) => {
                    RawDocument::from_bytes(array.as_bytes()).is_ok_and(|document| all_match(nodes, document))
                }
                _ => false,
            }),
            Test::ElementValue(conditions) => {
                elements(value).any(|element| conditions.iter().all(|condition| condition.holds_for(element)))
            }
        }
    }
}

fn elements(value: Option<RawBsonRef<'_>>) -> impl Iterator<Item = RawBsonRef<'_>> {
    let array = match value {
        Some(RawBsonRef::Array(array)) => Some(array),
        _ => None,
    };
    array.into_iter().flat_map(|array| array.into_iter().flatten())
}

/// Only values of one kind compare; NaN is neither above nor below anything.
fn compares(comparison: Comparison, value: RawBsonRef<'_>, bound: RawBsonRef<'_>) -> bool {
    if class(value) != class(bound) {
        return false;
    }
    if class(value) == Class::Number && (is_nan(value) || is_nan(bound)) {
        let or_equal = matches!(comparison, Comparison::LessOrEqual | Comparison::GreaterOrEqual);
        return or_equal && is_nan(value) && is_nan(bound);
    }
    comparison.holds(compare(value, bound))
}

fn is_nan(value: RawBsonRef<'_>) -> bool {
    matches!(value, RawBsonRef::Double(real) if real.is_nan())
}
