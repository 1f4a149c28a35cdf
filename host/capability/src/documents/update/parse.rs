//! Reading a change from BSON.
//!
//! Only this module knows the operators' names. It refuses two paths of which one is inside the other.

use std::cmp::Ordering;

use bson::{Bson, RawArray, RawBsonRef, RawDocument};

use crate::documents::Error;
use crate::documents::filter::ElementFilter;
use crate::documents::order::{Number, outside, valid_path, validate};

use crate::documents::update::{MAX_PATHS, MAX_STEPS, Operator, Step};
use crate::text;

const OPERATORS: &str = "$set $unset $inc $min $max $push $addToSet $pull $setOnInsert";

/// The steps of a change in the order of their paths, and every path that is named.
pub(super) fn change(document: &RawDocument) -> Result<(Vec<Step>, Vec<String>), Error> {
    validate(document)?;
    let (mut steps, mut paths) = (Vec::new(), Vec::new());
    for (operator, fields) in document.iter().flatten() {
        let operator = operator.as_str();
        if !operator.starts_with('$') {
            let field = text::cut(operator, text::MAX_NAME);
            return Err(invalid(format!(
                "`{field}` is a field: a change is made of operators ({OPERATORS}) and never a whole document"
            )));
        }
        if !OPERATORS.split(' ').any(|known| known == operator) {
            return Err(outside(operator, "a change", OPERATORS));
        }
        let RawBsonRef::Document(fields) = fields else {
            return Err(invalid(format!("`{operator}` wants a document of paths")));
        };
        for (path, value) in fields.iter().flatten() {
            let path = path.as_str();
            valid_path(path)?;
            if steps.len() == MAX_STEPS {
                return Err(invalid(format!("the change names more than {MAX_STEPS} paths")));
            }
            steps.push(Step {
                path: path.to_owned(),
                parts: path.split('.').map(str::to_owned).collect(),
                operator: read(operator, path, value, &mut paths)?,
            });
            paths.push(path.to_owned());
            if paths.len() > MAX_PATHS {
                return Err(invalid(format!(
                    "the change names more than {MAX_PATHS} paths, those in its `$pull` included"
                )));
            }
        }
    }
    without_conflict(steps.iter().map(|step| step.path.as_str()))?;
    steps.sort_by(|a, b| by_parts(&a.path, &b.path));
    paths.sort_unstable();
    paths.dedup();
    Ok((steps, paths))
}

/// Refuses a path that is there twice or inside another.
pub(super) fn without_conflict<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut paths: Vec<&str> = paths.collect();
    paths.sort_by(|a, b| by_parts(a, b));
    match paths.array_windows().find(|[outer, inner]| contains(outer, inner)) {
        Some([outer, inner]) => Err(invalid(format!("the paths `{outer}` and `{inner}` conflict"))),
        None => Ok(()),
    }
}

/// Whether the second path is the first one or inside it.
fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Part by part, array indexes by number. A path comes directly before the paths inside it.
fn by_parts(left: &str, right: &str) -> Ordering {
    let index = |part: &str| part.parse::<u64>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
    let order = |part: &str| (index(part).is_none(), index(part), part.to_owned());
    left.split('.').map(order).cmp(right.split('.').map(order))
}

fn read(operator: &str, path: &str, value: RawBsonRef<'_>, paths: &mut Vec<String>) -> Result<Operator, Error> {
    Ok(match operator {
        "$set" => Operator::Set(owned(value)?),
        "$setOnInsert" => Operator::SetOnInsert(owned(value)?),
        "$unset" => Operator::Unset,
        "$inc" if Number::of(value).is_some() => Operator::Increase(owned(value)?),
        "$inc" => return Err(invalid(format!("`$inc` of `{path}` wants a number"))),
        "$min" => Operator::Min(owned(value)?),
        "$max" => Operator::Max(owned(value)?),
        "$push" => match modifiers(value) {
            Some(modifiers) => push(path, modifiers)?,
            None => Operator::Push(vec![owned(value)?], None),
        },
        "$addToSet" => match modifiers(value) {
            Some(modifiers) => add_to_set(path, modifiers)?,
            None => Operator::AddToSet(vec![owned(value)?]),
        },
        "$pull" => match value {
            RawBsonRef::Document(condition) => {
                let condition = ElementFilter::parse(condition)?;
                paths.extend(condition.paths.iter().map(|inner| format!("{path}.{inner}")));
                Operator::PullMatching(condition)
            }
            value => Operator::PullEqual(owned(value)?),
        },
        other => return Err(outside(other, "a change", OPERATORS)),
    })
}

/// A document that begins with an operator has modifiers, not the value to add.
fn modifiers(value: RawBsonRef<'_>) -> Option<&RawDocument> {
    match value {
        RawBsonRef::Document(document) => {
            let (name, _) = document.iter().flatten().next()?;
            name.as_str().starts_with('$').then_some(document)
        }
        _ => None,
    }
}

fn push(path: &str, modifiers: &RawDocument) -> Result<Operator, Error> {
    let (mut each, mut slice) = (None, None);
    for (name, value) in modifiers.iter().flatten() {
        match (name.as_str(), value, Number::of(value)) {
            ("$each", RawBsonRef::Array(array), _) => each = Some(all(array)?),
            ("$slice", _, Some(Number::Whole(keep))) => slice = Some(keep),
            ("$each" | "$slice", ..) => {
                return Err(invalid(format!(
                    "`$push` of `{path}` wants an array in `$each`, a whole number in `$slice`"
                )));
            }
            (other, ..) => return Err(outside(other, &format!("`$push` of `{path}`"), "$each $slice")),
        }
    }
    match each {
        Some(each) => Ok(Operator::Push(each, slice)),
        None => Err(invalid(format!("`$push` of `{path}` has a `$slice` but no `$each`"))),
    }
}

fn add_to_set(path: &str, modifiers: &RawDocument) -> Result<Operator, Error> {
    let mut each = Vec::new();
    for (name, value) in modifiers.iter().flatten() {
        match (name.as_str(), value) {
            ("$each", RawBsonRef::Array(array)) => each = all(array)?,
            ("$each", _) => return Err(invalid(format!("`$each` of `{path}` wants an array"))),
            (other, _) => return Err(outside(other, &format!("`$addToSet` of `{path}`"), "$each")),
        }
    }
    Ok(Operator::AddToSet(each))
}

fn all(array: &RawArray) -> Result<Vec<Bson>, Error> {
    array.into_iter().flatten().map(owned).collect()
}

fn owned(value: RawBsonRef<'_>) -> Result<Bson, Error> {
    Bson::try_from(value).map_err(|error| invalid(error.to_string()))
}

fn invalid(text: String) -> Error {
    Error::invalid(text)
}
