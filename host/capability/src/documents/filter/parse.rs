//! Reading a filter from BSON.
//!
//! Only this module knows the operators' names. Bounded: the bytes are validated first (their depth bounds the recursion
//! here), and conditions and `$in` elements are counted.

use bson::{RawBsonRef, RawDocument};

use crate::documents::Error;
use crate::documents::order::{Key, MAX_PATH, key, outside, valid_path, validate};
use crate::text;

use crate::documents::filter::{Comparison, Condition, Field, MAX_CONDITIONS, MAX_ELEMENTS, Node, Test};

const OPERATORS: &str = "$eq $ne $gt $gte $lt $lte $in $nin $exists $not $elemMatch";
const CONNECTIVES: &str = "$and $or";

/// The most parts of a path that may be places in arrays. Each may also be a field's name, so that each doubles the ways
/// through a document.
const MAX_PLACES: usize = 4;

/// The terms of a filter, the paths they name, and the number of its conditions.
pub(super) fn filter(document: &RawDocument) -> Result<(Vec<Node>, Vec<String>, usize), Error> {
    validate(document)?;
    let mut parser = Parser::default();
    let nodes = parser.nodes(document, "")?;
    let conditions = parser.conditions;
    Ok((nodes, parser.finish(), conditions))
}

/// The condition of `$elemMatch` or `$pull` on an element, and the paths that it names.
pub(super) fn element(document: &RawDocument) -> Result<(Test, Vec<String>), Error> {
    validate(document)?;
    let mut parser = Parser::default();
    let test = parser.elem_match(document, "")?;
    Ok((test, parser.finish()))
}

#[derive(Default)]
struct Parser {
    conditions: usize,
    elements: usize,
    paths: Vec<String>,
}

impl Parser {
    fn finish(mut self) -> Vec<String> {
        self.paths.sort_unstable();
        self.paths.dedup();
        self.paths
    }

