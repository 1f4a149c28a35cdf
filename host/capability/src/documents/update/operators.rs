//! What each operator does at its path.
//!
//! Every function returns whether the document is different afterwards; a value of the wrong type is an error.

use std::cmp::Ordering;
use std::collections::HashSet;

use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};

use crate::documents::Error;
use crate::documents::filter::ElementFilter;
use crate::documents::order::{Key, compare, key};

use crate::documents::update::Operator;
use crate::documents::update::target::{Missing, Target, find};

impl Operator {
    /// Applies it and returns whether the document is different now.
    pub(super) fn apply(
        &self,
        document: &mut Document,
        path: &str,
        parts: &[String],
        inserting: bool,
    ) -> Result<bool, Error> {
        let missing = match self {
            Operator::Unset => Missing::Pass,
            Operator::PullEqual(_) | Operator::PullMatching(_) => Missing::Leave,
            Operator::SetOnInsert(_) if !inserting => return Ok(false),
            _ => Missing::Make,
        };
        let Some(target) = find(document, path, parts, missing)? else { return Ok(false) };
        match self {
            Operator::Set(value) | Operator::SetOnInsert(value) => set(target, value),
            Operator::Unset => Ok(target.clear()),
            Operator::Increase(amount) => increase(target, path, amount),
            Operator::Min(value) => limit(target, value, Ordering::Less),
            Operator::Max(value) => limit(target, value, Ordering::Greater),
            Operator::Push(each, slice) => push(target, path, each, *slice),
            Operator::AddToSet(each) => add_to_set(target, path, each),
            Operator::PullEqual(value) => {
                let wanted = raw(value)?;
                pull(target, path, |element| compare(element.as_raw_bson_ref(), wanted.as_raw_bson_ref()).is_eq())
            }
            Operator::PullMatching(condition) => pull_matching(target, path, condition),
        }
    }
}

fn set(mut target: Target<'_>, value: &Bson) -> Result<bool, Error> {
    if let Some(old) = target.get()
        && is_same(old, value)?
    {
        return Ok(false);
    }
    target.put(value.clone());
    Ok(true)
}

/// The same bytes: 0.0 is not -0.0, and NaN is NaN.
pub(super) fn is_same(one: &Bson, other: &Bson) -> Result<bool, Error> {
    let bytes =
        |value: &Bson| RawDocumentBuf::try_from(&doc! { "": value }).map_err(|error| invalid(error.to_string()));
    match (one, other) {
        (Bson::Double(one), Bson::Double(other)) => Ok(one.to_bits() == other.to_bits()),
        (Bson::Document(_), Bson::Document(_)) | (Bson::Array(_), Bson::Array(_)) => Ok(bytes(one)? == bytes(other)?),
        (one, other) => Ok(one == other),
    }
}

fn increase(mut target: Target<'_>, path: &str, amount: &Bson) -> Result<bool, Error> {
    let Some(old) = target.get() else {
        target.put(amount.clone());
        return Ok(true);
    };
    let sum = match (&*old, amount) {
        (Bson::Int32(a), Bson::Int32(b)) => match a.checked_add(*b) {
            Some(sum) => Bson::Int32(sum),
            None => Bson::Int64(i64::from(*a) + i64::from(*b)),
        },
        (Bson::Double(a), b) => Bson::Double(a + real(b)),
        (a, Bson::Double(b)) if whole(a).is_some() => Bson::Double(real(a) + b),
        (a, b) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => {
                a.checked_add(b).map(Bson::Int64).ok_or_else(|| invalid(format!("`$inc` of `{path}` overflows")))?
            }
            _ => return Err(invalid(format!("`$inc` of `{path}` meets a value that is not a number"))),
        },
    };
    let changed = *old != sum;
    if changed {
        *old = sum;
    }
    Ok(changed)
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

fn real(value: &Bson) -> f64 {
    match value {
        Bson::Double(number) => *number,
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => *number as f64,
        _ => f64::NAN,
    }
}

fn limit(mut target: Target<'_>, value: &Bson, wins: Ordering) -> Result<bool, Error> {
    if let Some(old) = target.get()
        && compare(raw(value)?.as_raw_bson_ref(), raw(old)?.as_raw_bson_ref()) != wins
    {
        return Ok(false);
    }
    target.put(value.clone());
    Ok(true)
}

/// Works on the array at a path, an empty one if there is none.
fn with_array(
    mut target: Target<'_>,
    path: &str,
    operator: &str,
    work: impl FnOnce(&mut Vec<Bson>) -> Result<bool, Error>,
) -> Result<bool, Error> {
    match target.get() {
        Some(Bson::Array(array)) => work(array),
        Some(_) => Err(invalid(format!("`{operator}` of `{path}` meets a value that is not an array"))),
        None => {
            let mut array = Vec::new();
            work(&mut array)?;
            target.put(Bson::Array(array));
            Ok(true)
        }
    }
}

fn push(target: Target<'_>, path: &str, each: &[Bson], slice: Option<i64>) -> Result<bool, Error> {
    with_array(target, path, "$push", |array| {
        let before = slice.map(|_| array.clone());
        array.extend_from_slice(each);
        if let Some(keep) = slice {
            let count = usize::try_from(keep.unsigned_abs()).unwrap_or(usize::MAX);
            if keep >= 0 {
                array.truncate(count);
            } else {
                array.drain(..array.len().saturating_sub(count));
            }
        }
        Ok(before.map_or(!each.is_empty(), |before| before != *array))
    })
}

fn add_to_set(target: Target<'_>, path: &str, each: &[Bson]) -> Result<bool, Error> {
    with_array(target, path, "$addToSet", |array| {
        let mut present = array.iter().map(key_of).collect::<Result<HashSet<Key>, _>>()?;
        let before = array.len();
        for value in each {
            if present.insert(key_of(value)?) {
                array.push(value.clone());
            }
        }
        Ok(array.len() > before)
    })
}

/// Equal values have equal keys.
fn key_of(value: &Bson) -> Result<Key, Error> {
    Ok(key(raw(value)?.as_raw_bson_ref()))
}

fn pull_matching(target: Target<'_>, path: &str, condition: &ElementFilter) -> Result<bool, Error> {
    pull(target, path, |element| condition.matches(element.as_raw_bson_ref()))
}

fn pull(mut target: Target<'_>, path: &str, removed: impl Fn(&RawBson) -> bool) -> Result<bool, Error> {
    let array = match target.get() {
        Some(Bson::Array(array)) => array,
        Some(_) => return Err(invalid(format!("`$pull` of `{path}` meets a value that is not an array"))),
        None => return Ok(false),
    };
    let mut stays = array
        .iter()
        .map(|element| raw(element).map(|element| !removed(&element)))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let before = array.len();
    array.retain(|_| stays.next().unwrap_or(true));
    Ok(array.len() < before)
}

fn raw(value: &Bson) -> Result<RawBson, Error> {
    RawBson::try_from(value.clone()).map_err(|error| invalid(error.to_string()))
}

fn invalid(text: String) -> Error {
    Error::invalid(text)
}