    /// The terms of one document, whose paths begin at `parent`.
    fn nodes(&mut self, document: &RawDocument, parent: &str) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        for (name, value) in document.iter().flatten() {
            match name.as_str() {
                "$and" => nodes.push(Node::And(self.lists("$and", value, parent)?)),
                "$or" => nodes.push(Node::Or(self.lists("$or", value, parent)?)),
                name if name.starts_with('$') => {
                    return Err(outside(name, "a filter", CONNECTIVES));
                }
                path => self.field(path, value, parent, &mut nodes)?,
            }
        }
        Ok(nodes)
    }

    fn lists(&mut self, name: &str, value: RawBsonRef<'_>, parent: &str) -> Result<Vec<Vec<Node>>, Error> {
        let wrong = || invalid(format!("`{name}` wants an array of filters with at least one in it"));
        let RawBsonRef::Array(array) = value else { return Err(wrong()) };
        if array.is_empty() {
            return Err(wrong());
        }
        let mut lists = Vec::new();
        for element in array.into_iter().flatten() {
            let RawBsonRef::Document(document) = element else { return Err(wrong()) };
            self.count()?;
            lists.push(self.nodes(document, parent)?);
        }
        Ok(lists)
    }

    fn field(&mut self, path: &str, value: RawBsonRef<'_>, parent: &str, nodes: &mut Vec<Node>) -> Result<(), Error> {
        valid_path(path)?;
        let full = if parent.is_empty() { path.to_owned() } else { format!("{parent}.{path}") };
        let short = |path: &str| text::cut(path, text::MAX_NAME);
        if full.len() > MAX_PATH {
            return Err(invalid(format!("the path `{}` has more than {MAX_PATH} bytes", short(&full))));
        }
        let is_place = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        if path.split('.').filter(is_place).count() > MAX_PLACES {
            return Err(invalid(format!("the path `{}` has more than {MAX_PLACES} places of arrays", short(path))));
        }
        let conditions = match value {
            RawBsonRef::Document(document) if has_operators(document) => self.conditions(document, &full)?,
            literal => {
                self.count()?;
                vec![Condition::Is(Test::Equal(literal.into()))]
            }
        };
        self.paths.push(full);
        nodes.extend(conditions.into_iter().map(|condition| {
            let parts = path.split('.').map(str::to_owned).collect();
            Node::Field(Field { path: path.to_owned(), parts, condition })
        }));
        Ok(())
    }

    /// The operators of one document, all about the same value.
    fn conditions(&mut self, document: &RawDocument, path: &str) -> Result<Vec<Condition>, Error> {
        document.iter().flatten().map(|(name, value)| self.condition(name.as_str(), value, path)).collect()
    }

    fn condition(&mut self, name: &str, value: RawBsonRef<'_>, path: &str) -> Result<Condition, Error> {
        self.count()?;
        let negated = |test| Condition::Not(vec![Condition::Is(test)]);
        Ok(match name {
            "$eq" => Condition::Is(Test::Equal(value.into())),
            "$ne" => negated(Test::Equal(value.into())),
            "$gt" => comparison(Comparison::Greater, name, value)?,
            "$gte" => comparison(Comparison::GreaterOrEqual, name, value)?,
            "$lt" => comparison(Comparison::Less, name, value)?,
            "$lte" => comparison(Comparison::LessOrEqual, name, value)?,
            "$in" => Condition::Is(self.one_of(name, value)?),
            "$nin" => negated(self.one_of(name, value)?),
            "$exists" => match value {
                RawBsonRef::Boolean(true) | RawBsonRef::Int32(1) => Condition::Is(Test::Exists),
                RawBsonRef::Boolean(false) | RawBsonRef::Int32(0) => negated(Test::Exists),
                _ => return Err(invalid(format!("`$exists` of `{path}` must be true or false"))),
            },
            "$not" => match value {
                RawBsonRef::Document(document) if has_operators(document) => {
                    Condition::Not(self.conditions(document, path)?)
                }
                _ => return Err(invalid(format!("`$not` of `{path}` wants a document of operators"))),
            },
            "$elemMatch" => match value {
                RawBsonRef::Document(document) => Condition::Is(self.elem_match(document, path)?),
                _ => return Err(invalid(format!("`$elemMatch` of `{path}` wants a document"))),
            },
            other => return Err(outside(other, &format!("the filter of `{path}`"), OPERATORS)),
        })
    }

    fn one_of(&mut self, name: &str, value: RawBsonRef<'_>) -> Result<Test, Error> {
        let RawBsonRef::Array(array) = value else {
            return Err(invalid(format!("`{name}` wants an array")));
        };
        let nested = |value| matches!(value, RawBsonRef::Document(document) if has_operators(document));
        if array.into_iter().flatten().any(nested) {
            return Err(invalid(format!("`{name}` wants values, and one of them begins with an operator")));
        }
        let mut keys: Vec<Key> = array.into_iter().flatten().map(key).collect();
        self.elements += keys.len();
        if self.elements > MAX_ELEMENTS {
            return Err(invalid(format!("the filter has more than {MAX_ELEMENTS} elements in `$in` and `$nin`")));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Test::In(keys))
    }

    /// Operators test the elements themselves; anything else is a filter on the documents among them.
    fn elem_match(&mut self, document: &RawDocument, path: &str) -> Result<Test, Error> {
        let first = document.iter().flatten().next().map(|(name, _)| name.as_str());
        if has_operators(document) && !matches!(first, Some("$and" | "$or")) {
            return Ok(Test::ElementValue(self.conditions(document, path)?));
        }
        Ok(Test::ElementDocument(self.nodes(document, path)?))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(invalid(format!("the filter has more than {MAX_CONDITIONS} conditions")));
        }
        Ok(())
    }
}

fn comparison(comparison: Comparison, name: &str, value: RawBsonRef<'_>) -> Result<Condition, Error> {
    if matches!(value, RawBsonRef::MinKey | RawBsonRef::MaxKey) {
        return Err(invalid(format!("`{name}` can't compare with MinKey or MaxKey")));
    }
    // MongoDB finds something else with an index than without one.
    if matches!(value, RawBsonRef::Array(_)) {
        return Err(invalid(format!("`{name}` can't compare with an array")));
    }
    Ok(Condition::Is(Test::Compare(comparison, value.into())))
}

/// A document that begins with an operator is read as operators, and then all of it must be.
fn has_operators(document: &RawDocument) -> bool {
    document.iter().flatten().next().is_some_and(|(name, _)| name.as_str().starts_with('$'))
}

fn invalid(text: String) -> Error {
    Error::invalid(text)
}
